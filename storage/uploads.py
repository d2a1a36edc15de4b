"""Uploads: a file that somebody sent, decoded in a process of its own, and kept as plain pixels."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.decode import CPU_S
from storage.errors import BadUpload
from storage.media import MediaStore

_PATIENCE_S = 4.0 * CPU_S  # of a busy machine
_AT_ONCE = 2  # each may take a gigabyte


@dataclass(frozen=True)
class Upload:
    """A picture as it was stored: its media id and its size in pixels. small: a small copy of it, PNG."""

    media_id: str
    width: int
    height: int
    small: bytes


class Uploads:
    """Takes pictures in, a few at once."""

    def __init__(self, media: MediaStore) -> None:
        self._media = media
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def take(self, file: Path) -> Upload:
        """Decode a file and store its pixels as PNG.

        Raises: BadUpload with the reason; MediaAway.
        """
        async with self.plain(file) as (plain, (width, height)):
            media_id = await asyncio.to_thread(lambda: self._media.put(plain.read_bytes(), ".png"))
            small = await asyncio.to_thread(_small(plain).read_bytes)
        return Upload(media_id, width, height, small)

    @asynccontextmanager
    async def plain(self, file: Path) -> AsyncIterator[tuple[Path, tuple[int, int]]]:
        """Decode a file; inside of the block there are its pixels as PNG, and their size. Raises: BadUpload."""
        with tempfile.TemporaryDirectory(prefix="kandinsky-upload-") as folder:
            plain = Path(folder) / "plain.png"
            async with self._turns:
                size = await decoded(file, plain)
            yield plain, size


def _small(plain: Path) -> Path:
    """Where the small copy of a decoded file lies."""
    return plain.with_suffix(".small.png")


async def decoded(source: Path, target: Path) -> tuple[int, int]:
    """Decode `source` into the PNG file `target`, with a small copy beside it; return its width and height. Raises: BadUpload."""
    command = (sys.executable, "-m", "storage.decode", str(source), str(target), str(_small(target)))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=Path(__file__).parent.parent,
        env={},  # it needs no secret, so it has none to lose
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            said, _ = await process.communicate()
    except TimeoutError:
        raise BadUpload("too-complex") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:  # killed by its limits, say
        raise BadUpload("too-complex")
    answer = json.loads(said)
    if "refused" in answer:
        raise BadUpload(answer.pop("refused"), answer)
    return answer["width"], answer["height"]

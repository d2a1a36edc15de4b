"""Uploads: a file that somebody sent, decoded in a process of its own, and kept as plain pixels."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.decode import CPU_S, OPACITY
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


@dataclass(frozen=True)
class Plain:
    """A decoded file: a PNG of its pixels, their size; and of one with transparent parts a grey PNG of where it is opaque.

    small: a small copy of it, PNG.
    """

    file: Path
    width: int
    height: int
    small: Path
    opacity: Path | None


class Uploads:
    """Takes pictures in, a few at once."""

    def __init__(self, media: MediaStore) -> None:
        self._media = media
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def keep(self, plain: Plain) -> Upload:
        """Store the pixels of a decoded file as PNG. Raises: MediaAway."""
        media_id = await asyncio.to_thread(lambda: self._media.put(plain.file.read_bytes(), ".png"))
        return Upload(media_id, plain.width, plain.height, await asyncio.to_thread(plain.small.read_bytes))

    @asynccontextmanager
    async def plain(self, file: Path) -> AsyncIterator[Plain]:
        """Decode a file; inside of the block there are its pixels. Raises: BadUpload."""
        with tempfile.TemporaryDirectory(prefix="kandinsky-upload-") as folder:
            plain = Path(folder) / "plain.png"
            async with self._turns:
                found = await decoded(file, plain)
            yield found


async def decoded(source: Path, target: Path) -> Plain:
    """Decode `source` into the PNG file `target`, in a folder of its own. Raises: BadUpload."""
    small = target.with_name("small.png")
    command = (sys.executable, "-m", "storage.decode", str(source), str(target), str(small))
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
    opacity = target.with_name(OPACITY)
    return Plain(target, answer["width"], answer["height"], small, opacity if opacity.exists() else None)

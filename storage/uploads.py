"""Uploads: a file that somebody sent, decoded in a process of its own, and kept as plain pixels."""

import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from storage.decode import CPU_S
from storage.errors import BadUpload
from storage.media import MediaStore

_PATIENCE_S = 4.0 * CPU_S  # of a busy machine
_AT_ONCE = 2  # each may take a gigabyte


@dataclass(frozen=True)
class Upload:
    """A picture as it was stored: its media id and its size in pixels."""

    media_id: str
    width: int
    height: int


class Uploads:
    """Takes pictures in, a few at once."""

    def __init__(self, media: MediaStore) -> None:
        self._media = media
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def take(self, file: Path) -> Upload:
        """Decode a file and store its pixels as PNG.

        Raises: BadUpload with the reason; MediaAway.
        """
        with tempfile.TemporaryDirectory(prefix="kandinsky-upload-") as folder:
            plain = Path(folder) / "plain.png"
            async with self._turns:
                width, height = await decoded(file, plain)
            media_id = await asyncio.to_thread(lambda: self._media.put(plain.read_bytes(), ".png"))
        return Upload(media_id, width, height)


async def decoded(source: Path, target: Path) -> tuple[int, int]:
    """Decode `source` into the PNG file `target` and return its width and height. Raises: BadUpload."""
    command = (sys.executable, "-m", "storage.decode", str(source), str(target))
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

"""Masks that people draw: an uploaded PNG of any size, checked, brought to its picture's size, black (keep) and white (repaint).

Of one with transparent parts what is opaque was painted, as in every file of strokes (`bot.masks.files`).
The file is decoded in a process of its own (`storage.uploads`); only its plain pixels are touched here.
"""

import asyncio
import io
import tempfile
from pathlib import Path

from PIL import Image

from bot.masks.pencil import LEAST, MOST
from storage.errors import BadUpload
from storage.uploads import decoded

LARGEST_FILE = 2 * 1024 * 1024  # bytes; a page of hatching at 2048 pixels has half of it
_PNG = b"\x89PNG\r\n\x1a\n"
_WHITE = 128  # from here on, of 255


class BadMask(Exception):
    """A mask that is not taken: `no-mask`, `wrong-shape`, `empty` or `full`, and what a sentence about it needs."""

    def __init__(self, reason: str, **values: str | float) -> None:
        super().__init__(reason)
        self.reason, self.values = reason, values


async def read_mask(data: bytes, width: int, height: int) -> bytes:
    """Return the mask of a picture of this size as PNG, eight bits grey, each pixel 0 or 255. Raises: BadMask."""
    if not data.startswith(_PNG):
        raise BadMask("no-mask")
    with tempfile.TemporaryDirectory(prefix="kandinsky-mask-") as folder:
        source, plain = Path(folder) / "drawn.png", Path(folder) / "plain.png"
        await asyncio.to_thread(source.write_bytes, data)
        try:
            drawn = await decoded(source, plain)
        except BadUpload:
            raise BadMask("no-mask") from None
        if not _same_shape((drawn.width, drawn.height), (width, height)):
            raise BadMask("wrong-shape", value=f"{drawn.width}x{drawn.height}", limit=f"{width}x{height}")
        return await asyncio.to_thread(_plain_mask, drawn.opacity or drawn.file, (width, height))


def _same_shape(drawn: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the sides are in proportion, but for one pixel of rounding in either."""
    width, height = drawn
    return abs(width - height * size[0] / size[1]) <= 1 or abs(height - width * size[1] / size[0]) <= 1


def _plain_mask(file: Path, size: tuple[int, int]) -> bytes:
    """Each pixel is repainted if most of its area was painted."""
    with Image.open(file) as drawn:
        painted = drawn.convert("L").point(lambda value: 255 if value >= _WHITE else 0)
    mask = painted.resize(size, Image.Resampling.BOX).point(lambda value: 255 if value >= _WHITE else 0)
    share = mask.histogram()[255] / (size[0] * size[1])
    if share < LEAST:
        raise BadMask("empty", value=share, limit=LEAST)
    if share > MOST:
        raise BadMask("full", value=share, limit=MOST)
    file_data = io.BytesIO()
    mask.save(file_data, "PNG")
    return file_data.getvalue()

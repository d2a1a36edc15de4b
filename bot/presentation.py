"""How pictures look in a chat: never a stamp, several as one sheet. Pillow only; call it in a thread."""

import io
from collections.abc import Sequence

from PIL import Image

SMALLEST_SIDE = 512  # pixels; a nano picture has 128
_GAP = 8
_PAPER = (255, 255, 255)


def as_photo(data: bytes) -> bytes:
    """Enlarge a picture to at least 512 pixels a side, as JPEG: what Telegram would make of it anyway."""
    return _jpeg(_enlarged(_open(data), SMALLEST_SIDE))


def as_file(data: bytes) -> bytes:
    """Enlarge a picture to at least 512 pixels a side, as PNG without loss; larger ones go out as they are stored."""
    picture = _open(data)
    if min(picture.size) >= SMALLEST_SIDE:
        return data
    buffer = io.BytesIO()
    _enlarged(picture, SMALLEST_SIDE).save(buffer, "PNG")
    return buffer.getvalue()


def as_sheet(pictures: Sequence[bytes], lossless: bool = False) -> bytes:
    """Lay up to four pictures out as one sheet of two columns, each at least 512 pixels wide."""
    tiles = [_enlarged(_open(data), SMALLEST_SIDE) for data in pictures]
    width, height = tiles[0].size
    rows = (len(tiles) + 1) // 2
    sheet = Image.new("RGB", (2 * width + _GAP, rows * height + (rows - 1) * _GAP), _PAPER)
    for index, tile in enumerate(tiles):
        sheet.paste(tile, ((index % 2) * (width + _GAP), (index // 2) * (height + _GAP)))
    if not lossless:
        return _jpeg(sheet)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=["PNG"]).convert("RGB")


def _enlarged(picture: Image.Image, side: int) -> Image.Image:
    factor = side / min(picture.size)
    if factor <= 1:
        return picture
    # so much larger, LANCZOS looks the same and takes half as long again
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC)


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()

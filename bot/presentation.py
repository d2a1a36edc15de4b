"""How pictures look in a chat: never a stamp, several as one sheet. Pillow only; call it in a thread."""

import io
from collections.abc import Callable, Collection, Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from engine.recipe import encode_like, encode_marked

SMALLEST_SIDE = 512  # pixels; a nano picture has 128
LARGEST_FILE = 50_000_000  # bytes that a bot may send
LARGEST_SIDE = 2560  # pixels that Telegram keeps of a photo
_STAMP = 256  # pixels a side; whoever sends or enlarges a larger picture wants every pixel as it is
_GAP = 8
_PAPER = (255, 255, 255)

_THUMBNAIL = 320  # pixels a side
_MARGIN = 14
_GALLERY = 3 * _THUMBNAIL + 4 * _MARGIN  # pixels in width
_BADGE, _INSET = 52, 11
Colour = tuple[int, int, int]
_GOLD = (196, 126, 0)
_WALL, _INK, _GONE = (36, 39, 46), (16, 17, 20), (58, 61, 68)


def as_photo(data: bytes) -> bytes:
    """Bring a picture to 512 pixels a side at least and 2560 at most, as JPEG: what Telegram would make of it anyway."""
    picture = _enlarged(_open(data), SMALLEST_SIDE)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    return _jpeg(picture)


def as_file(data: bytes) -> bytes:
    """A picture as it is stored, as PNG without loss; what nano draws, a stamp, is enlarged to 512 pixels a side.

    One that would be more than a bot may send comes as JPEG.
    """
    picture = _open(data)
    if len(data) > LARGEST_FILE:
        return encode_marked(picture, "JPEG")
    if min(picture.size) >= _STAMP:
        return data
    return encode_like(_enlarged(picture, SMALLEST_SIDE), data)


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of a stored picture, in pixels; nothing is decoded."""
    return Image.open(io.BytesIO(data), formats=["PNG"]).size


def ending(data: bytes) -> str:
    """What the name of such a file ends in."""
    return "png" if data.startswith(b"\x89PNG") else "jpg"


def as_sheet(pictures: Sequence[bytes], lossless: bool = False) -> bytes:
    """Lay up to four pictures out as one sheet of two columns, each at least 512 pixels wide."""
    tiles = [_enlarged(_open(data), SMALLEST_SIDE) for data in pictures]
    width, height = tiles[0].size
    rows = (len(tiles) + 1) // 2
    sheet = Image.new("RGB", (2 * width + _GAP, rows * height + (rows - 1) * _GAP), _PAPER)
    for index, tile in enumerate(tiles):
        sheet.paste(tile, ((index % 2) * (width + _GAP), (index // 2) * (height + _GAP)))
    return encode_marked(sheet, "PNG" if lossless else "JPEG")


def as_comparison(before: bytes, after: bytes, part: tuple[int, int, int, int], lossless: bool = False) -> bytes:
    """Set a part of a picture, enlarged plainly to the size of `after`, beside what the model made of it: badges 1 and 2.

    part: left, top, right, bottom in pixels of `before`.
    """
    made = _open(after)
    plain = _open(before).crop(part).resize(made.size, Image.Resampling.BICUBIC)
    sides = [_enlarged(each, SMALLEST_SIDE) for each in (plain, made)]
    width, height = sides[0].size
    sheet = Image.new("RGB", (2 * width + _GAP, height), _PAPER)
    for index, side in enumerate(sides):
        left = index * (width + _GAP)
        sheet.paste(side, (left, 0))
        _number(sheet, (left + _INSET, _INSET), index + 1, _INK)
    if not lossless:
        sheet.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    return encode_marked(sheet, "PNG" if lossless else "JPEG")


def as_thumbnail(data: bytes) -> bytes:
    """Make the small copy of a picture that the history shows: its middle as a square, as JPEG."""
    return _jpeg(ImageOps.fit(_open(data), (_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS))


def as_preview(picture: Image.Image) -> bytes:
    """Make the small copy of a picture half drawn that is shown while it is, as JPEG: 320 pixels on the longer side."""
    scale = _THUMBNAIL / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return _jpeg(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC))


def as_gallery(thumbnails: Sequence[bytes | None], rows: Sequence[int], stars: Collection[int] = ()) -> bytes:
    """Lay small copies out in rows of so many, all of one width, each copy with its number from 1; None is one that is gone.

    stars: the places, from 0, of favourites; their numbers stand on gold.
    """
    width = _GALLERY if len(thumbnails) > 1 else _GALLERY // 2
    sides = [(width - _MARGIN) // columns - _MARGIN for columns in rows]
    gallery = Image.new("RGB", (width, sum(sides) + (len(rows) + 1) * _MARGIN), _WALL)
    index, top = 0, _MARGIN
    for columns, side in zip(rows, sides, strict=True):
        corners = _smooth_mask(side, lambda draw, side: draw.rounded_rectangle((0, 0, side - 1, side - 1), side // 14, fill=255))
        for column in range(columns):
            data, at = thumbnails[index], (_MARGIN + column * (side + _MARGIN), top)
            picture = Image.new("RGB", (side, side), _GONE) if data is None else small_copy(data, side)
            gallery.paste(picture, at, corners)
            _number(gallery, (at[0] + _INSET, at[1] + _INSET), index + 1, _GOLD if index in stars else _INK)
            index += 1
        top += side + _MARGIN
    return _jpeg(gallery)


def small_copy(data: bytes, side: int) -> Image.Image:
    """A picture that `as_thumbnail` made, so many pixels a side."""
    picture = Image.open(io.BytesIO(data), formats=["JPEG"]).convert("RGB")
    return picture if picture.size == (side, side) else picture.resize((side, side), Image.Resampling.LANCZOS)


def _number(gallery: Image.Image, at: tuple[int, int], number: int, colour: Colour) -> None:
    """Write a number on a dark disc, legible over any picture."""
    disc = _smooth_mask(_BADGE, lambda draw, side: draw.ellipse((0, 0, side - 1, side - 1), fill=205))
    gallery.paste(Image.new("RGB", (_BADGE, _BADGE), colour), at, disc)
    middle = (at[0] + _BADGE / 2, at[1] + _BADGE / 2)
    ImageDraw.Draw(gallery).text(middle, str(number), fill=_PAPER, font=ImageFont.load_default(_BADGE * 0.62), anchor="mm")


def _smooth_mask(side: int, shape: Callable[[ImageDraw.ImageDraw, int], None]) -> Image.Image:
    """Draw a mask four times as large and shrink it, for edges without steps."""
    mask = Image.new("L", (4 * side, 4 * side), 0)
    shape(ImageDraw.Draw(mask), 4 * side)
    return mask.resize((side, side), Image.Resampling.LANCZOS)


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=["PNG"]).convert("RGB")


def _enlarged(picture: Image.Image, side: int) -> Image.Image:
    factor = side / min(picture.size)
    if factor <= 1:
        return picture
    # so much larger, LANCZOS looks the same and takes half as long again
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC)


def _jpeg(picture: Image.Image) -> bytes:
    return encode_marked(picture, "JPEG")

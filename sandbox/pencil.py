"""Telegram's photo editor without a browser: lines drawn on a photo, which then comes back rescaled and recompressed."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

PHOTO_SIDE = 1280
_FINE = 2  # drawn so many times as large, for soft edges
Point = tuple[float, float]  # shares of width and height, from the upper left corner
Crop = tuple[float, float, float, float]  # left, top, right, bottom in such shares


@dataclass(frozen=True)
class Stroke:
    """One line of the pencil. thickness: in shares of the photo's longest side.  filled: what it encloses is painted, too."""

    points: Sequence[Point]
    colour: str | tuple[int, int, int] = "#ff3b30"
    thickness: float = 0.012
    filled: bool = False


def circle(x: float, y: float, radius: float) -> list[Point]:
    """A closed line around a place; the radius in shares of width and height."""
    steps = [math.tau * step / 72 for step in range(73)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in steps]


def rectangle(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """A closed line along four sides."""
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def drawn_on(
    photo: bytes,
    strokes: Sequence[Stroke],
    *,
    crop: Crop | None = None,
    turns: int = 0,
    longest: int = PHOTO_SIDE,
    quality: int = 80,
) -> bytes:
    """What Telegram's apps send of a photo that was drawn on, as JPEG.

    crop: left, top, right, bottom of what is left, in shares.  turns: quarter turns to the left, made after all else.
    longest: pixels of the longest side.  quality: of the JPEG.
    """
    picture = _scaled(Image.open(io.BytesIO(photo)).convert("RGB"), longest)
    for stroke in strokes:
        picture.paste(Image.new("RGB", picture.size, stroke.colour), mask=painted(picture.size, stroke))
    if crop is not None:
        sides = (picture.width, picture.height) * 2
        left, top, right, bottom = (round(share * side) for share, side in zip(crop, sides, strict=True))
        picture = _scaled(picture.crop((left, top, right, bottom)), longest)
    if turns % 4:
        picture = picture.transpose(
            (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)[turns % 4 - 1]
        )
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def painted(size: tuple[int, int], stroke: Stroke) -> Image.Image:
    """How much of each pixel a stroke covers, in greys."""
    plane = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
    pencil = ImageDraw.Draw(plane)
    points = [(x * plane.width, y * plane.height) for x, y in stroke.points]
    if stroke.filled:
        pencil.polygon(points, fill=255)
    thick = max(1, round(stroke.thickness * max(plane.size)))
    pencil.line(points, fill=255, width=thick, joint="curve")
    for x, y in (points[0], points[-1]):
        pencil.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)
    return plane.resize(size, Image.Resampling.BOX)


def _scaled(picture: Image.Image, longest: int) -> Image.Image:
    factor = longest / max(picture.size)
    return picture.resize(
        (max(1, round(picture.width * factor)), max(1, round(picture.height * factor))), Image.Resampling.BICUBIC
    )

"""A mask that somebody painted elsewhere and sent as a file: black and white, strokes on nothing, or the picture with a hole."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from bot.masks.pencil import LEAST, MOST
from engine.marked import Mask, read_mask
from storage.domain import Refused

_PURE = 64  # 8-bit steps: a pixel that is nearer to black or white counts as that
_BETWEEN = 0.2  # share of greys and colours that a mask may have
_BORDER = 0.9  # of a sheet's border that is paper
_ALIKE = 24  # 8-bit steps: what is left of a picture differs by less from it, on the mean
_COMPARED = 256  # pixels of the longest side
_OPAQUE = 128


@dataclass(frozen=True)
class FileMask:
    """What a file marks. read: how it was understood, one of `MASK_READINGS`, for the person who looks at it."""

    mask: Mask
    read: str


def looks_like_mask(picture: Image.Image) -> bool:
    """Whether a picture is black and white; soft edges may be grey."""
    return _between(picture) <= _BETWEEN


def file_mask(picture: Image.Image, opacity: Image.Image | None, original: Image.Image) -> FileMask:
    """Read a mask for a picture. opacity: of a file with transparent parts, where it is opaque (grey, 255).

    White is drawn anew; so is black where nearly all is white, which nobody means. Of a file with transparent parts what is
    painted is drawn anew; or, where the rest is still the picture, what was erased from it.

    Raises: Refused for a picture in colours, a mask that marks almost nothing or everything; RequestError for one of another
    shape, or that marks nothing.
    """
    size = original.size
    if opacity is not None:
        painted = read_mask(opacity, size)
        return _checked(~painted, "erased") if _is_what_is_left(picture, opacity, original) else _checked(painted, "painted")
    if not looks_like_mask(picture):
        raise Refused("refused.mask-colours", value=round(100 * _between(picture)), limit=round(100 * _BETWEEN))
    white = read_mask(picture, size)
    border = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    on_paper = float(border.mean()) > _BORDER and 0.5 < float(white.mean()) < 1
    if on_paper and float(white.mean()) > MOST:
        return _checked(~white, "black")
    return _checked(white, "paper" if on_paper else "white")


def _checked(mask: Mask, read: str) -> FileMask:
    marked = float(mask.mean())
    if marked < LEAST:
        raise Refused("refused.mask-empty")
    if marked > MOST:
        raise Refused("refused.mask-everything", value=round(100 * marked), limit=round(100 * MOST))
    return FileMask(mask, read)


def _is_what_is_left(picture: Image.Image, opacity: Image.Image, original: Image.Image) -> bool:
    """Whether the opaque part of a file looks as the picture does there."""
    factor = min(1.0, _COMPARED / max(original.size))
    size = (max(1, round(original.width * factor)), max(1, round(original.height * factor)))
    seen, expected = (np.asarray(each.convert("RGB").resize(size), np.int16) for each in (picture, original))
    opaque = np.asarray(opacity.resize(size)) >= _OPAQUE
    return bool(opaque.any()) and float(np.abs(seen - expected)[opaque].mean()) < _ALIKE


def _between(picture: Image.Image) -> float:
    """The share of pixels that are neither nearly black nor nearly white."""
    channels = np.asarray(picture.convert("RGB"))
    black, white = (channels < _PURE).all(axis=2), (channels > 255 - _PURE).all(axis=2)
    return 1 - float((black | white).mean())

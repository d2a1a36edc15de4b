"""A mask that somebody painted elsewhere and sent as a picture: black and white, or marked by what is opaque."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from bot.masks.pencil import LEAST, MOST
from engine.framing import Size
from engine.marked import Mask, read_mask
from storage.domain import Refused

_PURE = 64  # 8-bit steps: a pixel that is nearer to black or white counts as that
_BETWEEN = 0.2  # share of greys and colours that a mask may have
_BORDER = 0.9


@dataclass(frozen=True)
class FileMask:
    """What a file marks. inverted: it looks as if the person painted black what they want drawn anew, so ask."""

    mask: Mask
    inverted: bool


def looks_like_mask(picture: Image.Image) -> bool:
    """Whether a picture is black and white, or has opaque strokes on nothing; soft edges may be grey."""
    return _has_alpha(picture) or _between(picture) <= _BETWEEN


def file_mask(picture: Image.Image, size: Size) -> FileMask:
    """Read a mask for a picture of this size (width, height); white is drawn anew, or what is opaque.

    Raises: Refused for a picture in colours, a mask that marks almost nothing or everything; RequestError for one of another
    shape, or that marks nothing.
    """
    if not looks_like_mask(picture):
        raise Refused("refused.mask-colours", value=round(100 * _between(picture)), limit=round(100 * _BETWEEN))
    mask = read_mask(picture, size)
    marked = float(mask.mean())
    if marked < LEAST:
        raise Refused("refused.mask-empty")
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    inverted = not _has_alpha(picture) and marked > 0.5 and float(border.mean()) > _BORDER and marked < 1
    if marked > MOST and not inverted:
        raise Refused("refused.mask-everything", value=round(100 * marked), limit=round(100 * MOST))
    return FileMask(mask, inverted)


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (255, 255)


def _between(picture: Image.Image) -> float:
    """The share of pixels that are neither nearly black nor nearly white."""
    channels = np.asarray(picture.convert("RGB"))
    black, white = (channels < _PURE).all(axis=2), (channels > 255 - _PURE).all(axis=2)
    return 1 - float((black | white).mean())

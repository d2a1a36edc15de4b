"""A picture with a mask shown over it, to be looked at before anything is drawn."""

import numpy as np
from PIL import Image

from bot.masks.plane import grown
from engine.marked import Mask

_RED = np.array([255, 32, 32], np.float32)
_TINT, _STRIPE = 0.42, 0.66  # how much red lies over the picture, and on every second stripe
_GREY, _DIM = 0.6, 0.85  # how much colour and light what is not marked loses
_STRIPES = 48  # along the longest side
_LINE = 200  # the outline is so many times thinner than the longest side


def overlay(picture: Image.Image, mask: Mask) -> Image.Image:
    """Marked parts are red with stripes and a white and black outline, the rest is paler: it can be told on a red picture, too.

    Raises: ValueError for a mask of another size.
    """
    if mask.shape != (picture.height, picture.width):
        raise ValueError(f"a mask of {mask.shape} lies over a picture of {picture.size}")
    pixels = np.asarray(picture.convert("RGB"), np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    longest = max(mask.shape)
    y, x = np.indices(mask.shape, np.float32)
    stripes = (x + y) * _STRIPES / longest % 2 < 1
    red = np.where(stripes, np.float32(_STRIPE), np.float32(_TINT))[..., None]
    marked = pixels * (1 - red) + _RED * red
    rest = (pixels * (1 - _GREY) + grey * _GREY) * _DIM
    shown = np.where(mask[..., None], marked, rest)
    width = max(1.0, longest / _LINE)
    edge = grown(mask, width) & ~mask
    shown[edge] = 255
    shown[grown(mask, 2 * width) & ~mask & ~edge] = 0
    return Image.fromarray(shown.round().astype(np.uint8))

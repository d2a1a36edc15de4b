"""Masks of what to repaint: grown, feathered, and the place in a picture that they need."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.marked import Box, Mask

_CONTEXT = 2  # how many times as wide and high as its mask the place is that an edit looks at
_SMALLEST_PLACE = 256  # pixels
Alpha = npt.NDArray[np.float32]  # (H, W), 0: the old picture, 1: the new one


def dilated(mask: Mask, distance: int) -> Mask:
    """The mask grown by a distance in pixels, in all eight directions (a maximum filter)."""
    if not distance:
        return mask
    grown: Mask = _largest(_tensor(mask), distance)[0, 0].numpy() > 0
    return grown


def feathered(mask: Mask, distance: int) -> Alpha:
    """How much of the new picture shows: 0 outside of the mask, rising to 1 over a distance inside of it.

    Thin parts reach 1 in their middle. The picture's own borders are no borders of the mask.
    """
    depth = _tensor(mask)  # how far inside of the mask, in pixels, at most distance + 1
    inside = depth
    for _ in range(distance):
        inside = -_largest(-inside, 1)
        depth = depth + inside
    reached = _largest(depth, distance)  # where the mask is thinner than the distance, its middle counts as deep
    alpha: Alpha = (depth / reached.clamp(min=1))[0, 0].numpy()
    return alpha


def latent_mask(mask: Mask) -> Tensor:
    """What the inpainting UNet reads, (1, 1, H/8, W/8): 1 is known, 0 where any pixel of a cell is to be repainted."""
    return 1 - F.max_pool2d(_tensor(mask), 8)


def place_of(mask: Mask) -> Box:
    """The place that an edit looks at: all of the picture, or the mask with its surroundings if that is half of it or less.

    Small things come out badly where they have few pixels; alone, their place is drawn as large as a whole picture.
    """
    height, width = mask.shape
    left, right = _around(np.flatnonzero(mask.any(axis=0)), width)
    top, bottom = _around(np.flatnonzero(mask.any(axis=1)), height)
    box = Box(left, top, right, bottom)
    small = 2 * box.size[0] * box.size[1] <= width * height
    return box if small else Box(0, 0, width, height)


def _around(marked: npt.NDArray[np.intp], length: int) -> tuple[int, int]:
    """Where the surroundings of marked rows or columns begin and end."""
    first, last = int(marked[0]), int(marked[-1]) + 1
    wanted = min(max(_CONTEXT * (last - first), _SMALLEST_PLACE), length)
    start = min(max(0, (first + last - wanted) // 2), length - wanted)
    return start, start + wanted


def _tensor(mask: Mask) -> Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


def _largest(values: Tensor, distance: int) -> Tensor:
    """The largest value within a distance of each pixel."""
    for size, padding in (((1, 2 * distance + 1), (0, distance)), ((2 * distance + 1, 1), (distance, 0))):
        values = F.max_pool2d(values, size, stride=1, padding=padding)
    return values

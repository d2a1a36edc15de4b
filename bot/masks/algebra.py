"""What can be done with masks. Every radius is a share of the picture's longest side, so that it means the same at any size."""

import numpy as np
import numpy.typing as npt

from bot.masks.plane import distance, grown, shrunk
from engine.marked import Mask

STEP = 0.02  # what one press of a button grows or shrinks by
Alpha = npt.NDArray[np.float32]  # (H, W), 0: the old picture, 1: the new one


def grow(mask: Mask, by: float = STEP) -> Mask:
    """The mask and what is near to it."""
    return grown(mask, _pixels(mask, by))


def shrink(mask: Mask, by: float = STEP) -> Mask:
    """The mask without its rim; empty where it was thinner than that. The picture's borders are no rim."""
    return shrunk(mask, _pixels(mask, by))


def feather(mask: Mask, by: float = STEP) -> Alpha:
    """1 deep inside, falling to 0 over the radius towards the rim; outside all is 0, so that no pixel there changes."""
    radius = max(1.0, _pixels(mask, by))
    inside: Alpha = np.clip(distance(~mask, radius) / radius, 0, 1).astype(np.float32)
    return inside


def invert(mask: Mask) -> Mask:
    """All that was not marked."""
    inverse: Mask = ~mask
    return inverse


def add(mask: Mask, other: Mask) -> Mask:
    """What either marks. Raises: ValueError for masks of two sizes."""
    return _checked(mask, other) | other


def subtract(mask: Mask, other: Mask) -> Mask:
    """What only the first marks. Raises: ValueError for masks of two sizes."""
    return _checked(mask, other) & ~other


def share(mask: Mask) -> float:
    """How much of the picture is marked, 0 to 1."""
    return float(mask.mean())


def _checked(mask: Mask, other: Mask) -> Mask:
    if mask.shape != other.shape:
        raise ValueError(f"a mask of {mask.shape} and one of {other.shape} belong to two pictures")
    return mask


def _pixels(mask: Mask, by: float) -> float:
    longest: int = max(mask.shape)
    return by * longest

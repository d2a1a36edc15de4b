"""What can be done with masks. Every radius is a share of the picture's longest side, so that it means the same at any size."""

from bot.masks.plane import grown, shrunk
from engine.marked import Mask

STEP = 0.02  # what one press of a button grows or shrinks by


def grow(mask: Mask, by: float = STEP) -> Mask:
    """The mask and what is near to it."""
    return grown(mask, _pixels(mask, by))


def shrink(mask: Mask, by: float = STEP) -> Mask:
    """The mask without its rim; empty where it was thinner than that. The picture's borders are no rim."""
    return shrunk(mask, _pixels(mask, by))


def invert(mask: Mask) -> Mask:
    """All that was not marked."""
    inverse: Mask = ~mask
    return inverse


def share(mask: Mask) -> float:
    """How much of the picture is marked, 0 to 1."""
    return float(mask.mean())


def _pixels(mask: Mask, by: float) -> float:
    longest: int = max(mask.shape)
    return by * longest

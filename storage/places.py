"""Marked places of a job's way, where fault tests may end the process; otherwise passing them does nothing."""

from collections.abc import Callable
from enum import StrEnum


class Place(StrEnum):
    """Moments between two steps that must both happen, in the order in which a job passes them."""

    AFTER_CLAIM = "after-claim"
    MID_STEP = "mid-step"
    BEFORE_RENAME = "before-rename"  # the picture's bytes are written, but have no name yet
    AFTER_RENAME = "after-rename"
    BEFORE_RENDERED = "before-rendered"
    AFTER_RENDERED = "after-rendered"
    BEFORE_CALL = "before-call"  # of the result's call to Telegram
    AFTER_CALL = "after-call"
    BEFORE_DELIVERED = "before-delivered"  # written down, not yet committed


on_reach: Callable[[Place], None] | None = None  # set by fault tests alone


def reached(place: Place) -> None:
    if on_reach is not None:
        on_reach(place)

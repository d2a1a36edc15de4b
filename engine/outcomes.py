"""What the engine answers: an outcome per request, and progress on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:  # the names alone need no imaging library
    from PIL.Image import Image


@dataclass(frozen=True)
class Drawn:
    """The pictures of a request, and the seed that redraws each alone.

    withheld: categories of those that were judged unsafe; they are not among the images.
    """

    images: tuple[Image, ...]
    seeds: tuple[int, ...]
    withheld: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """The text that a language request asked for.

    unchanged: why it is the person's own words after all, as `engine.language.writer.Why` names it; None if it is not.
    """

    text: str
    unchanged: str | None = None


@dataclass(frozen=True)
class Withheld:
    """All that was drawn was judged unsafe, or could not be judged ("unchecked")."""

    category: str


@dataclass(frozen=True)
class Dropped:
    """The request was given up because `on_step` asked for it."""


Outcome: TypeAlias = Drawn | Written | Withheld | Dropped
Stage: TypeAlias = Literal["load", "encode", "step", "window", "decode"]


@dataclass(frozen=True)
class Progress:
    """`step` of `total` is really finished, in a stage of the request at index `request` of the run.

    preview: decodes the first picture as it stands, or None if that may not be shown; costs nothing unless called.
    """

    stage: Stage
    request: int
    step: int
    total: int
    preview: Callable[[], Image | None]


OnStep: TypeAlias = Callable[[Progress], Collection[int]]
"""Called with progress; returns the indices of requests to drop."""


def ignore(progress: Progress) -> Collection[int]:
    """Watch nothing, drop nothing."""
    return ()

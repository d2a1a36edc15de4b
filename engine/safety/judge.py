"""Who judges pictures, and what follows: an unsafe picture is withheld with its category, and one that nobody could judge too."""

import logging
from collections.abc import Sequence
from typing import Protocol

from PIL.Image import Image

from engine.outcomes import Drawn, Withheld

UNCHECKED = "unchecked"

_log = logging.getLogger(__name__)


class PictureJudge(Protocol):
    """Looks at one picture and names what is unsafe about it, or None."""

    def __call__(self, image: Image) -> str | None: ...


def verdicts(judge: PictureJudge, images: Sequence[Image]) -> list[str | None]:
    """One category or None for each picture, judged one by one.

    Fails closed: whatever goes wrong in the judge, and any answer that is not one, makes this picture "unchecked".
    """
    return [_verdict(judge, image) for image in images]


def _verdict(judge: PictureJudge, image: Image) -> str | None:
    try:
        category = judge(image)
    except Exception:
        _log.exception("A picture could not be judged and is withheld.")
        return UNCHECKED
    return category if category is None or (isinstance(category, str) and category) else UNCHECKED


def withhold(drawn: Drawn, judge: PictureJudge) -> Drawn | Withheld:
    """Leave out the unsafe pictures of a request, and them alone; Withheld, with the first category, if none is left."""
    found = verdicts(judge, drawn.images)
    unsafe = tuple(category for category in found if category is not None)
    if unsafe and len(unsafe) == len(found):
        return Withheld(unsafe[0])
    safe = [index for index, category in enumerate(found) if category is None]
    return Drawn(tuple(drawn.images[index] for index in safe), tuple(drawn.seeds[index] for index in safe), unsafe)

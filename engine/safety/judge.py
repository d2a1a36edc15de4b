"""Who judges pictures, and what follows: an unsafe picture is withheld with its category, and one that nobody could judge too."""

import importlib
import logging
from collections.abc import Sequence
from typing import Protocol

from PIL.Image import Image
from PIL.Image import new as new_image

from engine.errors import EngineError
from engine.memory import is_out_of_memory
from engine.outcomes import Drawn, Withheld

UNCHECKED = "unchecked"
_BLANK_SIDE = 64

_log = logging.getLogger(__name__)


class PictureJudge(Protocol):
    """Looks at one picture and names what is unsafe about it, or None."""

    def __call__(self, image: Image) -> str | None: ...


def named(name: str, device: str) -> PictureJudge:
    """An installation's own judge: what the function of this name, such as `package.module:function`, makes for a device.

    Raises: EngineError if there is no such function, if it fails, or if what it makes cannot judge a blank picture.
    """
    module, _, function = name.partition(":")
    try:
        judge: PictureJudge = getattr(importlib.import_module(module), function)(device)
    except Exception as error:  # anything may go wrong in somebody else's code
        raise EngineError(
            f"There is no judge {name!r} ({error}); name a function of a device, as package.module:function."
        ) from error
    if verdicts(judge, [new_image("RGB", (_BLANK_SIDE, _BLANK_SIDE), "white")]) != [None]:
        raise EngineError(
            f"The judge {name!r} lets no blank picture pass, so it would withhold all; it answers with None if all is well."
        )
    return judge


def verdicts(judge: PictureJudge, images: Sequence[Image]) -> list[str | None]:
    """One category or None for each picture, judged one by one.

    Fails closed: whatever goes wrong in the judge, and any answer that is not one, makes this picture "unchecked"; but memory
    that runs out is an error of its own: what happens then is for whoever asked to say.
    """
    return [_verdict(judge, image) for image in images]


def _verdict(judge: PictureJudge, image: Image) -> str | None:
    try:
        category = judge(image)
    except Exception as error:
        if is_out_of_memory(error):
            raise
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

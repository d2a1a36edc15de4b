"""The pencil of Telegram's photo editor: what a person drew on the bot's picture, as a mask over that picture."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from bot.masks.closing import closed
from bot.masks.paint import strokes
from bot.masks.placing import Placement, place
from engine.marked import Mask
from storage.domain import Refused

_LONGEST = 1280  # pixels in which strokes are looked for
_SHORTEST = 640  # the same for small pictures, which come back enlarged
LEAST, MOST = 0.001, 0.95  # share of the picture that a mask covers
_VANISHED = 8.0  # in Lab: paint that differs by less from its surroundings is no paint, something vanished there
_MOVED = 0.3  # share of such paint, or it is another picture
_SAME = 0.99  # share that looks as it did: it is no other picture
_KNOWN, _KNOWN_CUT = 0.25, 0.6  # share of the picture that still looks as it did, or it is another


@dataclass(frozen=True)
class Drawn:
    """What was drawn, as a mask of the original's size. cropped: only a part of the picture came back, and was compared."""

    mask: Mask
    cropped: bool


def pencil_mask(original: Image.Image, returned: Image.Image) -> Drawn:
    """Find what a person drew on a picture and sent back, rescaled, recompressed, and possibly turned, mirrored or cropped.

    Outlines mean what they enclose. Of 80 drawings all outlines and fillings that can be seen were found with an overlap of 0.98
    or more, and lines alone, some of them two pixels wide, with 0.83 or more (`benchmarks.pencil`). Takes about a second for a
    megapixel: call it in a thread.

    Raises: Refused for another picture, one with nothing drawn on it, and one that is covered by paint.
    """
    original, returned = original.convert("RGB"), returned.convert("RGB")
    placed = place(original, returned)
    if placed is None or placed.agreement < (_KNOWN_CUT if placed.cropped else _KNOWN):
        raise Refused("refused.pencil-other", value=_size(returned), limit=_size(original))
    longest = min(max(returned.size), _LONGEST, max(_SHORTEST, max(original.size)))
    factor = longest / max(returned.size)
    size = (max(1, round(returned.width * factor)), max(1, round(returned.height * factor)))
    expected = placed.expected(original, returned.size).resize(size, Image.Resampling.BOX)
    pens = strokes(expected, returned.resize(size, Image.Resampling.BOX))
    true = [pen for pen in pens if pen.contrast >= _VANISHED]
    if placed.agreement > _SAME:
        pens = true  # where the edges do not lie on each other to the pixel, something seems to vanish
    elif sum(int(pen.strokes.sum()) for pen in true) < (1 - _MOVED) * sum(int(pen.strokes.sum()) for pen in pens):
        raise Refused("refused.pencil-other", value=_size(returned), limit=_size(original))
    whole = closed(np.logical_or.reduce([pen.strokes for pen in pens])) if pens else np.zeros(size[::-1], bool)
    whole = np.logical_or.reduce([whole, *(closed(pen.strokes) for pen in pens)])
    mask = _laid(whole, placed, original.size)
    if mask.mean() < LEAST:
        raise Refused("refused.pencil-nothing")
    if mask.mean() > MOST:
        raise Refused("refused.mask-everything", value=round(100 * float(mask.mean())), limit=round(100 * MOST))
    return Drawn(mask, placed.cropped)


def _laid(mask: Mask, placed: Placement, size: tuple[int, int]) -> Mask:
    plane = placed.onto(Image.fromarray(mask.astype(np.uint8) * 255), size)
    laid: Mask = np.asarray(plane) >= 128
    return laid


def _size(picture: Image.Image) -> str:
    return f"{picture.width}x{picture.height}"

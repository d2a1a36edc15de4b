"""Which of a person's pictures they sent again, as it was or drawn on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from bot.likeness import find, looks, nearest
from bot.masks.pencil import Drawn, pencil_mask
from storage.domain import Refused

_CLOSER = 3  # that are looked at closely
_ALIKE, _SURE = 0.85, 0.9  # share of a picture that has to look as it did; with so much of it no other is looked at


@dataclass(frozen=True)
class Recognised:
    """A known picture by its index. drawn: what was drawn on it, None if nothing was."""

    index: int
    drawn: Drawn | None


def recognise(picture: Image.Image, known: Sequence[bytes], load: Callable[[int], Image.Image | None]) -> Recognised | None:
    """Find a picture among the looks of a person's pictures. Takes some seconds if it is none of them: call it in a thread.

    load: the picture of an index; None if it is gone. Pictures that were cut need `load`, as looks bear only a little of that.
    """
    picture = picture.convert("RGB")
    wanted = looks(picture)
    same = [match.index for match in find(wanted, known)]
    likely = dict.fromkeys([*same, *(index for each in wanted for index in nearest(each, known, _CLOSER))])
    best: Recognised | None = None
    most = 0.0
    for index in list(likely)[: _CLOSER + len(same)]:
        original = load(index)
        try:
            drawn = pencil_mask(original, picture) if original is not None else None
        except Refused as refused:
            if refused.code == "refused.pencil-nothing":
                return Recognised(index, None)
            continue
        # what is cut and drawn on may be anything: on a plain picture another thing looks like paint, its own like cut off
        if drawn is not None and not drawn.cropped and drawn.agreement > max(most, _ALIKE):
            best, most = Recognised(index, drawn), drawn.agreement
            if most > _SURE:
                break
    return best or (Recognised(same[0], None) if same else None)

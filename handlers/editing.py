"""What the modes that start from a picture share: their button, and how one tap becomes a request."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from aiogram.filters.callback_data import CallbackData
from aiogram.types import InlineKeyboardButton

from engine import catalog
from engine.requests import Request, RequestError
from storage.domain import Picture, Refused

Label = Callable[[str], str]


class EditButton(CallbackData, prefix="v1p"):
    """A picture by its public id, and what is to be made of it: so it works for ever, wherever the picture is shown."""

    action: str
    picture: str


LONGEST_SIDE = 8192  # pixels of a result
LARGEST_RATIO = 20  # of its sides; Telegram shows no narrower photo
LARGEST_AREA = 27_000_000  # pixels: 5120 x 5120, four times a photo of Telegram's
OFFER = "offer"
"""The action that only says what can be made of a picture."""


class Edit(NamedTuple):
    """A button's text, and the request that stands behind it: (family, picture, seed) -> request.

    asks: the press is a question first, and the request only says whether the family can do it.
    """

    label: str
    make: Callable[[str, Picture, int], Request]
    asks: bool = False


def feather(picture: Picture) -> int:
    """Pixels over which what is drawn anew fades in: as many as suit a megapixel there, and fewer in a smaller picture."""
    return max(1, round(min(picture.width, picture.height) / 128))


def check_size(width: int, height: int) -> None:
    """Make sure that a picture of this size can be drawn, kept and sent. Raises: Refused with both sizes."""
    value = f"{width}×{height}"
    if max(width, height) > LARGEST_RATIO * min(width, height):
        raise Refused("refused.result-too-narrow", limit=LARGEST_RATIO, value=value)
    if max(width, height) > LONGEST_SIDE:
        raise Refused("refused.result-too-long", limit=LONGEST_SIDE, value=value)
    if width * height > LARGEST_AREA:
        raise Refused("refused.result-too-large", limit=LARGEST_AREA // 10**6, value=value)


_ANY = Picture(0, "", 0, None, 0, "any", 0, 64, 64, None, "", 0.0)


def served(family: str, edit: Edit, lanes: Collection[str] | None) -> bool:
    """Whether a family can do this. lanes: those that workers have; None for all of the family's."""
    try:
        lane = catalog.route(edit.make(family, _ANY, 0)).lane
    except RequestError:
        return False
    return lanes is None or lane in lanes


def buttons(
    shown: Sequence[Sequence[str]], edits: Mapping[str, Edit], picture: str, label: Label
) -> list[list[InlineKeyboardButton]]:
    """Draw rows of edits of a picture."""

    def button(action: str) -> InlineKeyboardButton:
        data = EditButton(action=action, picture=picture).pack()
        return InlineKeyboardButton(text=label(edits[action].label), callback_data=data)

    return [[button(action) for action in row] for row in shown]

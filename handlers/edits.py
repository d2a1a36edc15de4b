"""The rows of buttons of a picture that is there already, drawn or sent: one line a mode, and only what the family serves."""

from collections.abc import Collection
from functools import cache

from aiogram import F, Router
from aiogram.types import CallbackQuery, InlineKeyboardButton

from engine.requests import new_seed
from handlers import extend, inpaint, mix, outline, upscale, variation
from handlers.editing import EditButton, Label, buttons, served
from handlers.ports import Actor, FindPicture, Submit, Toast
from storage.domain import Refused

router = Router(name=__name__)

MODES = (variation, inpaint, extend, outline, mix, upscale)
EDITS = {action: edit for mode in MODES for action, edit in mode.EDITS.items()}
_SHOWN = ("vary", "wander", "inpaint", "extend", "outline", "mix", "up2", "up4", "try")
_COLUMNS = 2
_AT_ONCE = frozenset(action for action, edit in EDITS.items() if not edit.asks)


def possible(family: str, lanes: Collection[str] | None) -> bool:
    """Whether a family can make anything of a picture."""
    return any(served(family, edit, lanes) for edit in EDITS.values())


def rows(picture: str, family: str, lanes: Collection[str] | None, label: Label) -> list[list[InlineKeyboardButton]]:
    """Draw what can be made of a picture."""
    here = _here(family, None if lanes is None else frozenset(lanes))
    return buttons([here[at : at + _COLUMNS] for at in range(0, len(here), _COLUMNS)], EDITS, picture, label)


@cache
def _here(family: str, lanes: frozenset[str] | None) -> tuple[str, ...]:
    """The edits that are shown; the same for every picture."""
    return tuple(action for action in _SHOWN if served(family, EDITS[action], lanes))


@router.callback_query(EditButton.filter(F.action.in_(_AT_ONCE)))
async def edit(
    query: CallbackQuery,
    callback_data: EditButton,
    actor: Actor,
    find_picture: FindPicture,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> Toast:
    """One tap, one job."""
    picture, wanted = await find_picture(actor.user, callback_data.picture), EDITS[callback_data.action]
    if not served(family, wanted, lanes):  # a button from before
        raise Refused("refused.not-served")
    request = wanted.make(family, picture, new_seed())
    done = await submit(actor.wish(f"{callback_data.action}:{picture.public_id}"), request, picture)
    return Toast("toast.drawing" if done.created else "toast.already")

"""A star for a picture: among the favourites, or not; a press changes it in place."""

from collections.abc import Callable

from aiogram import Router
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton

from handlers.filters import private
from handlers.opened import drawn
from handlers.ports import Actor, Favour, FindJob, Show, Toast
from storage.domain import Job, Picture

router = Router(name=__name__)
router.callback_query.filter(private)


class StarButton(CallbackData, prefix="v1st"):
    """Whether picture `index` of a job is to be a favourite; pressed twice, it says the same twice.

    card: it stands under a card, which `back` is the way back of.
    """

    job: str
    index: int
    on: bool
    card: bool
    back: str


def button(job: Job, picture: Picture, index: int, back: str | None, label: Callable[[str], str]) -> InlineKeyboardButton:
    """Draw the star of a picture, full or empty. back: of a card; None under a result."""
    data = StarButton(job=job.public_id, index=index, on=not picture.favourite, card=back is not None, back=back or "")
    text = label("button.favourite" if picture.favourite else "button.no-favourite")
    return InlineKeyboardButton(text=text, callback_data=data.pack())


@router.callback_query(StarButton.filter())
async def star(
    query: CallbackQuery, callback_data: StarButton, actor: Actor, find_job: FindJob, favour: Favour, show: Show
) -> Toast:
    job = await drawn(actor, find_job, callback_data.job, callback_data.index)
    await favour(job, callback_data.index, callback_data.on)
    await show(actor, job, callback_data.index, callback_data.back if callback_data.card else None)
    return Toast("toast.favourite" if callback_data.on else "toast.no-favourite")

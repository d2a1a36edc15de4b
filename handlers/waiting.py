"""While a picture waits or is drawn: cancel it."""

from collections.abc import Callable

from aiogram import F, Router
from aiogram.filters import Command
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from handlers.ports import ActiveJobs, Actor, Cancel, Say, Toast
from storage.domain import ACTIVE, Job, JobState

router = Router(name=__name__)


class CancelButton(CallbackData, prefix="v1c"):
    job: str


def keyboard(job: Job, label: Callable[[str], str]) -> InlineKeyboardMarkup | None:
    """Draw the cancel button; none once it was pressed."""
    if job.cancel_requested:
        return None
    button = InlineKeyboardButton(text=label("button.cancel"), callback_data=CancelButton(job=job.public_id).pack())
    return InlineKeyboardMarkup(inline_keyboard=[[button]])


@router.callback_query(CancelButton.filter(F.job))
async def press_cancel(query: CallbackQuery, callback_data: CancelButton, actor: Actor, cancel: Cancel) -> Toast:
    job = await cancel(actor.user, callback_data.job, actor.inbox_id, actor.message_id)
    if job.state == JobState.QUEUED or job.state == JobState.CANCELLED:
        return Toast("toast.cancelled")
    return Toast("toast.stopping") if job.state == JobState.RUNNING else Toast("toast.too-late", alert=True)


@router.message(Command("cancel", ignore_case=True))
async def cancel_newest(message: Message, actor: Actor, active_jobs: ActiveJobs, cancel: Cancel, say: Say) -> None:
    """Cancel the person's newest waiting or drawing job; its own message says so."""
    jobs = [job for job in await active_jobs(actor.user) if not job.cancel_requested]
    if not jobs:
        await say(actor, "cancel.nothing")
        return
    job = await cancel(actor.user, jobs[-1].public_id, actor.inbox_id)
    if job.state not in ACTIVE:  # it ended between the two looks
        await say(actor, "cancel.nothing")

"""While a picture waits or is drawn: see the queue, cancel one, cancel all."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from handlers.ports import ActiveJobs, Actor, Cancel, Say, Screen, Toast
from storage.domain import ACTIVE, Job, JobState

router = Router(name=__name__)

_ALL = frozenset({"all", "все", "всё"})


class CancelButton(CallbackData, prefix="v1c"):
    job: str


class QueueButton(CallbackData, prefix="v1q"):
    """`action`: cancel one job, refresh, or ask whether all shall be cancelled."""

    action: str
    job: str = ""


class AllButton(CallbackData, prefix="v1ca"):
    """`stop` 1: yes, stop all; 0: no."""

    stop: int


class Line(NamedTuple):
    """A job as the queue lists it."""

    number: int
    prompt: str
    job: Job


def keyboard(job: Job, label: Callable[[str], str]) -> InlineKeyboardMarkup | None:
    """Draw the cancel button; none once it was pressed."""
    if job.cancel_requested:
        return None
    button = InlineKeyboardButton(text=label("button.cancel"), callback_data=CancelButton(job=job.public_id).pack())
    return InlineKeyboardMarkup(inline_keyboard=[[button]])


def queue_keyboard(lines: Sequence[Line], label: Callable[..., str]) -> InlineKeyboardMarkup:
    """Draw a cancel button for each job that can still be cancelled, one for all of them, and one to look again."""
    left = [line for line in lines if not line.job.cancel_requested]
    rows = [
        [_button(label("button.cancel-numbered", line._asdict()), QueueButton(action="cancel", job=line.job.public_id))]
        for line in left
    ]
    last = [_button(label("button.refresh"), QueueButton(action="refresh"))]
    if len(left) > 1:
        last.append(_button(label("button.cancel-all"), QueueButton(action="all")))
    return InlineKeyboardMarkup(inline_keyboard=[*rows, last])


def sure_keyboard(label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw the question whether all shall be cancelled."""
    row = [_button(label("button.stop-all"), AllButton(stop=1)), _button(label("button.keep"), AllButton(stop=0))]
    return InlineKeyboardMarkup(inline_keyboard=[row])


@router.message(Command("queue", ignore_case=True), F.chat.type == "private")
async def show_queue(message: Message, actor: Actor, screen: Screen) -> None:
    await screen(actor, "queue.menu")


@router.callback_query(QueueButton.filter(F.action == "refresh"), F.message.chat.type == "private")
async def refresh(query: CallbackQuery, actor: Actor, screen: Screen) -> None:
    await screen(actor, "queue.menu", edit=True)


@router.callback_query(QueueButton.filter(F.action == "cancel"), F.message.chat.type == "private")
async def cancel_listed(query: CallbackQuery, callback_data: QueueButton, actor: Actor, cancel: Cancel, screen: Screen) -> Toast:
    job = await cancel(actor.user, callback_data.job, None)
    await screen(actor, "queue.menu", edit=True)
    return _what_became(job)


@router.callback_query(QueueButton.filter(F.action == "all"), F.message.chat.type == "private")
async def ask_from_queue(query: CallbackQuery, actor: Actor, active_jobs: ActiveJobs, screen: Screen) -> None:
    await _ask(actor, active_jobs, screen, edit=True)


@router.callback_query(AllButton.filter(), F.message.chat.type == "private")
async def cancel_all(
    query: CallbackQuery, callback_data: AllButton, actor: Actor, active_jobs: ActiveJobs, cancel: Cancel, screen: Screen
) -> Toast | None:
    if not callback_data.stop:
        await screen(actor, "cancel.all-kept", edit=True)
        return None
    was = [await cancel(actor.user, job.public_id, None) for job in await _wanted(actor, active_jobs)]
    stopped = sum(job.state in ACTIVE for job in was)
    if not stopped:  # pressed twice, or too late: whatever the message says by now, it stays
        return Toast("cancel.nothing")
    await screen(actor, "cancel.all-done", {"jobs": stopped}, edit=True)
    return None


@router.callback_query(CancelButton.filter(F.job))
async def press_cancel(query: CallbackQuery, callback_data: CancelButton, actor: Actor, cancel: Cancel) -> Toast:
    return _what_became(await cancel(actor.user, callback_data.job, actor.inbox_id, actor.message_id))


@router.message(Command("cancel", ignore_case=True))
async def cancel_newest(
    message: Message, command: CommandObject, actor: Actor, active_jobs: ActiveJobs, cancel: Cancel, say: Say, screen: Screen
) -> None:
    """Cancel the person's newest waiting or drawing job; its own message says so. `/cancel all` asks first."""
    if (command.args or "").strip().casefold() in _ALL:
        await _ask(actor, active_jobs, screen, edit=False)
        return
    jobs = await _wanted(actor, active_jobs)
    if not jobs:
        await say(actor, "cancel.nothing")
        return
    job = await cancel(actor.user, jobs[-1].public_id, actor.inbox_id)
    if job.state not in ACTIVE:  # it ended between the two looks
        await say(actor, "cancel.nothing")


async def _ask(actor: Actor, active_jobs: ActiveJobs, screen: Screen, edit: bool) -> None:
    jobs = await _wanted(actor, active_jobs)
    await screen(actor, "cancel.all-ask" if jobs else "cancel.nothing", {"jobs": len(jobs)}, edit=edit)


async def _wanted(actor: Actor, active_jobs: ActiveJobs) -> list[Job]:
    return [job for job in await active_jobs(actor.user) if not job.cancel_requested]


def _what_became(job: Job) -> Toast:
    """Say what cancelling did to a job, given as it was before."""
    if job.state in (JobState.QUEUED, JobState.CANCELLED):
        return Toast("toast.cancelled")
    return Toast("toast.stopping") if job.state == JobState.RUNNING else Toast("toast.too-late", alert=True)


def _button(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())

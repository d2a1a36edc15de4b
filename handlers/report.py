"""Say that a picture is not as it should be: one button under every result, for all who see it."""

from collections.abc import Callable

from aiogram import Router
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup

from handlers.filters import private
from handlers.ports import Actor, FindJob, Report, Screen, Toast
from storage.domain import REPORTS, Refused

router = Router(name=__name__)

_DROP = "no"


class ReportButton(CallbackData, prefix="v1r"):
    """Picture `index` of a job (0: the whole sheet); `reason` is empty under the picture itself."""

    job: str
    index: int
    reason: str = ""


def button(job: str, index: int, label: Callable[[str], str]) -> InlineKeyboardButton:
    """Make the button that stands under a result."""
    return _button(label("button.report"), ReportButton(job=job, index=index))


def reasons_keyboard(job: str, index: int, label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw what can be said of a picture, and a way out."""
    rows = [[_button(label(f"button.report-{reason}"), ReportButton(job=job, index=index, reason=reason))] for reason in REPORTS]
    return InlineKeyboardMarkup(
        inline_keyboard=[*rows, [_button(label("button.report-no"), ReportButton(job=job, index=index, reason=_DROP))]]
    )


@router.callback_query(ReportButton.filter(), private)
async def in_private(
    query: CallbackQuery, callback_data: ReportButton, actor: Actor, find_job: FindJob, report: Report, screen: Screen
) -> Toast | None:
    """Ask what is wrong; then keep the answer, and say so in the question's place."""
    job, index, reason = callback_data.job, callback_data.index, callback_data.reason
    if reason == _DROP:
        await screen(actor, "report.dropped", edit=True)
    elif not reason:
        await find_job(actor.user, job)
        await screen(actor, "report.ask", {"job": job, "index": index}, reply=True)
    elif reason in REPORTS:
        new = await report(actor, job, index, reason)
        await screen(actor, "report.thanks" if new else "report.known", edit=True)
    else:
        raise Refused("refused.not-found")
    return None


@router.callback_query(ReportButton.filter())
async def in_a_group(query: CallbackQuery, callback_data: ReportButton, actor: Actor, report: Report) -> Toast:
    """Everybody who sees the picture may report it, and nobody else sees that."""
    new = await report(actor, callback_data.job, callback_data.index, "other")
    return Toast("report.thanks" if new else "report.known", alert=True)


def _button(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())

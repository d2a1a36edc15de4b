"""What is kept of a person, and what they can do about it: read it, take it with them, have it deleted."""

from collections.abc import Callable

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from engine import catalog
from handlers.filters import private
from handlers.ports import Actor, Export, FindErasure, Forget, KeepAll, Screen, Toast
from storage.domain import Refused

router = Router(name=__name__)

_SHOWN = 40  # characters of what is no receipt


class PrivacyButton(CallbackData, prefix="v1pr"):
    """`action`: export, or forget (which asks first)."""

    action: str


class ForgetButton(CallbackData, prefix="v1fo"):
    """`action`: yes, delete everything; no; or undo the wish that has this receipt."""

    action: str
    receipt: str = ""


def keyboard(label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw what can be done about what is kept."""
    row = [
        _button(label("button.export"), PrivacyButton(action="export")),
        _button(label("button.forget"), PrivacyButton(action="forget")),
    ]
    return InlineKeyboardMarkup(inline_keyboard=[row])


def ask_keyboard(label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw the question whether everything shall be deleted; the safe answer is the nearer one."""
    rows = [
        [_button(label("button.forget-no"), ForgetButton(action="no"))],
        [_button(label("button.forget-yes"), ForgetButton(action="yes"))],
    ]
    return InlineKeyboardMarkup(inline_keyboard=rows)


def undo_keyboard(receipt: str, label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw the one button of a deletion that is to come."""
    undo = _button(label("button.forget-undo"), ForgetButton(action="undo", receipt=receipt))
    return InlineKeyboardMarkup(inline_keyboard=[[undo]])


@router.message(Command("terms", ignore_case=True))
async def terms(message: Message, actor: Actor, screen: Screen, family: str, contact: str) -> None:
    await screen(actor, "terms.text", {"engine": catalog.family(family).title, "contact": contact})


@router.message(Command("privacy", ignore_case=True), private)
async def show_privacy(message: Message, actor: Actor, screen: Screen, contact: str) -> None:
    await screen(actor, "privacy.text", {"contact": contact})


@router.message(Command("export", ignore_case=True), private)
async def export_all(message: Message, actor: Actor, export: Export) -> None:
    await export(actor)


@router.callback_query(PrivacyButton.filter(F.action == "export"), private)
async def press_export(query: CallbackQuery, actor: Actor, export: Export) -> None:
    await export(actor)


@router.message(Command("forget", ignore_case=True), private)
async def forget_all(
    message: Message, command: CommandObject, actor: Actor, find_erasure: FindErasure, screen: Screen, grace_s: float
) -> None:
    """`/forget` asks, or says how a wish stands; `/forget RECEIPT` says what became of one."""
    receipt = (command.args or "").strip()
    erasure = await find_erasure(actor.user, receipt) if receipt else None
    if receipt and erasure is None:
        raise Refused("refused.no-receipt", value=receipt[:_SHOWN])
    if erasure is not None and erasure.done_at is not None:
        await screen(actor, "forget.done", {"receipt": receipt})
    else:
        await screen(actor, "forget.ask", {"grace_s": grace_s})


@router.callback_query(PrivacyButton.filter(F.action == "forget"), private)
async def press_forget(query: CallbackQuery, actor: Actor, screen: Screen, grace_s: float) -> None:
    await screen(actor, "forget.ask", {"grace_s": grace_s})


@router.callback_query(ForgetButton.filter(F.action == "yes"), private)
async def confirm(query: CallbackQuery, actor: Actor, forget: Forget, screen: Screen, grace_s: float) -> None:
    await forget(actor.user)
    await screen(actor, "forget.ask", {"grace_s": grace_s}, edit=True)


@router.callback_query(ForgetButton.filter(F.action == "no"), private)
async def refrain(query: CallbackQuery, actor: Actor, screen: Screen) -> None:
    await screen(actor, "forget.kept", edit=True)


@router.callback_query(ForgetButton.filter(F.action == "undo"), private)
async def undo(
    query: CallbackQuery,
    callback_data: ForgetButton,
    actor: Actor,
    keep_all: KeepAll,
    find_erasure: FindErasure,
    screen: Screen,
) -> Toast | None:
    """Take the wish back; too late, show the receipt."""
    kept = await keep_all(actor.user)
    erasure = None if kept else await find_erasure(actor.user, callback_data.receipt)
    if erasure is not None:
        await screen(actor, "forget.done", {"receipt": erasure.public_id}, edit=True)
        return Toast("forget.too-late", alert=True)
    await screen(actor, "forget.kept", edit=True)
    return None


def _button(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())

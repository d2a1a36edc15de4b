"""Tap instead of typing: buttons under a text whose words are drawn."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from aiogram import Router
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup

from handlers.imagine import draw
from handlers.ports import Actor, FindChoice, Submit, Toast
from storage.domain import Refused

router = Router(name=__name__)

_WIDTHS = ((9, 3), (20, 2))  # (characters of the longest label, buttons in a row)


class ChoiceButton(CallbackData, prefix="say"):
    notice: str
    index: int


def keyboard(notice: str, params: Mapping[str, Any], label: Callable[[str], str]) -> InlineKeyboardMarkup | None:
    """Draw the choices stored with a notice: short words three in a row, longer ones two, prompts one."""
    labels = [label(choice["key"]) if choice.get("key") else str(choice["label"]) for choice in params.get("choices", ())]
    if not labels:
        return None
    longest = max(map(len, labels))
    width = next((width for characters, width in _WIDTHS if longest <= characters), 1)

    def button(index: int, text: str) -> InlineKeyboardButton:
        return InlineKeyboardButton(text=text, callback_data=ChoiceButton(notice=notice, index=index).pack())

    buttons = [button(index, text) for index, text in enumerate(labels)]
    return InlineKeyboardMarkup(inline_keyboard=[buttons[i : i + width] for i in range(0, len(buttons), width)])


@router.callback_query(ChoiceButton.filter())
async def draw_choice(
    query: CallbackQuery,
    callback_data: ChoiceButton,
    actor: Actor,
    find_choice: FindChoice,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> Toast:
    prompt = await find_choice(actor.user, callback_data.notice, callback_data.index)
    if prompt is None:
        raise Refused("refused.not-found")
    wish = replace(actor.wish(f"say{callback_data.index}"), reply_to_message_id=None)  # it is no answer to our own words
    done = await draw(prompt, wish, actor, submit, family, lanes)
    return Toast("toast.drawing" if done.created else "toast.already")

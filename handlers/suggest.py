"""Tap instead of typing: buttons under a text whose words are drawn."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from aiogram import Router
from aiogram.filters.callback_data import CallbackData
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup

from handlers import inpaint, mix, remix, rewording, ways, worded
from handlers.editing import OFFER, EditButton
from handlers.imagine import draw
from handlers.ports import (
    Actor,
    FindChoice,
    FindDrawn,
    FindJob,
    FindParent,
    FindPicture,
    FindScreen,
    FindSeed,
    Screen,
    Submit,
    Toast,
)
from storage.domain import Picture, Refused, Wish

router = Router(name=__name__)

_WIDTHS = ((9, 3), (20, 2))  # (characters of the longest label, buttons in a row)


class ChoiceButton(CallbackData, prefix="say"):
    notice: str
    index: int


def keyboard(notice: str, params: Mapping[str, Any], label: Callable[[str], str]) -> InlineKeyboardMarkup | None:
    """Draw the choices stored with a notice: short words three in a row, longer ones two, prompts one."""
    labels = [label(choice["key"]) if choice.get("key") else str(choice["label"]) for choice in params.get("choices", ())]
    if not labels and not _offer(params, label):
        return None
    longest = max(map(len, labels), default=0)
    width = next((width for characters, width in _WIDTHS if longest <= characters), 1)

    def button(index: int, text: str) -> InlineKeyboardButton:
        return InlineKeyboardButton(text=text, callback_data=ChoiceButton(notice=notice, index=index).pack())

    buttons = [button(index, text) for index, text in enumerate(labels)]
    rows = [buttons[i : i + width] for i in range(0, len(buttons), width)]
    return InlineKeyboardMarkup(inline_keyboard=[*rows, *_offer(params, label)])


def _offer(params: Mapping[str, Any], label: Callable[[str], str]) -> list[list[InlineKeyboardButton]]:
    """The way from a slip in a caption to all that can be made of its picture."""
    what = worded.About.stored(params)
    if what is None or not what.offer:
        return []
    data = EditButton(action=OFFER, picture=what.pictures[0]).pack()
    return [[InlineKeyboardButton(text=label("button.offer"), callback_data=data)]]


async def about_a_result(
    query: CallbackQuery, callback_data: ChoiceButton, actor: Actor, find_screen: FindScreen
) -> dict[str, worded.About] | bool:
    """Whether the words of a button are about a result that is drawn again with them."""
    what = worded.About.stored(await find_screen(actor.user, callback_data.notice))
    return {"what": what} if what and what.job else False


@router.callback_query(ChoiceButton.filter(), about_a_result)
async def draw_again(
    query: CallbackQuery,
    callback_data: ChoiceButton,
    what: worded.About,
    actor: Actor,
    state: FSMContext,
    find_choice: FindChoice,
    find_job: FindJob,
    find_seed: FindSeed,
    find_drawn: FindDrawn,
    find_parent: FindParent,
    submit: Submit,
    screen: Screen,
    lanes: Collection[str] | None,
) -> Toast:
    """Draw a result again with the words of a button."""
    prompt = await find_choice(actor.user, callback_data.notice, callback_data.index)
    if prompt is None:
        raise Refused("refused.not-found")
    wish = _wish(actor.ending() if await what.is_asked(state) else actor, callback_data.index)
    if what.way == worded.MEANT:
        done = await rewording.meant(prompt, what, wish, actor, find_job, find_seed, submit, lanes)
    else:
        origin = remix.Origins(find_job, find_seed, find_drawn, find_parent)
        again = await remix.drawn_again(prompt, what, wish, actor, origin, submit, screen, lanes)
        if again is None:
            return Toast("toast.look-below")
        done = again
    return Toast("toast.drawing" if done.created else "toast.already")


@router.callback_query(ChoiceButton.filter())
async def draw_choice(
    query: CallbackQuery,
    callback_data: ChoiceButton,
    actor: Actor,
    state: FSMContext,
    find_choice: FindChoice,
    find_screen: FindScreen,
    find_picture: FindPicture,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> Toast:
    """Draw the words of a button, with the pictures that they are about if there are any."""
    prompt = await find_choice(actor.user, callback_data.notice, callback_data.index)
    if prompt is None:
        raise Refused("refused.not-found")
    what = worded.About.stored(await find_screen(actor.user, callback_data.notice))
    wish = _wish(actor.ending() if what and await what.is_asked(state) else actor, callback_data.index)
    if what:
        pictures = [await find_picture(actor.user, public_id) for public_id in what.pictures]
        make = _maker(what, family, pictures)
        done = await worded.draw(prompt, what, make, pictures[0], wish, submit, family, lanes)
    else:
        done = await draw(prompt, wish, actor, submit, family, lanes)
    return Toast("toast.drawing" if done.created else "toast.already")


def _wish(actor: Actor, index: int) -> Wish:
    return replace(actor.wish(f"say{index}"), reply_to_message_id=None)  # it is no answer to our own words


def _maker(what: worded.About, family: str, pictures: list[Picture]) -> worded.Make:
    if what.way == worded.INPAINT:
        return lambda prompt, seed: inpaint.repaint(family, pictures[0], what.mask, prompt, seed)
    if what.way == worded.MIX:
        return mix.maker(family, pictures, what.share)
    return ways.maker(what.way, family, pictures[0])

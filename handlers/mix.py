"""Two to four pictures mixed, each with its share: an album, or a second picture sent after a press."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiogram import F, Router
from aiogram.filters.callback_data import CallbackData
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup

from engine import catalog
from engine.requests import Mix, Request
from handlers import worded
from handlers.editing import OFFER, Edit, EditButton, Label, served
from handlers.ports import Actor, Ask, FindAlbum, FindPicture, FindScreen, Submit, Toast, unless_new
from storage.domain import Picture, Refused

router = Router(name=__name__)

MOST = 4  # pictures in one mix
_SHARES = (20, 35, 50, 65, 80)  # per cent of the first of two
_EQUAL = 0


class Second(StatesGroup):
    """The bot asked for the picture to mix with."""

    picture = State()


class ShareButton(CallbackData, prefix="v1x"):
    """`notice` knows the pictures; `share` is the first one's, in per cent, 0 for equal shares of all."""

    notice: str
    share: int


def mixed(family: str, pictures: Sequence[Picture], seed: int, prompt: str = "", weights: Sequence[float] = ()) -> Request:
    """What pictures have in common, with words or without."""
    images = tuple(picture.media_id for picture in pictures[:MOST])
    return catalog.make(Mix, family, images=images, seed=seed, prompt=prompt, weights=tuple(weights))


def maker(family: str, pictures: Sequence[Picture], share: int) -> worded.Make:
    """Make the requests of words with pictures. share: of the first of two, in per cent; of more, all have the same."""
    weights = (share / 100, (100 - share) / 100) if len(pictures) == 2 and 0 < share < 100 else ()
    return lambda prompt, seed: mixed(family, pictures, seed, prompt, weights)


EDITS = {"mix": Edit("button.mix", lambda family, picture, seed: mixed(family, [picture], seed), asks=True)}


def keyboard(notice: str, pictures: Sequence[str], mixes: bool, label: Label) -> InlineKeyboardMarkup:
    """Draw the shares of two pictures, or one button for more; and a number for each alone.

    pictures: their public ids.  mixes: whether the family can.
    """

    def button(text: str, share: int) -> InlineKeyboardButton:
        return InlineKeyboardButton(text=text, callback_data=ShareButton(notice=notice, share=share).pack())

    shares = [button(f"{share}/{100 - share}", share) for share in _SHARES]
    together = shares if len(pictures) == 2 else [button(label("button.mix-all"), _EQUAL)]
    alone = [
        InlineKeyboardButton(text=str(number), callback_data=EditButton(action=OFFER, picture=each).pack())
        for number, each in enumerate(pictures, start=1)
    ]
    return InlineKeyboardMarkup(inline_keyboard=[*([together] if mixes else []), alone])


@router.callback_query(EditButton.filter(F.action == "mix"))
async def ask_for_second(
    query: CallbackQuery, callback_data: EditButton, actor: Actor, state: FSMContext, find_picture: FindPicture, ask: Ask
) -> Toast | None:
    picture = await find_picture(actor.user, callback_data.picture)
    return unless_new(await ask(actor, "mix.ask", state.key, Second.picture, {"picture": picture.public_id}))


@router.callback_query(ShareButton.filter())
async def mix(
    query: CallbackQuery,
    callback_data: ShareButton,
    actor: Actor,
    find_screen: FindScreen,
    find_album: FindAlbum,
    find_picture: FindPicture,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> Toast:
    asked = await find_screen(actor.user, callback_data.notice)
    pictures = await _pictures(asked, actor, find_album, find_picture)
    if not pictures:
        raise Refused("refused.not-found")
    if not served(family, EDITS["mix"], lanes):
        raise Refused("refused.not-served")
    share = callback_data.share
    words = next((picture.caption for picture in pictures if picture.caption), "")  # an album's stand under one of them
    about = worded.About(worded.MIX, tuple(picture.public_id for picture in pictures[:MOST]), share=share)
    make = maker(family, pictures, share)
    done = await worded.draw(words, about, make, pictures[0], actor.wish(f"mix{share}"), submit, family, lanes)
    return Toast("toast.drawing" if done.created else "toast.already")


async def _pictures(asked: Mapping[str, Any], actor: Actor, find_album: FindAlbum, find_picture: FindPicture) -> list[Picture]:
    if "album" in asked:
        return await find_album(actor.user, str(asked["album"]))
    return [await find_picture(actor.user, str(public_id)) for public_id in asked.get("pictures", ())]

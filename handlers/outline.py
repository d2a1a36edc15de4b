"""A picture's outlines, drawn anew with other words: a press asks for the words."""

from collections.abc import Collection

from aiogram import F, Router
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, Message

from engine import catalog
from engine.requests import KeepOutline, Request
from handlers import worded
from handlers.asking import picture_asked_about
from handlers.editing import Edit, EditButton
from handlers.filters import private, words
from handlers.ports import Actor, Ask, FindPicture, Submit, Toast, unless_new
from storage.domain import Picture

router = Router(name=__name__)
router.message.filter(private)


class Outline(StatesGroup):
    """The bot asked what to draw along the outlines."""

    words = State()


def along(family: str, picture: Picture, prompt: str, seed: int, style: Picture | None = None) -> Request:
    """Words drawn along a picture's outlines; `style` is another picture that gives the look."""
    look = style.media_id if style else ""
    return catalog.make(KeepOutline, family, image=picture.media_id, prompt=prompt, seed=seed, style_image=look)


def _any_words(family: str, picture: Picture, seed: int) -> Request:
    return along(family, picture, catalog.examples(family, "en")[0], seed)


EDITS = {"outline": Edit("button.outline", _any_words, asks=True)}


@router.callback_query(EditButton.filter(F.action == "outline"))
async def ask_for_words(
    query: CallbackQuery, callback_data: EditButton, actor: Actor, state: FSMContext, find_picture: FindPicture, ask: Ask
) -> Toast | None:
    picture = await find_picture(actor.user, callback_data.picture)
    return unless_new(await ask(actor, "outline.ask", state.key, Outline.words, {"picture": picture.public_id}))


@router.message(Outline.words, words)
async def draw(
    message: Message,
    actor: Actor,
    state: FSMContext,
    find_picture: FindPicture,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> None:
    picture = await picture_asked_about(state, actor, find_picture)
    about = worded.About(worded.OUTLINE, (picture.public_id,), question=str(Outline.words.state))

    def make(prompt: str, seed: int) -> Request:
        return along(family, picture, prompt, seed)

    await worded.draw(message.text or "", about, make, picture, actor.ending().wish(), submit, family, lanes)

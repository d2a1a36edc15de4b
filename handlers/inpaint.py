"""A part of a picture drawn anew: a mask first (an editor, the pencil of Telegram's own, or a file), a look at it, then words."""

from collections.abc import Callable

from aiogram import F, Router
from aiogram.filters.callback_data import CallbackData
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message, WebAppInfo

from engine import catalog
from engine.requests import Inpaint, Request, new_seed
from handlers.asking import picture_asked_about
from handlers.editing import Edit, EditButton, Label, feather
from handlers.filters import picture, private, words
from handlers.ports import Actor, Ask, ChangeMask, FindPicture, Screen, Submit, TakeMask
from handlers.sent import sent
from storage.domain import MASK_CHANGES, Picture, Refused

router = Router(name=__name__)
router.message.filter(private)
router.callback_query.filter(private)


class Repaint(StatesGroup):
    """The bot asked for a mask, or for what should be there."""

    mask = State()
    words = State()


class MaskButton(CallbackData, prefix="v1m"):
    """Change a picture's mask, look at it, or use it as it is."""

    action: str
    picture: str


def repaint(family: str, picture: Picture, mask: str, prompt: str, seed: int) -> Request:
    """Words where a mask (a media id) marks a picture."""
    return catalog.make(
        Inpaint,
        family,
        image=picture.media_id,
        mask_image=mask,
        prompt=prompt,
        seed=seed,
        mask_feather=feather(picture),
    )


def _any_words(family: str, picture: Picture, seed: int) -> Request:
    return repaint(family, picture, "any", catalog.examples(family, "en")[0], seed)


EDITS = {"inpaint": Edit("button.inpaint", _any_words, asks=True)}


def ways_keyboard(picture: str, has_mask: bool, editor: Callable[[str], str] | None, label: Label) -> InlineKeyboardMarkup:
    """Draw the ways to a mask that are buttons. editor: makes the address of the mask editor; None where there is none."""
    rows = []
    if editor is not None:
        rows.append([InlineKeyboardButton(text=label("button.editor"), web_app=WebAppInfo(url=editor(picture)))])
    if has_mask:
        rows.append([_button("look", picture, label)])
    return InlineKeyboardMarkup(inline_keyboard=rows)


def preview_keyboard(picture: str, label: Label) -> InlineKeyboardMarkup:
    """Draw what can be done with a mask before it is used."""
    shown = (("use", "invert"), ("grow", "shrink"))
    return InlineKeyboardMarkup(inline_keyboard=[[_button(action, picture, label) for action in row] for row in shown])


def _preview(picture: Picture, mask: str) -> dict[str, str]:
    """What a preview is of. Each names its mask, though the newest counts: so all of a person's are found when they leave."""
    return {"picture": picture.public_id, "mask": mask}


def _button(action: str, picture: str, label: Label) -> InlineKeyboardButton:
    data = MaskButton(action=action, picture=picture).pack()
    return InlineKeyboardButton(text=label(f"button.mask-{action}"), callback_data=data)


@router.callback_query(EditButton.filter(F.action == "inpaint"))
async def ask_for_mask(
    query: CallbackQuery, callback_data: EditButton, actor: Actor, state: FSMContext, find_picture: FindPicture, ask: Ask
) -> None:
    asked = await find_picture(actor.user, callback_data.picture)
    await ask(actor, "inpaint.how", state.key, Repaint.mask, {"picture": asked.public_id})


@router.message(Repaint.mask, picture)
async def mask_came(
    message: Message, actor: Actor, state: FSMContext, find_picture: FindPicture, take_mask: TakeMask, screen: Screen
) -> None:
    """The picture drawn on, or a mask of its own; what cannot be used is refused, and the question stays open."""
    asked = await picture_asked_about(state, actor, find_picture)
    mask = await take_mask(actor, asked, sent(message))
    await screen(actor, "mask.preview", _preview(asked, mask))
    await state.clear()


@router.callback_query(MaskButton.filter(F.action == "look"))
async def look(query: CallbackQuery, callback_data: MaskButton, actor: Actor, find_picture: FindPicture, screen: Screen) -> None:
    asked = await find_picture(actor.user, callback_data.picture)
    await screen(actor, "mask.preview", {"picture": asked.public_id})


@router.callback_query(MaskButton.filter(F.action.in_(MASK_CHANGES)))
async def change(
    query: CallbackQuery,
    callback_data: MaskButton,
    actor: Actor,
    find_picture: FindPicture,
    change_mask: ChangeMask,
    screen: Screen,
) -> None:
    asked = await find_picture(actor.user, callback_data.picture)
    mask = await change_mask(asked, callback_data.action)
    await screen(actor, "mask.preview", _preview(asked, mask), edit=True)


@router.callback_query(MaskButton.filter(F.action == "use"))
async def ask_for_words(
    query: CallbackQuery, callback_data: MaskButton, actor: Actor, state: FSMContext, find_picture: FindPicture, ask: Ask
) -> None:
    asked = await find_picture(actor.user, callback_data.picture)
    if asked.mask_id is None:
        raise Refused("refused.not-found")
    await ask(actor, "inpaint.ask", state.key, Repaint.words, {"picture": asked.public_id, "mask": asked.mask_id})


@router.message(Repaint.words, words)
async def draw(message: Message, actor: Actor, state: FSMContext, find_picture: FindPicture, submit: Submit, family: str) -> None:
    """With the mask that was looked at, whatever became of it since."""
    asked, mask = await picture_asked_about(state, actor, find_picture), str((await state.get_data())["mask"])
    await submit(actor.wish(), repaint(family, asked, mask, message.text or "", new_seed()), asked)
    await state.clear()

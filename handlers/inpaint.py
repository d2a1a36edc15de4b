"""A part of a picture drawn anew: a mask first (an editor, the pencil of Telegram's own, or a file), a look at it, then words."""

from collections.abc import Callable, Collection

from aiogram import F, Router
from aiogram.filters.callback_data import CallbackData
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message, WebAppInfo

from engine import catalog
from engine.requests import Inpaint, Request
from handlers import worded
from handlers.asking import picture_asked_about
from handlers.editing import Edit, EditButton, Label, feather
from handlers.filters import picture, private, words
from handlers.ports import Actor, Ask, ChangeMask, FindPicture, FindScreen, Screen, Submit, TakeMask, Toast, unless_new
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
    """Look at a picture's last mask."""

    action: str
    picture: str


class PreviewButton(CallbackData, prefix="v1mp"):
    """Change the mask that a preview shows, or use it as it is; `notice` knows the picture and that mask."""

    action: str
    notice: str


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
        look = MaskButton(action="look", picture=picture).pack()
        rows.append([InlineKeyboardButton(text=label("button.mask-look"), callback_data=look)])
    return InlineKeyboardMarkup(inline_keyboard=rows)


def preview_keyboard(notice: str, label: Label) -> InlineKeyboardMarkup:
    """Draw what can be done with a mask before it is used."""

    def button(action: str) -> InlineKeyboardButton:
        data = PreviewButton(action=action, notice=notice).pack()
        return InlineKeyboardButton(text=label(f"button.mask-{action}"), callback_data=data)

    shown = (("use", "invert"), ("grow", "shrink"))
    return InlineKeyboardMarkup(inline_keyboard=[[button(action) for action in row] for row in shown])


def _preview(picture: Picture, mask: str) -> dict[str, str]:
    """What a preview is of: its buttons are about this mask, whatever became of the picture's last one."""
    return {"picture": picture.public_id, "mask": mask}


async def _shown(pressed: PreviewButton, actor: Actor, find_screen: FindScreen, find_picture: FindPicture) -> tuple[Picture, str]:
    """The picture and the mask of the preview whose button was pressed. Raises: Refused."""
    shown = await find_screen(actor.user, pressed.notice)
    if not shown.get("mask"):
        raise Refused("refused.not-found")
    return await find_picture(actor.user, str(shown["picture"])), str(shown["mask"])


@router.callback_query(EditButton.filter(F.action == "inpaint"))
async def ask_for_mask(
    query: CallbackQuery, callback_data: EditButton, actor: Actor, state: FSMContext, find_picture: FindPicture, ask: Ask
) -> Toast | None:
    asked = await find_picture(actor.user, callback_data.picture)
    return unless_new(await ask(actor, "inpaint.how", state.key, Repaint.mask, {"picture": asked.public_id}))


@router.message(Repaint.mask, picture)
async def mask_came(
    message: Message, actor: Actor, state: FSMContext, find_picture: FindPicture, take_mask: TakeMask, screen: Screen
) -> None:
    """The picture drawn on, or a mask of its own; what cannot be used is refused, and the question stays open."""
    asked = await picture_asked_about(state, actor, find_picture)
    taken = await take_mask(actor, asked, sent(message))
    await screen(actor.ending(), "mask.preview", _preview(asked, taken.media_id) | ({"read": taken.read} if taken.read else {}))


@router.callback_query(MaskButton.filter())
async def look(
    query: CallbackQuery, callback_data: MaskButton, actor: Actor, find_picture: FindPicture, screen: Screen
) -> Toast | None:
    """The last mask; under previews from before, which named none, every button brings it."""
    asked = await find_picture(actor.user, callback_data.picture)
    if asked.mask_id is None:
        raise Refused("refused.not-found")
    return unless_new(await screen(actor, "mask.preview", _preview(asked, asked.mask_id)))


@router.callback_query(PreviewButton.filter(F.action.in_(MASK_CHANGES)))
async def change(
    query: CallbackQuery,
    callback_data: PreviewButton,
    actor: Actor,
    find_screen: FindScreen,
    find_picture: FindPicture,
    change_mask: ChangeMask,
    screen: Screen,
) -> None:
    asked, mask = await _shown(callback_data, actor, find_screen, find_picture)
    changed = await change_mask(asked, mask, callback_data.action)
    await screen(actor, "mask.preview", _preview(asked, changed), edit=True)


@router.callback_query(PreviewButton.filter(F.action == "use"))
async def ask_for_words(
    query: CallbackQuery,
    callback_data: PreviewButton,
    actor: Actor,
    state: FSMContext,
    find_screen: FindScreen,
    find_picture: FindPicture,
    ask: Ask,
) -> Toast | None:
    asked, mask = await _shown(callback_data, actor, find_screen, find_picture)
    return unless_new(await ask(actor, "inpaint.ask", state.key, Repaint.words, _preview(asked, mask)))


@router.message(Repaint.words, words)
async def draw(
    message: Message,
    actor: Actor,
    state: FSMContext,
    find_picture: FindPicture,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> None:
    """With the mask that was looked at, whatever became of it since."""
    asked, mask = await picture_asked_about(state, actor, find_picture), str((await state.get_data())["mask"])
    about = worded.About(worded.INPAINT, (asked.public_id,), mask, question=str(Repaint.words.state))

    def make(prompt: str, seed: int) -> Request:
        return repaint(family, asked, mask, prompt, seed)

    await worded.draw(message.text or "", about, make, asked, actor.ending().wish(), submit, family, lanes)

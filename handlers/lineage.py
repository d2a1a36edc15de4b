"""What came of what: a picture by its name, back to what it was made from, the family tree, and whether a recipe holds."""

from collections.abc import Sequence
from dataclasses import replace

from aiogram import Router
from aiogram.filters import Command, CommandObject
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from engine.requests import clean_prompt, from_json
from handlers.editing import Label
from handlers.filters import private
from handlers.opened import as_before, drawn
from handlers.ports import (
    Actor,
    FindDrawn,
    FindJob,
    FindNamed,
    FindNewest,
    FindOrigin,
    FindParent,
    FindPicture,
    FindShown,
    Say,
    Screen,
    ShowCard,
    Submit,
    Toast,
    unless_new,
)
from handlers.start import examples
from storage.domain import Job, Picture, Refused, Remark

router = Router(name=__name__)
router.message.filter(private)
router.callback_query.filter(private)

PROOF = "proof.of"
"""The remark of a job that draws a picture again to compare; it names that picture."""
CHILDREN = 4  # buttons on a card; the tree has all
MEMBERS = 30  # of a family, in one tree
_COLUMNS = 2
_FEW = 8  # buttons of a tree that need no third column
_LONGEST_NAME = 40  # characters that are quoted back


class NodeButton(CallbackData, prefix="v1n"):
    """A picture's card. here: in the place of the message that was pressed, which is a card itself; `back` is its way back."""

    picture: str
    here: bool
    back: str


class OriginButton(CallbackData, prefix="v1u"):
    """The card of what a picture was made from."""

    picture: str


class TreeButton(CallbackData, prefix="v1nt"):
    """The family of a picture."""

    picture: str


class ProofButton(CallbackData, prefix="v1np"):
    """Draw picture `index` of a job again, and compare."""

    job: str
    index: int


def origin_button(picture: Picture, label: Label) -> InlineKeyboardButton:
    """Draw the way back to what a picture was made from."""
    return _button(label("button.undo"), OriginButton(picture=picture.public_id))


def kin_rows(
    picture: Picture, parent: Picture | None, children: Sequence[Picture], back: str, label: Label
) -> list[list[InlineKeyboardButton]]:
    """Draw a card's ways to what the picture was made from, to what was made of it, and to the whole family."""

    def node(each: Picture, sign: str) -> InlineKeyboardButton:
        return _button(f"{sign} k-{each.name}", NodeButton(picture=each.public_id, here=True, back=back))

    near = [*([node(parent, "↩️")] if parent else []), *(node(child, "🌿") for child in children)]
    if near:
        near.append(_button(label("button.tree"), TreeButton(picture=picture.public_id)))
    return [near[at : at + _COLUMNS] for at in range(0, len(near), _COLUMNS)]


def proof_button(job: Job, index: int, label: Label) -> InlineKeyboardButton:
    """Draw the button that puts a recipe to the proof."""
    return _button(label("button.proof"), ProofButton(job=job.public_id, index=index))


def tree_keyboard(members: Sequence[tuple[str, Picture]]) -> InlineKeyboardMarkup:
    """Draw a button for each picture of a tree, with the sign of how it was made."""
    buttons = [
        _button(f"{sign} k-{picture.name}", NodeButton(picture=picture.public_id, here=False, back=""))
        for sign, picture in members
    ]
    columns = _COLUMNS if len(buttons) <= _FEW else _COLUMNS + 1
    return InlineKeyboardMarkup(inline_keyboard=[buttons[at : at + columns] for at in range(0, len(buttons), columns)])


@router.message(Command("show", ignore_case=True))
async def show_named(
    message: Message,
    command: CommandObject,
    actor: Actor,
    find_named: FindNamed,
    find_shown: FindShown,
    show_card: ShowCard,
    say: Say,
) -> None:
    """`/show k-7F3A`, however that is spelled; or in reply to a picture."""
    picture = await _meant(message, command, actor, find_named, find_shown)
    if picture is None:
        await say(actor, "show.how")
    else:
        await show_card(actor, picture)


@router.message(Command("tree", ignore_case=True))
async def show_tree(
    message: Message,
    command: CommandObject,
    actor: Actor,
    find_named: FindNamed,
    find_shown: FindShown,
    find_newest: FindNewest,
    screen: Screen,
    say: Say,
    family: str,
) -> None:
    """`/tree k-7F3A`; in reply to a picture; or of the newest."""
    picture = await _meant(message, command, actor, find_named, find_shown) or await find_newest(actor.user)
    if picture is None:
        await say(actor, "history.empty", None, examples(actor, family))
    else:
        await screen(actor, "tree.page", {"picture": picture.public_id})


@router.callback_query(NodeButton.filter())
async def open_node(
    query: CallbackQuery, callback_data: NodeButton, actor: Actor, find_picture: FindPicture, show_card: ShowCard
) -> None:
    picture = await find_picture(actor.user, callback_data.picture)
    await show_card(actor, picture, callback_data.back if callback_data.here else None)


@router.callback_query(OriginButton.filter())
async def undo(
    query: CallbackQuery,
    callback_data: OriginButton,
    actor: Actor,
    find_picture: FindPicture,
    find_origin: FindOrigin,
    show_card: ShowCard,
) -> None:
    """Back to where a picture came from, with all its buttons."""
    await show_card(actor, await find_origin(await find_picture(actor.user, callback_data.picture)))


@router.callback_query(TreeButton.filter())
async def open_tree(
    query: CallbackQuery, callback_data: TreeButton, actor: Actor, find_picture: FindPicture, screen: Screen
) -> Toast | None:
    picture = await find_picture(actor.user, callback_data.picture)
    return unless_new(await screen(actor, "tree.page", {"picture": picture.public_id}))


@router.callback_query(ProofButton.filter())
async def prove(
    query: CallbackQuery,
    callback_data: ProofButton,
    actor: Actor,
    find_job: FindJob,
    find_drawn: FindDrawn,
    find_parent: FindParent,
    submit: Submit,
) -> Toast:
    """The whole request again, as it was: a picture may depend on those that were drawn beside it."""
    job = await drawn(actor, find_job, callback_data.job, callback_data.index)
    picture = await find_drawn(job, callback_data.index)
    remark = Remark(PROOF, {"picture": picture.public_id, "name": f"k-{picture.name}"})
    wish = replace(as_before(actor.wish(f"proof{callback_data.index}:{job.public_id}"), job), remarks=(remark,))
    done = await submit(wish, from_json(job.params), await find_parent(job))
    return Toast("toast.drawing" if done.created else "toast.already")


async def _meant(
    message: Message, command: CommandObject, actor: Actor, find_named: FindNamed, find_shown: FindShown
) -> Picture | None:
    """The picture that a command names or answers; None if it does neither. Raises: Refused for a name that is not theirs."""
    typed = clean_prompt(command.args or "")
    if typed:
        found = await find_named(actor.user, typed)
        if found is None:
            raise Refused("refused.no-such-name", value=typed[:_LONGEST_NAME])
        return found
    if message.reply_to_message:
        return next(iter(await find_shown(actor, message.reply_to_message.message_id)), None)
    return None


def _button(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())

"""Words together with a picture: understood in one way at once, and in another with a tap."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from aiogram import F, Router
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from engine import catalog
from engine.requests import ImageToImage, KeepOutline, Mix, Request, from_json, new_seed
from handlers import mix, outline, worded
from handlers.editing import Edit, Label, served
from handlers.filters import private, words
from handlers.ports import Actor, FindJob, FindParent, FindPicture, FindScreen, FindShown, Screen, Submit, Toast, unless_new
from storage.domain import Job, Picture, Refused

router = Router(name=__name__)
router.message.filter(private)


class Way(NamedTuple):
    """A button's text, the kind of request, and how it is made: (family, picture, prompt, seed) -> request."""

    label: str
    kind: type[Request]
    make: Callable[[str, Picture, str, int], Request]


def _with_its_look(family: str, picture: Picture, prompt: str, seed: int) -> Request:
    return mix.mixed(family, [picture], seed, prompt)


def _painted_over(family: str, picture: Picture, prompt: str, seed: int) -> Request:
    return catalog.make(ImageToImage, family, image=picture.media_id, prompt=prompt, seed=seed)


WAYS: Mapping[str, Way] = {  # the first that a family serves is how words are understood
    "look": Way("button.way-look", Mix, _with_its_look),
    "over": Way("button.way-over", ImageToImage, _painted_over),
    "outline": Way("button.way-outline", KeepOutline, outline.along),
}


class WaysButton(CallbackData, prefix="v1ws"):
    """Ask in which other way a job's words and its picture may be understood."""

    job: str


class WayButton(CallbackData, prefix="v1w"):
    """A job's words with its picture, in another way."""

    way: str
    job: str


class WhichButton(CallbackData, prefix="v1wh"):
    """Of the pictures that a message shows, the one that words were about; `notice` knows both."""

    notice: str
    index: int


def possible(family: str, lanes: Collection[str] | None) -> list[str]:
    """The ways that a family serves, the usual one first."""
    example = catalog.examples(family, "en")[0]

    def edit(way: Way) -> Edit:
        return Edit(way.label, lambda family, picture, seed: way.make(family, picture, example, seed))

    return [name for name, way in WAYS.items() if served(family, edit(way), lanes)]


def usual(family: str, lanes: Collection[str] | None) -> str | None:
    """The way in which words with a picture are understood; None if the family has no use for both."""
    return next(iter(possible(family, lanes)), None)


def maker(way: str, family: str, picture: Picture) -> worded.Make:
    """Make the requests of words with a picture, in one of `WAYS`."""
    return lambda prompt, seed: WAYS[way].make(family, picture, prompt, seed)


def keyboard(job: str, used: str, family: str, lanes: Collection[str] | None, label: Label) -> InlineKeyboardMarkup:
    """Draw the other ways. used: the kind of request that the job was."""
    others = [name for name in possible(family, lanes) if WAYS[name].kind.kind != used]
    rows = [
        [InlineKeyboardButton(text=label(WAYS[name].label), callback_data=WayButton(way=name, job=job).pack())] for name in others
    ]
    return InlineKeyboardMarkup(inline_keyboard=rows)


def button(job: Job, family: str, lanes: Collection[str] | None, label: Label) -> list[InlineKeyboardButton]:
    """Draw the button to the other ways; none for a job whose picture and words can be understood in one way only."""
    kinds = [WAYS[name].kind.kind for name in possible(family, lanes)]
    if job.parent_picture_id is None or not prompt_of(job) or job.kind not in kinds or len(kinds) < 2:
        return []
    return [InlineKeyboardButton(text=label("button.ways"), callback_data=WaysButton(job=job.public_id).pack())]


def prompt_of(job: Job) -> str:
    """The words of a job; empty for one without."""
    return str(getattr(from_json(job.drawing), "prompt", ""))


def which_keyboard(notice: str, pictures: int) -> InlineKeyboardMarkup:
    """Draw a number for each picture."""

    def button(index: int) -> InlineKeyboardButton:
        return InlineKeyboardButton(text=str(index), callback_data=WhichButton(notice=notice, index=index).pack())

    return InlineKeyboardMarkup(inline_keyboard=[[button(index) for index in range(1, pictures + 1)]])


@router.message(F.reply_to_message, words)
async def reply(
    message: Message,
    actor: Actor,
    find_shown: FindShown,
    screen: Screen,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> None:
    """Words under a picture are about that picture."""
    pictures = await find_shown(actor, message.reply_to_message.message_id if message.reply_to_message else 0)
    prompt, way = message.text or "", usual(family, lanes)
    if not pictures or way is None:
        raise SkipHandler
    if len(pictures) > 1:
        ids = [picture.public_id for picture in pictures]
        await screen(actor, "ways.which", {"pictures": ids, "count": len(ids), "prompt": prompt})
        return
    about = worded.About(way, (pictures[0].public_id,))
    await worded.draw(prompt, about, maker(way, family, pictures[0]), pictures[0], actor.wish(), submit, family, lanes)


@router.callback_query(WhichButton.filter())
async def this_one(
    query: CallbackQuery,
    callback_data: WhichButton,
    actor: Actor,
    find_screen: FindScreen,
    find_picture: FindPicture,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> Toast:
    asked = await find_screen(actor.user, callback_data.notice)
    ids, prompt = list(asked.get("pictures", ())), str(asked.get("prompt", ""))
    if not prompt or not 0 < callback_data.index <= len(ids):
        raise Refused("refused.not-found")
    picture, way = await find_picture(actor.user, str(ids[callback_data.index - 1])), usual(family, lanes)
    if way is None:
        raise Refused("refused.not-served")
    about, make = worded.About(way, (picture.public_id,)), maker(way, family, picture)
    wish = actor.wish(f"which{callback_data.index}")
    done = await worded.draw(prompt, about, make, picture, wish, submit, family, lanes)
    return Toast("toast.drawing" if done.created else "toast.already")


@router.callback_query(WaysButton.filter())
async def ask_which_way(
    query: CallbackQuery, callback_data: WaysButton, actor: Actor, find_job: FindJob, screen: Screen
) -> Toast | None:
    job = await find_job(actor.user, callback_data.job)
    return unless_new(await screen(actor, "ways.ask", {"job": job.public_id, "kind": job.kind, "prompt": prompt_of(job)}))


@router.callback_query(WayButton.filter(F.way.in_(WAYS)))
async def another_way(
    query: CallbackQuery,
    callback_data: WayButton,
    actor: Actor,
    find_job: FindJob,
    find_parent: FindParent,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> Toast:
    job = await find_job(actor.user, callback_data.job)
    picture, prompt = await find_parent(job), prompt_of(job)
    if picture is None or not prompt:
        raise Refused("refused.not-found")
    if callback_data.way not in possible(family, lanes):
        raise Refused("refused.not-served")
    request = WAYS[callback_data.way].make(family, picture, prompt, new_seed())
    wish = replace(actor.wish(f"{callback_data.way}:{job.public_id}"), wording=job.wording)
    done = await submit(wish, request, picture)
    return Toast("toast.drawing" if done.created else "toast.already")

"""A result drawn again with other words or parameters: the bot asks, and shows what it was drawn from."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, NamedTuple

from aiogram import Router
from aiogram.filters.callback_data import CallbackData
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup, Message

from engine.requests import Request, TextToImage, new_seed, to_json
from handlers import parameters, worded
from handlers.filters import private, words
from handlers.opened import opened, shown
from handlers.ports import Actor, Ask, FindDrawn, FindJob, FindParent, FindSeed, Screen, Submit, Toast, unless_new
from handlers.typed import parse
from storage.domain import Job, Picture, Refused, Remark, Submitted, Wish

router = Router(name=__name__)
router.message.filter(private)
router.callback_query.filter(private)

_COPYABLE = 256  # characters that Telegram puts into a button
_SAMPLER = ("engine", "flash", "base", "no", "steps", "cfg")


class Remix(StatesGroup):
    """The bot asked what to change."""

    words = State()


class Origins(NamedTuple):
    """What finds a result, and what it came from."""

    job: FindJob
    seed: FindSeed
    drawn: FindDrawn
    parent: FindParent


class RemixButton(CallbackData, prefix="v1e"):
    """Ask what to change in picture `index` of a job (0: in all of it)."""

    job: str
    index: int


class SeedButton(CallbackData, prefix="v1es"):
    """Under the question: whether the answer is drawn from another seed."""

    job: str
    index: int
    new: bool


class AnewButton(CallbackData, prefix="v1en"):
    """The same words from another seed."""

    job: str
    index: int


def button(job: Job, request: Request, index: int, label: Callable[[str], str]) -> list[InlineKeyboardButton]:
    """Draw the button; none for what was drawn without words."""
    return [_button(label("button.remix"), RemixButton(job=job.public_id, index=index))] if hasattr(request, "prompt") else []


def keyboard(job: str, index: int, prompt: str, new: bool, label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw the old words to be copied, and the two seeds, of which one is chosen."""

    def seed(key: str, wanted: bool) -> InlineKeyboardButton:
        sign, _, words = label(key).partition(" ")
        return _button(f"{'●' if wanted == new else sign} {words}", SeedButton(job=job, index=index, new=wanted))

    copy = [InlineKeyboardButton(text=label("button.copy"), copy_text=CopyTextButton(text=prompt))]
    rows = [copy] if 0 < len(prompt) <= _COPYABLE else []
    return InlineKeyboardMarkup(inline_keyboard=[*rows, [seed("button.seed-same", False), seed("button.seed-new", True)]])


def identical_keyboard(job: str, index: int, label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw the one button of an answer that would change nothing."""
    return InlineKeyboardMarkup(inline_keyboard=[[_button(label("button.seed-new"), AnewButton(job=job, index=index))]])


@router.callback_query(RemixButton.filter())
async def ask_what(
    query: CallbackQuery, callback_data: RemixButton, actor: Actor, state: FSMContext, find_job: FindJob, ask: Ask
) -> Toast | None:
    job = await opened(actor, find_job, callback_data.job, callback_data.index)
    about = {"job": job.public_id, "index": callback_data.index, "new": False}
    return unless_new(await ask(actor, "remix.ask", state.key, Remix.words, about))


@router.callback_query(SeedButton.filter())
async def choose_seed(
    query: CallbackQuery, callback_data: SeedButton, actor: Actor, state: FSMContext, find_job: FindJob, screen: Screen
) -> None:
    """Also long after: then the question is open again."""
    job = await opened(actor, find_job, callback_data.job, callback_data.index)
    about = {"job": job.public_id, "index": callback_data.index, "new": callback_data.new}
    await state.set_state(Remix.words)
    await state.set_data(about)
    await screen(actor, "remix.ask", about, edit=True)


@router.message(Remix.words, words)
async def draw(
    message: Message,
    actor: Actor,
    state: FSMContext,
    find_job: FindJob,
    find_seed: FindSeed,
    find_drawn: FindDrawn,
    find_parent: FindParent,
    submit: Submit,
    screen: Screen,
    lanes: Collection[str] | None,
) -> None:
    """The answer; one that changes nothing leaves the question open."""
    asked = await state.get_data()
    job, index, new = str(asked.get("job", "")), int(asked.get("index", 0)), bool(asked.get("new"))
    what = worded.About(worded.REMIX, question=str(Remix.words.state), job=job, index=index, new=new)
    origins = Origins(find_job, find_seed, find_drawn, find_parent)
    await drawn_again(message.text or "", what, actor.ending().wish(), actor, origins, submit, screen, lanes)


async def drawn_again(
    text: str,
    what: worded.About,
    wish: Wish,
    actor: Actor,
    find: Origins,
    submit: Submit,
    screen: Screen,
    lanes: Collection[str] | None,
) -> Submitted | None:
    """Submit what an answer makes of a result; None for one that changes nothing, which is said. Raises: Misread, Refused."""
    job = await opened(actor, find.job, what.job, what.index)
    old = await shown(job, what.index, find.seed)
    with worded.about(what, text):
        request, remarks = changed(old, text, new_seed() if what.new else old.seed, lanes)
        if to_json(request) == to_json(old):
            await screen(actor, "remix.identical", {"job": job.public_id, "index": what.index})
            return None
        origin = await _origin(job, what.index, request, find.drawn, find.parent)
        return await submit(replace(wish, remarks=remarks), request, origin)


@router.callback_query(AnewButton.filter())
async def anew(
    query: CallbackQuery,
    callback_data: AnewButton,
    actor: Actor,
    state: FSMContext,
    find_job: FindJob,
    find_seed: FindSeed,
    find_drawn: FindDrawn,
    find_parent: FindParent,
    submit: Submit,
) -> Toast:
    """The same words from another seed; the question is answered by that."""
    index = callback_data.index
    job = await opened(actor, find_job, callback_data.job, index)
    request = replace(await shown(job, index, find_seed), **{"seed": new_seed()})
    origin = await _origin(job, index, request, find_drawn, find_parent)
    answers = await worded.About(worded.REMIX, question=str(Remix.words.state), job=job.public_id).is_asked(state)
    wish = (actor.ending() if answers else actor).wish(f"anew{index}:{job.public_id}")
    done = await submit(wish, request, origin)
    return Toast("toast.drawing" if done.created else "toast.already")


def changed(old: Request, text: str, seed: int, lanes: Collection[str] | None) -> tuple[Request, tuple[Remark, ...]]:
    """What an answer asks for, where it says nothing of it as it was; without words it changes parameters alone.

    Raises: ParameterError, RequestError.
    """
    prompt = str(getattr(old, "prompt", ""))
    typed = parse(text)
    text = text if typed.words else f"{prompt} {text}"
    told = {flag.name for flag in typed.flags}
    if isinstance(old, TextToImage):
        size, pictures = (old.width, old.height), old.num_images_per_prompt
        asked = parameters.read(text, old.family, seed, size, pictures, lanes)
        kept: dict[str, Any] = {field: getattr(old, field) for name, field in parameters.TOLD.items() if name not in told}
        if not told.intersection(_SAMPLER):
            kept["flash"] = old.flash
        return replace(asked.request, **{"eta": old.eta, **kept}), asked.remarks

    def make(prompt: str, seed: int) -> Request:
        return replace(old, **{"prompt": prompt, "seed": seed})

    about = parameters.read_about(text, make, old.family, seed, lanes, wordless=True)
    return about.request, about.remarks


async def _origin(job: Job, index: int, request: Request, find_drawn: FindDrawn, find_parent: FindParent) -> Picture | None:
    """What a remix comes from: words alone from the picture that they change, an edit from what that was made of."""
    if isinstance(request, TextToImage):
        return await find_drawn(job, index or 1)
    parent = await find_parent(job)
    if parent is None:
        raise Refused("refused.not-found")
    return parent


def _button(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())

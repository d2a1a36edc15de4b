"""Words that become other words before they are drawn: when that happens, and the buttons by which a person decides."""

from collections.abc import Callable, Collection

from aiogram.filters.callback_data import CallbackData
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

from engine import catalog
from engine.requests import Beautify, TextToImage, Translate, from_json
from handlers import phrases
from handlers.parameters import Asked
from handlers.ports import Actor
from storage.domain import Job, Wording, Writing

LANE = "language"
SHORT = 12  # words; who writes more knows what they want
_LONGEST_LABEL = 24  # characters

Label = Callable[[str], str]


class WordsButton(CallbackData, prefix="v1bw"):
    """The words of a result: drawn richer, as they were written, or understood in another way; with its seeds.

    index: the picture that is open, from 1; 0 is the whole sheet.
    """

    action: str
    job: str
    index: int


class ReadingButton(CallbackData, prefix="v1br"):
    """A result with another reading of its words. number: of the reading, among those of these words."""

    number: int
    job: str
    index: int


class AskButton(CallbackData, prefix="v1b"):
    """An answer to the question whether to draw what was added. dropped: bit n is set for phrase n."""

    action: str
    job: str
    dropped: int = 0


def writes(kind: str, family: str, lanes: Collection[str] | None) -> bool:
    """Whether a family writes texts of a kind. lanes: those that workers have; None for all of the family's."""
    served = catalog.family(family)
    return kind in served.kinds and LANE in (served.lanes if lanes is None else lanes)


def planned(actor: Actor, asked: Asked, family: str, lanes: Collection[str] | None) -> Writing:
    """What is to be written before a message's words are drawn: nothing if they are many, or to be left as they are."""
    if asked.raw:
        return Writing()
    chosen, in_private = actor.beautify, actor.chat_id > 0
    richer = chosen == "always" or (chosen == "ask" and in_private)  # what asks back is for a private chat
    richer = richer and is_short(asked.request.prompt)
    wanted = actor.user.settings.beautify in ("always", "ask")
    return writing(asked.request, family, lanes, richer, ask=chosen == "ask", wanted=wanted)


def writing(
    request: TextToImage, family: str, lanes: Collection[str] | None, richer: bool, ask: bool = False, wanted: bool = False
) -> Writing:
    """What is to be written before a request is drawn. richer: something may be added to its words."""
    richer = richer and writes(Beautify.kind, family, lanes)
    foreign = not catalog.in_english(request.prompt) if richer else not catalog.speaks(family, request.prompt)
    kinds = [Translate.kind] if foreign and writes(Translate.kind, family, None) else []  # without a worker they are told
    if richer:
        kinds.append(Beautify.kind)
    return Writing(tuple(kinds), ask and richer, wanted and richer)


def is_short(prompt: str) -> bool:
    return len(prompt.split()) <= SHORT


def plain(job: Job) -> str:
    """The words of a job before anything was added to them, as far as its family reads them."""
    request = from_json(job.drawing)
    wording = job.wording or Wording(str(getattr(request, "prompt", "")))
    return wording.said if wording.beautified is None or catalog.speaks(request.family, wording.said) else wording.plain


def rows(job: Job, index: int, lanes: Collection[str] | None, label: Label) -> list[list[InlineKeyboardButton]]:
    """Draw what can be done about the words of a result."""
    request, wording = from_json(job.drawing), job.wording
    if not isinstance(request, TextToImage):
        return []

    def button(action: str) -> InlineKeyboardButton:
        data = WordsButton(action=action, job=job.public_id, index=index).pack()
        return InlineKeyboardButton(text=label(f"button.words-{action}"), callback_data=data)

    row = []
    if wording and plain(job) != request.prompt:
        row.append(button("plain"))
    if (wording is None or wording.beautified is None) and is_short(request.prompt) and writes("beautify", request.family, lanes):
        row.append(button("richer"))
    if wording and wording.understood is not None and job.chat_id > 0:
        row.append(button("fix"))
    return [each for each in (row, *([each] for each in _reading_buttons(job, index, label))) if each]


def _reading_buttons(job: Job, index: int, label: Label) -> list[InlineKeyboardButton]:
    """Draw the other readings of a job's words."""

    def button(number: int, reading: str) -> InlineKeyboardButton:
        data = ReadingButton(number=number, job=job.public_id, index=index).pack()
        return InlineKeyboardButton(text=label(reading_key(reading)), callback_data=data)

    return [button(number, reading) for number, reading in enumerate(readings(job))]


def readings(job: Job) -> dict[str, str]:
    """What else a result's words may mean: the reading -> all of them, translated so."""
    wording = job.wording
    if wording is None or wording.understood is None:
        return {}
    return catalog.other_readings(job.family, wording.said, wording.understood)


def reading_key(reading: str) -> str:
    """The text that tells a person what a reading is."""
    return f"reading.{reading.replace(' ', '-')}"


def question_keyboard(job: Job, dropped: int, label: Label) -> InlineKeyboardMarkup:
    """Draw a button for each phrase that was added, to drop it or to take it back, and the ways to answer."""

    def button(text: str, action: str, bits: int = dropped) -> InlineKeyboardButton:
        return InlineKeyboardButton(text=text, callback_data=AskButton(action=action, job=job.public_id, dropped=bits).pack())

    rows = [
        [button(f"{'➕' if dropped >> number & 1 else '➖'} {_cut(text)}", "drop", dropped ^ 1 << number)]
        for number, text in enumerate(phrases.added(parts(job)))
    ]
    rows += [[each] for each in _reading_buttons(job, 0, label)]
    rows.append([button(label("button.words-draw"), "draw"), button(label("button.words-plain"), "plain")])
    rows.append([button(label("button.words-always"), "always"), button(label("button.words-never"), "never")])
    return InlineKeyboardMarkup(inline_keyboard=rows)


def parts(job: Job) -> tuple[phrases.Phrase, ...]:
    """What was added to a job's words, and they themselves."""
    wording = job.wording
    return phrases.compare(wording.plain, wording.beautified) if wording and wording.beautified else ()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1].rstrip() + "…"

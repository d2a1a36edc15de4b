"""Everything a person has drawn: pages of small pictures, a card for each, and a search by words."""

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate, pairwise

from aiogram import Router
from aiogram.filters import Command, CommandObject
from aiogram.filters.callback_data import CallbackData
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from engine import catalog
from engine.requests import RequestError, clean_prompt
from handlers import edits, result
from handlers.filters import private, words
from handlers.opened import drawn
from handlers.ports import Actor, Ask, Choice, CountPictures, FindJob, FindScreen, Say, Screen, Show, Toast
from handlers.start import examples
from storage.domain import FAVOURITE, Job, Kept, Picture, Refused

router = Router(name=__name__)
router.message.filter(private)  # what is one person's own is shown to nobody else
router.callback_query.filter(private)

PAGE = 9  # pictures
_ROWS = {1: (1,), 2: (2,), 3: (3,), 4: (2, 2), 5: (2, 3), 6: (3, 3), 7: (2, 2, 3), 8: (2, 3, 3), 9: (3, 3, 3)}
_LONGEST_SEARCH = 100  # characters


class Search(StatesGroup):
    """The bot asked for words, and the next text is the answer."""

    words = State()


class PageButton(CallbackData, prefix="v1h"):
    """`notice` names the page it stands under, which knows what was searched for; page 0 is that page itself."""

    notice: str
    page: int


class CardButton(CallbackData, prefix="v1k"):
    """Picture `index` of a job (0: its sheet) as a card; `back` names the page to return to."""

    back: str
    job: str
    index: int


class FavouritesButton(CallbackData, prefix="v1hs"):
    """The favourites among what page `notice` shows."""

    notice: str


class SearchButton(CallbackData, prefix="v1f"):
    """Ask for the words to look for."""


def layout(count: int) -> tuple[int, ...]:
    """How many pictures hang in each row of a page of 1 to 9: full rows, the newest and largest first."""
    return _ROWS[count]


def page_keyboard(
    kept: Sequence[Kept], notice: str, page: int, pages: int, find: str, label: Callable[[str], str]
) -> InlineKeyboardMarkup:
    """Draw a number for each picture, laid out as they are on the sheet, and the way to other pages."""

    def card(number: int, each: Kept) -> list[InlineKeyboardButton]:
        if each.job is None:
            return []
        return [_button(str(number), CardButton(back=notice, job=each.job, index=each.picture.ordinal + 1))]

    numbers = [card(number, each) for number, each in enumerate(kept, start=1)]
    ends = accumulate(layout(len(kept)), initial=0)
    rows = [row for begin, end in pairwise(ends) if (row := [button for some in numbers[begin:end] for button in some])]
    search = _button(label("button.find"), SearchButton())
    stars = [] if FAVOURITE in find.split() else [_button(label("button.favourites"), FavouritesButton(notice=notice))]
    before = [_button("«", PageButton(notice=notice, page=page - 1))] if page > 1 else []
    after = [_button("»", PageButton(notice=notice, page=page + 1))] if page < pages else []
    rows.append([*before, search, *stars, *after])
    if find:
        rows.append([_button(label("button.all-pictures"), PageButton(notice="", page=1))])
    return InlineKeyboardMarkup(inline_keyboard=rows)


def card_keyboard(
    job: Job,
    pictures: Sequence[Picture],
    index: int,
    back: str,
    label: Callable[[str], str],
    lanes: Collection[str] | None,
    kin: Sequence[Sequence[InlineKeyboardButton]] = (),
) -> InlineKeyboardMarkup:
    """Draw the whole row of a result, the ways to its kin, and the way back to the page."""

    def opens(at: int) -> str:
        return CardButton(back=back, job=job.public_id, index=at).pack()

    rows = [*result.keyboard(job, pictures, index, label, lanes, opens, back).inline_keyboard, *map(list, kin)]
    return InlineKeyboardMarkup(inline_keyboard=[*rows, [_button(label("button.history"), PageButton(notice=back, page=0))]])


def upload_keyboard(
    picture: Picture,
    kin: Sequence[Sequence[InlineKeyboardButton]],
    back: str,
    family: str,
    label: Callable[[str], str],
    lanes: Collection[str] | None,
) -> InlineKeyboardMarkup:
    """Draw the card of a picture that was sent: what can be made of it, and what was made of it."""
    rows = [*edits.rows(picture.public_id, family, lanes, label), *map(list, kin)]
    return InlineKeyboardMarkup(inline_keyboard=[*rows, [_button(label("button.history"), PageButton(notice=back, page=0))]])


@router.message(Command("history", ignore_case=True))
async def history(
    message: Message, command: CommandObject, actor: Actor, count_pictures: CountPictures, say: Say, screen: Screen, family: str
) -> None:
    """`/history`, `/history 3` (a page), `/history red star` (a search)."""
    asked = clean_prompt(command.args or "").replace("\ufe0f", "")  # that a phone writes behind a star
    page, find = (int(asked), "") if asked.isdecimal() and len(asked) < 10 else (1, asked)
    await _show(actor, page, find, count_pictures, say, screen, family)


@router.callback_query(PageButton.filter())
async def turn_page(
    query: CallbackQuery,
    callback_data: PageButton,
    actor: Actor,
    find_screen: FindScreen,
    count_pictures: CountPictures,
    say: Say,
    screen: Screen,
    family: str,
) -> None:
    shown = await find_screen(actor.user, callback_data.notice)
    page = callback_data.page or int(shown.get("page", 1))
    await _show(actor, page, str(shown.get("find", "")), count_pictures, say, screen, family, edit=True)


@router.callback_query(FavouritesButton.filter())
async def favourites(
    query: CallbackQuery,
    callback_data: FavouritesButton,
    actor: Actor,
    find_screen: FindScreen,
    count_pictures: CountPictures,
    say: Say,
    screen: Screen,
    family: str,
) -> None:
    shown = await find_screen(actor.user, callback_data.notice)
    find = " ".join([FAVOURITE, *(word for word in str(shown.get("find", "")).split() if word != FAVOURITE)])
    await _show(actor, 1, find, count_pictures, say, screen, family, edit=True)


@router.callback_query(CardButton.filter())
async def open_card(query: CallbackQuery, callback_data: CardButton, actor: Actor, find_job: FindJob, show: Show) -> None:
    job = await drawn(actor, find_job, callback_data.job, callback_data.index)
    await show(actor, job, callback_data.index, callback_data.back)


@router.callback_query(SearchButton.filter())
async def ask_for_words(query: CallbackQuery, actor: Actor, state: FSMContext, raw_state: str | None, ask: Ask) -> Toast | None:
    if raw_state == Search.words.state:  # it is asked already
        return Toast("toast.look-below")
    await ask(actor, "history.ask", state.key, Search.words)
    return None


@router.message(Search.words, words)
async def search(message: Message, actor: Actor, count_pictures: CountPictures, say: Say, screen: Screen, family: str) -> None:
    await _show(actor.ending(), 1, clean_prompt(message.text or ""), count_pictures, say, screen, family)


async def _show(
    actor: Actor,
    page: int,
    find: str,
    count_pictures: CountPictures,
    say: Say,
    screen: Screen,
    family: str,
    edit: bool = False,
) -> None:
    """Show a page, or the nearest there is; with no picture at all, say how to begin."""
    if len(find) > _LONGEST_SEARCH:
        raise Refused("refused.search-too-long", limit=_LONGEST_SEARCH, value=len(find))
    count = await count_pictures(actor.user, find)
    if count:
        page = min(max(page, 1), -(-count // PAGE))
        await screen(actor, "history.page", {"page": page, "find": find}, edit=edit)
    elif find == FAVOURITE:
        await say(actor, "history.no-favourites")
    elif find:
        choices = _drawable(find, family)
        await say(actor, "history.not-drawn-yet" if choices else "history.nothing-found", {"find": find}, choices)
    else:
        await say(actor, "history.empty", None, examples(actor, family))


def _drawable(words: str, family: str) -> list[Choice]:
    """The words themselves as a button, if they can be drawn: perhaps that is what was meant."""
    if FAVOURITE in words:
        return []
    try:
        catalog.text_to_image(family, words, 0)
    except RequestError:
        return []
    return [Choice(words, words)]


def _button(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())

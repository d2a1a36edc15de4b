"""What a person may choose for themselves, as one message of buttons that redraws itself."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from aiogram import F, Router
from aiogram.filters import Command
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from engine import catalog
from engine.requests import Beautify
from handlers.filters import private
from handlers.ports import Actor, ChangeSettings, Screen, Toast
from handlers.wording import writes
from storage.domain import BEAUTIFY, FORMS, UserSettings

router = Router(name=__name__)
router.message.filter(private)  # what is one person's own is shown to nobody else
router.callback_query.filter(private)

_SIZES_IN_A_ROW = 5


class SettingButton(CallbackData, prefix="v1s"):
    """A press sets `name` to `value`; the empty value forgets the choice."""

    name: str
    value: str = ""


class MenuButton(CallbackData, prefix="v1sm"):
    """Open a part of the menu: `main` or `sizes`."""

    part: str


def keyboard(
    settings: UserSettings,
    family: str,
    languages: Sequence[str],
    label: Callable[[str], str],
    lanes: Collection[str] | None,
    usual_beautify: str,
) -> InlineKeyboardMarkup:
    """Draw a row for each setting that this family gives a choice of, with a tick at what holds.

    lanes: those that workers have; None for all of the family's.  usual_beautify: of who chose nothing.
    """
    served = catalog.family(family)
    language = settings.language if settings.language in languages else None
    rows = [
        [
            _choice(label("button.language-auto"), "language", "", language is None),
            *(_choice(label(f"button.language-{code}"), "language", code, code == language) for code in languages),
        ],
        [
            _choice(str(number), "pictures", str(number), number == pictures(settings, family))
            for number in range(1, served.max_pictures + 1)
        ],
        [_choice(label(f"button.delivery-{form}"), "delivery", form, form == settings.delivery) for form in FORMS],
    ]
    if can_beautify(family, lanes):
        holds = settings.beautify or usual_beautify
        rows.append([_choice(label(f"button.beautify-{when}"), "beautify", when, when == holds) for when in BEAUTIFY])
    last = [_button(label("button.reset"), SettingButton(name="reset"))]
    if many_sizes(family):
        last.insert(0, _button(label("button.size"), MenuButton(part="sizes")))
    return InlineKeyboardMarkup(inline_keyboard=[*rows, last])


def sizes_keyboard(settings: UserSettings, family: str, label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw every size that the family serves."""
    now = size(settings, family)
    buttons = [_choice(f"{w}×{h}", "size", f"{w}x{h}", (w, h) == now) for w, h in catalog.family(family).sizes]
    rows = [buttons[at : at + _SIZES_IN_A_ROW] for at in range(0, len(buttons), _SIZES_IN_A_ROW)]
    return InlineKeyboardMarkup(inline_keyboard=[*rows, [_button(label("button.back"), MenuButton(part="main"))]])


def size(settings: UserSettings, family: str) -> catalog.Size:
    """The width and height that a plain text is drawn in; the family's own where it does not serve the chosen ones."""
    served = catalog.family(family)
    return next((each for each in served.sizes if f"{each[0]}x{each[1]}" == settings.size), served.default_size)


def pictures(settings: UserSettings, family: str) -> int:
    """How many pictures a plain text becomes."""
    most = catalog.family(family).max_pictures
    return most if settings.pictures is None else min(settings.pictures, most)


def many_sizes(family: str) -> bool:
    return len(catalog.family(family).sizes) > 1


def can_beautify(family: str, lanes: Collection[str] | None) -> bool:
    return writes(Beautify.kind, family, lanes)


@router.message(Command("settings", "lang", ignore_case=True))
async def show_settings(message: Message, actor: Actor, screen: Screen, family: str) -> None:
    await screen(actor, "settings.menu", {"family": family})


@router.callback_query(MenuButton.filter())
async def open_part(query: CallbackQuery, callback_data: MenuButton, actor: Actor, screen: Screen, family: str) -> None:
    part = "settings.sizes" if callback_data.part == "sizes" and many_sizes(family) else "settings.menu"
    await screen(actor, part, {"family": family}, edit=True)


@router.callback_query(SettingButton.filter(F.name))
async def choose(
    query: CallbackQuery,
    callback_data: SettingButton,
    actor: Actor,
    change_settings: ChangeSettings,
    screen: Screen,
    family: str,
    lanes: Collection[str] | None,
    languages: Sequence[str],
) -> Toast:
    """Store a choice and redraw; what an old menu offers and is no longer served is not stored."""
    changes = _changes(callback_data, family, lanes, languages)
    if changes:
        await change_settings(actor.user, changes)
    await screen(actor, "settings.menu", {"family": family}, edit=True)
    return Toast("toast.saved" if changes else "toast.menu-was-old")


def _changes(pressed: SettingButton, family: str, lanes: Collection[str] | None, languages: Sequence[str]) -> Mapping[str, Any]:
    served = catalog.family(family)
    offered: dict[str, dict[str, Any]] = {
        "language": {"": None, **{code: code for code in languages}},
        "pictures": {str(number): number for number in range(1, served.max_pictures + 1)},
        "size": {f"{width}x{height}": f"{width}x{height}" for width, height in served.sizes},
        "delivery": {form: form for form in FORMS},
        "beautify": {when: when for when in BEAUTIFY} if can_beautify(family, lanes) else {},
    }
    if pressed.name == "reset":
        return dict.fromkeys(offered)
    values = offered.get(pressed.name, {})
    return {pressed.name: values[pressed.value]} if pressed.value in values else {}


def _choice(text: str, name: str, value: str, chosen: bool) -> InlineKeyboardButton:
    return _button(f"✓ {text}" if chosen else text, SettingButton(name=name, value=value))


def _button(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())

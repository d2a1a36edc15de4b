"""Every word a person reads, looked up by key in `locales/`, with values made safe for Telegram's HTML.

A text with a placeholder `{name:n}` has plural forms, and that number chooses among them; `{name:nth}` is an ordinal.
"""

import gettext
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("en", "ru")
_FOLDER = Path(__file__).parent.parent / "locales"
_COUNTED = re.compile(r"\{(\w+):n\}")


@dataclass(frozen=True)
class Marked:
    """A value in which some parts are marked: each with "u" (underlined), "s" (struck through) or "" beside it."""

    parts: tuple[tuple[str, str], ...]


class TextsError(Exception):
    """The compiled texts are not there."""


class Texts:
    """Texts by language and key. Values are escaped here, and only here: markup comes from `locales/` alone."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        try:
            self._catalogs = {name: gettext.translation("bot", folder, [name]) for name in LANGUAGES}
        except FileNotFoundError as error:
            raise TextsError("The texts are not compiled. Run: make setup") from error

    def __call__(self, language: str, key: str, values: Mapping[str, object] | None = None) -> str:
        """Return a text as Telegram HTML. Raises: KeyError for a key that `locales/` lacks."""
        catalog = self._catalogs[best_language(language)]
        text = catalog.gettext(key)  # of a plural, the form for 1
        if text == key:
            raise KeyError(key)
        shown = {name: _shown(value) for name, value in (values or {}).items()}
        counted = _COUNTED.search(text)
        if counted:
            number = shown[counted[1]]
            if not isinstance(number, int):
                raise TypeError(f"{key} counts {counted[1]}, which is no whole number")
            text = catalog.ngettext(key, key, abs(number))
        return text.format_map(shown)

    def plain(self, language: str, key: str, values: Mapping[str, object] | None = None) -> str:
        """Return a text for a place without markup: a button, a toast."""
        return html.unescape(self(language, key, values))


class _Number(int):
    """A whole number in a text: `{name}` and `{name:n}` are its digits, `{name:nth}` adds the English ordinal's ending."""

    def __format__(self, spec: str) -> str:
        if spec != "nth":
            return str(int(self))
        ending = "th" if self % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(self % 10, "th")
        return f"{int(self)}{ending}"


def best_language(code: str | None) -> str:
    """Choose the language for a Telegram language code; English where we have none."""
    base = (code or "en").split("-")[0].lower()
    return base if base in LANGUAGES else "en"


def shorten(text: str, limit: int) -> str:
    """Cut text to `limit` UTF-16 units, as Telegram counts them, ending in an ellipsis."""
    if len(text.encode("utf-16-le")) // 2 <= limit:
        return text
    kept = text.encode("utf-16-le")[: 2 * (limit - 1)].decode("utf-16-le", errors="ignore")
    return kept.rstrip() + "…"


def _shown(value: object) -> object:
    if isinstance(value, Marked):
        return "".join(_tagged(text, tag) for text, tag in value.parts)
    if isinstance(value, list | tuple):
        return ", ".join(str(_shown(item)) for item in value)
    if isinstance(value, int):
        return _Number(value)
    if isinstance(value, float):
        return f"{value:g}"
    return html.escape(str(value), quote=False)


def _tagged(text: str, tag: str) -> str:
    """A marked part; the blank before it stays outside."""
    inner = text.strip()
    if not tag or not inner:
        return html.escape(text, quote=False)
    before, _, after = text.partition(inner)
    return f"{before}<{tag}>{html.escape(inner, quote=False)}</{tag}>{after}"

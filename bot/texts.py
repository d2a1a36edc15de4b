"""Every word a person reads, looked up by key in `locales/`, with values made safe for Telegram's HTML."""

import gettext
import html
from collections.abc import Mapping
from pathlib import Path

LANGUAGES = ("en", "ru")
_FOLDER = Path(__file__).parent.parent / "locales"


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
        text = self._catalogs[best_language(language)].gettext(key)
        if text == key:
            raise KeyError(key)
        return text.format_map({name: _shown(value) for name, value in (values or {}).items()})

    def plain(self, language: str, key: str, values: Mapping[str, object] | None = None) -> str:
        """Return a text for a place without markup: a button, a toast."""
        return html.unescape(self(language, key, values))


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


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return html.escape(str(value), quote=False)

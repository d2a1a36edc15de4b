"""Checks of `reply_markup`."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from sandbox.errors import bad_request
from sandbox.mini_apps import address_fault

_ACTIONS = (
    "callback_data", "url", "web_app", "login_url", "switch_inline_query", "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat", "copy_text", "callback_game", "pay",
)  # fmt: skip
_STYLES = (None, "primary", "success", "danger")


def inline_keyboard(markup: Any, *, only_inline: bool = False, private: bool = True) -> dict[str, Any] | None:
    """The inline keyboard of a markup, checked; None where there is none (a sent message carries no other kind).

    Only in a private chat may a button open a Mini App.

    Raises: ApiError in Telegram's words.
    """
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    if "inline_keyboard" not in markup:
        if only_inline and markup:
            raise bad_request("inline keyboard expected")
        return None
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    kept = [[_button(button) for button in row] for row in rows if row]
    if sum(len(row) for row in kept) > 100:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    if not private and any("web_app" in button for row in kept for button in row):
        raise bad_request("BUTTON_TYPE_INVALID")
    return _shared(json.dumps({"inline_keyboard": kept})) if kept else None


@lru_cache(maxsize=4096)
def _shared(text: str) -> dict[str, Any]:
    """One object for equal keyboards, since every edit of a message carries it again."""
    keyboard: dict[str, Any] = json.loads(text)
    return keyboard


def _button(button: Any) -> dict[str, Any]:
    where = "can't parse inline keyboard button: "
    if not isinstance(button, dict):
        raise bad_request(f"{where}InlineKeyboardButton must be an Object")
    text = button.get("text")
    if not isinstance(text, str):
        raise bad_request(f'{where}Field "text" must be of type String')
    if not text.strip():
        raise bad_request("BUTTON_TEXT_INVALID")
    if button.get("style") not in _STYLES:
        raise bad_request(f"{where}invalid button style specified")
    if not any(button.get(action) is not None for action in _ACTIONS):
        raise bad_request(f"{where}Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if data is not None and not (isinstance(data, str) and 1 <= len(data.encode("utf-8", "surrogatepass")) <= 64):
        raise bad_request("BUTTON_DATA_INVALID")
    url = button.get("url")
    if url is not None and not re.match(r"(https?://[^\s/]|tg://[^\s]|[\w-]+(\.[\w-]+)+)[^\s]*$", str(url)):
        raise bad_request(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
    app = button.get("web_app")
    if app is not None:
        if not isinstance(app, dict) or not isinstance(app.get("url"), str):
            raise bad_request(f'{where}Field "url" must be of type String')
        if fault := address_fault(app["url"]):
            raise bad_request(f"inline keyboard button Web App URL '{app['url']}' is invalid: {fault}")
    return {key: value for key, value in button.items() if value is not None}

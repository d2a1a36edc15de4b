"""The command menu: one list per scope and language, resolved as Telegram does for a private chat."""

from __future__ import annotations

import re
from typing import Any

from sandbox.errors import bad_request

_SCOPES = {
    "default", "all_private_chats", "all_group_chats", "all_chat_administrators",
    "chat", "chat_administrators", "chat_member",
}  # fmt: skip
Command = dict[str, str]
_Key = tuple[str, str, str, str]


class Commands:
    """What setMyCommands, setMyDescription and their kin have stored."""

    def __init__(self) -> None:
        self._lists: dict[_Key, list[Command]] = {}
        self.texts: dict[tuple[str, str], str] = {}
        self.menu_buttons: dict[int, dict[str, Any]] = {}

    def set(self, commands: Any, scope: Any, language_code: str) -> None:
        """Store a list.

        Raises: ApiError in Telegram's words for names and descriptions out of bounds.
        """
        if not isinstance(commands, list):
            raise bad_request("can't parse BotCommands: expected an Array of BotCommand")
        if len(commands) > 100:
            raise bad_request("BOT_COMMANDS_TOO_MUCH")
        kept: list[Command] = []
        for entry in commands:
            command = str(entry.get("command", "")).removeprefix("/") if isinstance(entry, dict) else ""
            if not re.fullmatch(r"[a-z0-9_]{1,32}", command):
                raise bad_request("BOT_COMMAND_INVALID")
            description = str(entry.get("description", "")).strip()
            if not 1 <= len(description) <= 256:
                raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
            kept.append({"command": command, "description": description})
        self._lists[_key(scope, language_code)] = kept

    def get(self, scope: Any, language_code: str) -> list[Command]:
        """The list stored for exactly this scope and language."""
        return self._lists.get(_key(scope, language_code), [])

    def delete(self, scope: Any, language_code: str) -> None:
        """Forget the list of this scope and language."""
        self._lists.pop(_key(scope, language_code), None)

    def shown_to(self, user_id: int, language_code: str) -> list[Command]:
        """What a person sees in the private chat: narrowest scope first, own language before none."""
        for kind, chat in (("chat", str(user_id)), ("all_private_chats", ""), ("default", "")):
            for language in (language_code, ""):
                found = self._lists.get((kind, chat, "", language))
                if found:
                    return found
        return []

    def text(self, field: str, language_code: str) -> str:
        """A name or description in this language, else without language."""
        return self.texts.get((field, language_code)) or self.texts.get((field, ""), "")


def _key(scope: Any, language_code: str) -> _Key:
    if language_code and not re.fullmatch(r"[a-z]{2}", language_code):
        raise bad_request("LANG_CODE_INVALID")
    if scope is None:
        scope = {"type": "default"}
    kind = scope.get("type") if isinstance(scope, dict) else None
    if kind not in _SCOPES:
        raise bad_request("can't parse BotCommandScope: unsupported type specified")
    return str(kind), str(scope.get("chat_id", "")), str(scope.get("user_id", "")), language_code

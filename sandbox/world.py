"""What the sandbox knows: one bot, its people, their chats, and an event log of all that happened."""

from __future__ import annotations

import copy
import itertools
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.changes import Changes
from sandbox.commands import Commands
from sandbox.errors import BLOCKED, ApiError, bad_request
from sandbox.faults import Faults
from sandbox.files import Files
from sandbox.updates import UpdateQueue

Json = dict[str, Any]
EventKind = Literal["message", "edit", "delete", "action", "press", "answer", "force_reply", "block", "person", "bot", "commands"]


@dataclass(frozen=True)
class Event:
    """Something that changed what a person sees; `data` is a copy and never changes afterwards."""

    number: int
    chat_id: int
    kind: EventKind
    at: float
    data: Json

    def to_json(self) -> Json:
        """As the page receives it."""
        return {"number": self.number, "chat_id": self.chat_id, "kind": self.kind, "at": self.at, "data": self.data}


@dataclass
class Human:
    """A person and the private chat with the bot."""

    id: int
    name: str
    language_code: str
    started: bool = False
    blocked: bool = False
    messages: dict[int, Json] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def user(self) -> Json:
        """`User`."""
        return {"id": self.id, "is_bot": False, "first_name": self.name, "language_code": self.language_code}

    @property
    def chat(self) -> Json:
        """`Chat`."""
        return {"id": self.id, "type": "private", "first_name": self.name}


@dataclass
class Press:
    """A pressed button waiting for its one answer."""

    id: str
    chat_id: int
    message_id: int
    data: str
    pressed_at: float
    answer: Json | None = None
    answered_after: float | None = None


class World:
    """State in memory. Every change goes through `log`, which wakes all who wait."""

    def __init__(self, token: str, bot_username: str, bot_name: str) -> None:
        self.token = token
        self.bot_id = int(token.split(":")[0])
        self.bot: Json = {"id": self.bot_id, "is_bot": True, "first_name": bot_name, "username": bot_username}
        self.boot = secrets.token_hex(4)
        self.changes = Changes()
        self.faults = Faults()
        self.faults.changed = self.changes.fire
        self.updates = UpdateQueue(self.changes, self.faults)
        self.files = Files(f"{self.bot_id}.{self.boot}")
        self.commands = Commands()
        self.humans: dict[int, Human] = {}
        self.presses: dict[str, Press] = {}
        self.events: list[Event] = []
        self.closed = False

    def close(self) -> None:
        """Let every waiting request end."""
        self.closed = self.updates.closed = True
        self.changes.fire()

    def log(self, human: Human | None, kind: EventKind, data: Json) -> Event:
        """Append to the event log and wake all who wait. Events of no one's chat carry chat id 0."""
        event = Event(len(self.events), human.id if human else 0, kind, time.time(), copy.deepcopy(data))
        self.events.append(event)
        self.changes.fire()
        return event

    def add_human(self, name: str, language_code: str, user_id: int | None = None) -> Human:
        """A new person. Ids lie above 2**32, as Telegram's may, and differ from sandbox to sandbox.

        A bot that keeps its database would otherwise take message 1 of today for message 1 of yesterday.
        """
        number = user_id if user_id is not None else 7_000_000_000 + secrets.randbelow(10**9)
        if number in self.humans:
            raise ValueError(f"there is a person {number} already")
        human = Human(number, name, language_code)
        self.humans[number] = human
        self.log(human, "person", {"id": number, "name": name, "language_code": language_code})
        return human

    def chat(self, chat_id: int | str | None) -> Human:
        """The person whose private chat this is; the bot cannot speak first.

        Raises: ApiError as Telegram for a chat the bot may not write to.
        """
        if chat_id is None or chat_id == "":
            raise bad_request("chat_id is empty")
        try:
            human = self.humans.get(int(chat_id))
        except ValueError:
            human = None
        if human is None or not human.started:
            raise bad_request("chat not found")
        if human.blocked:
            raise ApiError(*BLOCKED)
        return human

    def compose(self, human: Human, sender: Json) -> Json:
        """The head of a new message in a person's chat, with the next id."""
        return {"message_id": next(human.ids), "from": sender, "chat": human.chat, "date": int(time.time())}

    def show(self, human: Human, message: Json) -> Json:
        """Put a new message into the chat."""
        human.messages[message["message_id"]] = message
        self.log(human, "message", message)
        return message

    def replace(self, human: Human, message: Json) -> Json:
        """Put a changed message in the place of the old one."""
        human.messages[message["message_id"]] = message
        self.log(human, "edit", message)
        return message

    def remove(self, human: Human, message_id: int) -> None:
        """Take a message out of the chat."""
        del human.messages[message_id]
        self.log(human, "delete", {"message_id": message_id})

    @staticmethod
    def quoted(message: Json) -> Json:
        """A message as it appears in `reply_to_message`: one level deep."""
        return {key: value for key, value in message.items() if key != "reply_to_message"}

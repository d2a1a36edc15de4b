"""What the sandbox knows: one bot, its people, their chats, and an event log of all that happened."""

from __future__ import annotations

import itertools
import secrets
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.changes import Changes
from sandbox.commands import Commands
from sandbox.errors import BLOCKED, DEACTIVATED, UPGRADED, ApiError, bad_request
from sandbox.faults import Faults
from sandbox.files import Files
from sandbox.updates import UpdateQueue
from sandbox.webhook import Webhook

Json = dict[str, Any]
EventKind = Literal["message", "edit", "delete", "action", "press", "answer", "force_reply", "block", "person", "bot", "commands"]
MAX_ALBUM = 10


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed what a person sees; `data` never changes afterwards: a changed message is a new dict."""

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
    deactivated: bool = False
    photos_forbidden: bool = False
    migrated_to: int | None = None
    messages: dict[int, Json] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    user: Json = field(init=False)
    chat: Json = field(init=False)

    def __post_init__(self) -> None:
        """`User` and `Chat`: one of each, since thousands of messages refer to them."""
        self.user = {"id": self.id, "is_bot": False, "first_name": self.name, "language_code": self.language_code}
        self.chat = {"id": self.id, "type": "private", "first_name": self.name}

    def events_since(self, position: int) -> list[Event]:
        """What happened in this chat from a moment of the event log on, found without looking at all of it."""
        return self.events[bisect_left(self.events, position, key=lambda event: event.number) :]


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
        self.webhook = Webhook(self.updates, self.changes)
        self.files = Files(f"{self.bot_id}.{self.boot}")
        self.commands = Commands()
        self.humans: dict[int, Human] = {}
        self.migrated: dict[int, Human] = {}
        self.presses: dict[str, Press] = {}
        self.events: list[Event] = []
        self.clock: Callable[[], float] = time.time
        self.closed = False

    def close(self) -> None:
        """Let every waiting request end."""
        self.closed = self.updates.closed = True
        self.changes.fire()
        for human in self.humans.values():
            human.changes.fire()

    def log(self, human: Human | None, kind: EventKind, data: Json) -> Event:
        """Append to the event log and wake all who wait. Events of no one's chat carry chat id 0."""
        event = Event(len(self.events), human.id if human else 0, kind, self.clock(), data)
        self.events.append(event)
        if human is not None:
            human.events.append(event)
            human.changes.fire()
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
            number = int(chat_id)
        except ValueError:
            raise bad_request("chat not found") from None
        human = self.migrated.get(number) or self.humans.get(number)
        if human is None or not human.started:
            raise bad_request("chat not found")
        if human.deactivated:
            raise ApiError(*DEACTIVATED)
        if human.blocked:
            raise ApiError(*BLOCKED)
        if human.migrated_to is not None and number != human.migrated_to:
            raise ApiError(*UPGRADED, {"migrate_to_chat_id": human.migrated_to})
        return human

    def migrate(self, human: Human) -> int:
        """Move a chat to a new id, as when a group becomes a supergroup; the old id only names the new one."""
        human.migrated_to = -1_000_000_000_000 - human.id % 10**10
        self.migrated[human.migrated_to] = human
        human.chat = {"id": human.migrated_to, "type": "supergroup", "title": human.name}
        return human.migrated_to

    def compose(self, human: Human, sender: Json) -> Json:
        """The head of a new message in a person's chat, with the next id."""
        return {"message_id": next(human.ids), "from": sender, "chat": human.chat, "date": int(self.clock())}

    def new_album_id(self) -> str:
        """`media_group_id` of a new album."""
        return str(13_000_000_000_000_000 + secrets.randbelow(10**15))

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

"""The outside observer: what each wish came to, read from the chats alone."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.server import Sandbox
from sandbox.shown import Shown
from sandbox.world import Event

Key = tuple[int, int]  # chat id, and the id of the message that was written or pressed


_NO_STATUS = ("Your picture comes here", "Ready ↑")  # texts that come after a wish was accepted


@dataclass
class Seen:
    """What a chat shows for one wish."""

    photos: set[int] = field(default_factory=set)  # ids of the messages that show a picture
    copies: set[int] = field(default_factory=set)  # those of them that say "sent again"
    words: dict[int, str] = field(default_factory=dict)  # message id -> how it stands: "waiting", "cancelled", "failed"
    statuses: dict[int, str] = field(default_factory=dict)  # message id -> what it said first, of those that began as text

    @property
    def unlabelled(self) -> set[int]:
        """The pictures that do not say they are copies: of one wish, one."""
        return self.photos - self.copies

    @property
    def ended(self) -> bool:
        return bool(self.photos) or bool({"cancelled", "failed"} & set(self.words.values()))


class Observer:
    """Follows the sandbox's events; whoever waits is woken when their chat changes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._world = sandbox.world
        self._position = 0
        self.seen: dict[Key, Seen] = defaultdict(Seen)
        self.strange: list[str] = []  # messages of the bot that belong to no wish
        self.changed: dict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.ended = 0
        self.progress = asyncio.Event()

    async def run(self) -> None:
        while not self._world.closed:
            await self._world.changes.wait_until(float("inf"))
            self.look()

    def look(self) -> None:
        for event in self._world.events[self._position :]:
            self._position += 1
            if event.kind in ("message", "edit") and event.data["from"]["id"] == self._world.bot_id:
                self._note(event)

    def _note(self, event: Event) -> None:
        message, chat = event.data, event.chat_id
        reply = message.get("reply_to_message")
        if reply is None:
            self.strange.append(f"{chat}: {message.get('text') or message.get('caption')}")
            return
        seen = self.seen[chat, reply["message_id"]]
        before = seen.ended
        if "photo" in message:
            seen.photos.add(message["message_id"])
            seen.words.pop(message["message_id"], None)
            if "sent again" in message["caption"]:
                seen.copies.add(message["message_id"])
        else:
            standing = seen.words[message["message_id"]] = _standing(message)
            begins = event.kind == "message" and standing == "waiting"  # an end whose status is not known is a new message, too
            if begins and not any(text in message["text"] for text in _NO_STATUS):
                seen.statuses[message["message_id"]] = message["text"]
        if seen.ended and not before:
            self.ended += 1
            self.progress.set()
        self.changed[chat].set()

    async def wait(self, chat: int, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed[chat].clear()
            await self.changed[chat].wait()

    async def wait_ended(self, count: int) -> None:
        """Wait until so many wishes have come to an end."""
        while self.ended < count:
            self.progress.clear()
            await self.progress.wait()

    def photo(self, chat: int, message_id: int) -> bytes:
        """Bytes of the picture that a message shows now."""
        world = self._world
        return Shown(world.humans[chat].messages[message_id], world.files, world.bot_id).photo


def _standing(message: dict[str, Any]) -> str:
    text = str(message["text"])
    buttons = [button["text"] for row in (message.get("reply_markup") or {}).get("inline_keyboard", []) for button in row]
    if not any("Try again" in label for label in buttons):
        return "waiting"
    return "cancelled" if "Cancelled" in text else "failed"

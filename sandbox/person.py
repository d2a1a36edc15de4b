"""A scripted person: writes, presses, and waits for what appears on the screen.

Waiting: a person remembers where in the event log they have looked up to. Every act moves that mark to now; every
`sees…` that succeeds moves it just behind the event it found. So a script reads in order: after an act, `sees…` finds
the first fitting message that the bot sends or edits from then on, also one that was overwritten a moment later, and
never one from before the act. Nothing polls: waiting ends on the event itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sandbox import acts
from sandbox.changes import Changes
from sandbox.mini_apps import Launch, launch
from sandbox.pencil import Crop, Stroke, drawn_on
from sandbox.shown import Shown, transcript
from sandbox.tap import Tap
from sandbox.world import Event, Human, Json, World

Predicate = Callable[[Shown], bool]


class Person:
    """One human being with a private chat. `patience` is the default time limit of every wait, in seconds."""

    def __init__(self, world: World, human: Human, patience: float = 10.0) -> None:
        self.patience = patience
        self._world = world
        self._human = human
        self._seen = self._acted = len(world.events)

    @property
    def id(self) -> int:
        """User id, and the id of the chat."""
        return self._human.id

    @property
    def name(self) -> str:
        """First name."""
        return self._human.name

    @property
    def language_code(self) -> str:
        """Language of the person's Telegram."""
        return self._human.language_code

    # Acts

    async def says(self, text: str, reply_to: int | None = None, entities: list[Json] | None = None) -> Shown:
        """Write a text, as it is: nothing is trimmed or split."""
        return self._did(acts.say(self._world, self._human, text, reply_to, entities))

    async def sends_photo(self, data: bytes, caption: str = "", reply_to: int | None = None) -> Shown:
        """Send a photo."""
        return self._did(acts.send_photo(self._world, self._human, data, caption, reply_to))

    async def draws_on(
        self, photo: int, *strokes: Stroke, caption: str = "", reply: bool = False, crop: Crop | None = None, turns: int = 0
    ) -> Shown:
        """Open a photo of this chat by its message, draw on it with Telegram's pencil, and send what came of it as a new photo.

        crop: left, top, right, bottom of what is left, in shares.  turns: quarter turns to the left.
        """
        drawn = drawn_on(self.message(photo).photo, strokes, crop=crop, turns=turns)
        return await self.sends_photo(drawn, caption, photo if reply else None)

    async def sends_album(self, *photos: bytes, caption: str = "", reply_to: int | None = None) -> list[Shown]:
        """Send two to ten photos as one album."""
        sent = acts.send_album(self._world, self._human, list(photos), caption, reply_to)
        return [self._did(message) for message in sent]

    async def sends_documents(self, *files: tuple[str, bytes, str], caption: str = "") -> list[Shown]:
        """Send two to ten files (name, content, type) as one album."""
        sent = acts.send_documents(self._world, self._human, list(files), caption)
        return [self._did(message) for message in sent]

    async def sends_document(
        self, name: str, data: bytes, mime: str = "application/octet-stream", caption: str = "", reply_to: int | None = None
    ) -> Shown:
        """Send a file."""
        sent = acts.send_document(self._world, self._human, name, data, mime, caption=caption, reply_to=reply_to)
        return self._did(sent)

    async def sends_document_of_size(
        self, name: str, size: int, mime: str = "application/octet-stream", caption: str = ""
    ) -> Shown:
        """Send a file of `size` zeros that nobody holds in memory."""
        return self._did(acts.send_document(self._world, self._human, name, None, mime, size=size, caption=caption))

    async def sends_sticker(self, data: bytes | None = None) -> Shown:
        """Send a sticker."""
        return self._did(acts.send_kind(self._world, self._human, "sticker", data))

    async def sends_voice(self) -> Shown:
        """Send a voice note."""
        return self._did(acts.send_kind(self._world, self._human, "voice"))

    async def sends_video(self, caption: str = "") -> Shown:
        """Send a video."""
        return self._did(acts.send_kind(self._world, self._human, "video", caption=caption))

    async def sends_location(self) -> Shown:
        """Send a place."""
        return self._did(acts.send_kind(self._world, self._human, "location"))

    async def edits(self, message_id: int, text: str) -> Shown:
        """Change an own message."""
        return self._did(acts.edit(self._world, self._human, message_id, text))

    async def deletes(self, message_id: int) -> None:
        """Remove a message, own or the bot's, from the chat."""
        acts.delete(self._world, self._human, message_id)
        self._mark()

    async def forwards(self, content: int | str | bytes, sender: str = "Somebody") -> Shown:
        """Forward a message of this chat by its id, or a text or photo of somebody with a hidden account."""
        if isinstance(content, int):
            return self._did(acts.forward(self._world, self._human, content))
        return self._did(acts.forward_from_hidden(self._world, self._human, content, sender))

    async def presses(self, label: str, message_id: int | None = None) -> Tap:
        """Press a button by its label, without emoji or case, in the newest message that has it.

        A label that no button bears exactly may be the beginning of one.
        Raises: AssertionError with the screen if there is no such button.
        """
        for exact in (True, False):
            for message in reversed(self.chat):
                if message_id is not None and message.id != message_id:
                    continue
                button = message.button(label, exact=exact)
                if button is None:
                    continue
                if "callback_data" not in button:
                    raise AssertionError(f"the button {label!r} is no callback button: {button}")
                return self._press(message.id, str(button["callback_data"]))
        raise AssertionError(f"{self.name} sees no button {label!r} on the screen:\n{self.screen_text()}")

    async def presses_data(self, data: str, message_id: int | None = None) -> Tap:
        """Press a forged button: any data, under any message (default: the bot's newest)."""
        if message_id is None:
            message_id = next((message.id for message in reversed(self.chat) if message.from_bot), 1)
        return self._press(message_id, data)

    async def blocks(self) -> None:
        """Block the bot."""
        acts.block(self._world, self._human, True)
        self._mark()

    async def unblocks(self) -> None:
        """Unblock the bot."""
        acts.block(self._world, self._human, False)
        self._mark()

    async def leaves_telegram(self) -> None:
        """Delete the account: the bot is told that the user is deactivated."""
        self._human.deactivated = True

    async def forbids_photos(self, forbidden: bool = True) -> None:
        """Take the bot's right to send photos into this chat, or give it back."""
        self._human.photos_forbidden = forbidden

    async def migrates(self) -> int:
        """Give the chat a new id, as an upgraded group has; calls to the old one are told the new."""
        return self._world.migrate(self._human)

    # Waiting

    async def sees(
        self,
        predicate: Predicate,
        timeout: float | None = None,
        *,
        message_id: int | None = None,
        reply_to: int | None = None,
        since: int | None = None,
        what: str = "such a message",
    ) -> Shown:
        """Wait for the first message, new or edited, by the bot that fits.

        `message_id` and `reply_to` narrow it to one message or to answers to one; `since` looks from a `now` taken
        earlier instead of from the person's own mark.
        Raises: AssertionError with the transcript after `timeout` seconds.
        """
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        position = self._seen if since is None else since
        while True:
            for event in self._human.events_since(position):
                position = event.number + 1
                message = self._message_of(event)
                if message is None or (message_id is not None and message.id != message_id):
                    continue
                if reply_to is not None and message.reply_to != reply_to:
                    continue
                if predicate(message):
                    self._seen = max(self._seen, position) if since is not None else position
                    return message
            if self._world.closed or not await self._human.changes.wait_until(deadline):
                raise self._failure(what)

    async def sees_text(
        self,
        contains: str | None = None,
        timeout: float | None = None,
        *,
        message_id: int | None = None,
        reply_to: int | None = None,
        since: int | None = None,
    ) -> Shown:
        """Wait for a text or caption, containing `contains` in any case."""
        wanted = (contains or "").casefold()
        what = f"a text with {contains!r}" if contains else "a text"
        return await self.sees(
            lambda message: bool(message.text) and wanted in message.text.casefold(),
            timeout,
            message_id=message_id,
            reply_to=reply_to,
            since=since,
            what=what,
        )

    async def sees_photo(
        self,
        timeout: float | None = None,
        *,
        message_id: int | None = None,
        reply_to: int | None = None,
        since: int | None = None,
    ) -> Shown:
        """Wait for a photo; its bytes are `.photo`."""
        return await self.sees(
            lambda message: message.has_photo,
            timeout,
            message_id=message_id,
            reply_to=reply_to,
            since=since,
            what="a photo",
        )

    async def sees_album(self, timeout: float | None = None, *, since: int | None = None) -> list[Shown]:
        """Wait for an album; all its messages, in order."""
        first = await self.sees(lambda message: message.album is not None, timeout, since=since, what="an album")
        ours = [event for event in self._human.events_since(0) if event.data.get("media_group_id") == first.album]
        self._seen = max(self._seen, ours[-1].number + 1)
        return [message for message in self.chat if message.album == first.album]

    async def sees_document(
        self,
        timeout: float | None = None,
        *,
        message_id: int | None = None,
        reply_to: int | None = None,
        since: int | None = None,
    ) -> Shown:
        """Wait for a file; its bytes are `.document`."""
        return await self.sees(
            lambda message: message.has_document,
            timeout,
            message_id=message_id,
            reply_to=reply_to,
            since=since,
            what="a document",
        )

    async def sees_button(self, label: str, timeout: float | None = None) -> Shown:
        """Wait until a message that came or changed since the last act bears this button now; the mark stays."""
        found: list[Shown] = []

        def on_screen() -> bool:
            touched = {m.id for event in self._human.events_since(self._acted) if (m := self._message_of(event)) is not None}
            found[:] = [m for m in self.chat if m.id in touched and m.button(label, exact=False) is not None]
            return bool(found)

        await self.until_here(on_screen, f"a button {label!r}", timeout)
        return found[-1]

    async def sees_deletion(self, message_id: int, timeout: float | None = None) -> None:
        """Wait until a message is gone."""
        await self.until_here(lambda: message_id not in self._human.messages, f"message {message_id} go", timeout)

    async def until(self, condition: Callable[[], bool], what: str, timeout: float | None = None) -> None:
        """Wait until a condition about this sandbox holds; it is asked again after every change anywhere.

        Raises: AssertionError with the transcript after `timeout` seconds.
        """
        await self._until(condition, what, timeout, self._world.changes)

    async def until_here(self, condition: Callable[[], bool], what: str, timeout: float | None = None) -> None:
        """Wait until a condition about this chat alone holds: cheap also where thousands wait.

        Raises: AssertionError with the transcript after `timeout` seconds.
        """
        await self._until(condition, what, timeout, self._human.changes)

    async def _until(self, condition: Callable[[], bool], what: str, timeout: float | None, changes: Changes) -> None:
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        while not condition():
            if self._world.closed or not await changes.wait_until(deadline):
                raise self._failure(what)

    def opens(self, label: str, message_id: int, age_s: int = 0) -> Launch:
        """Open the Mini App of a button, as if `age_s` seconds ago; a browser opens `.address()`.

        Raises: LookupError if there is no such button.
        """
        button = self.message(message_id).button(label, exact=False) or {}
        if "web_app" not in button:
            raise LookupError(f"message {message_id} has no button {label!r} that opens a Mini App")
        return launch(self._world, self._human, message_id, button["web_app"]["url"], age_s)

    # The screen

    @property
    def now(self) -> int:
        """The present moment, for `since`."""
        return len(self._world.events)

    @property
    def chat(self) -> list[Shown]:
        """Messages as shown now, oldest first."""
        return [self._shown(message) for message in self._human.messages.values()]

    def history(self, since: int = 0) -> list[Shown]:
        """Every message the bot has shown since a `now`, edits included, in order."""
        shown = (self._message_of(event) for event in self._human.events_since(since))
        return [message for message in shown if message is not None]

    def message(self, message_id: int) -> Shown:
        """A message as shown now.

        Raises: KeyError if it is not there.
        """
        return self._shown(self._human.messages[message_id])

    def screen_text(self) -> str:
        """The chat as it looks now, in words."""
        bot = self._world.bot["first_name"]
        return "\n".join(f"#{m.id} {bot if m.from_bot else self.name}: {m.describe()}" for m in self.chat)

    def transcript(self) -> str:
        """Everything that happened in this chat, in words."""
        return transcript(self._human.events, self.name, self._world.bot["first_name"], self._shown)

    def _shown(self, message: Json) -> Shown:
        return Shown(message, self._world.files, self._world.bot_id)

    def _message_of(self, event: Event) -> Shown | None:
        """The bot's message an event shows in this chat."""
        if event.kind not in ("message", "edit"):
            return None
        message = self._shown(event.data)
        return message if message.from_bot else None

    def _press(self, message_id: int, data: str) -> Tap:
        pressed = acts.press(self._world, self._human, message_id, data)
        self._mark()
        return Tap(self, pressed)

    def _did(self, message: Json) -> Shown:
        self._mark()
        return self._shown(message)

    def _mark(self) -> None:
        self._seen = self._acted = len(self._world.events)

    def _failure(self, what: str) -> AssertionError:
        return AssertionError(f"{self.name} waited for {what} and did not see it. What happened:\n{self.transcript()}")

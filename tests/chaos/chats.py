"""Telegram in memory, seen from outside: what each chat shows, and a bot whose calls end as the test says."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import GetMe
from aiogram.types import BufferedInputFile, InputMediaPhoto, Message, PhotoSize

from bot.said import Said
from storage.domain import Job, Picture, Remark
from storage.post import Notice
from storage.queue_state import QueueView, Timing
from tests.chaos.quick import failing
from tests.storage.made import BOT

_METHOD = GetMe()  # errors name the method they come from; nobody reads it


class End(Enum):
    """How one call to Telegram ends."""

    WELL = auto()
    FLOOD = auto()  # 429
    DOWN = auto()  # 502
    REFUSED = auto()  # 400
    LOST = auto()  # nothing was applied, and no answer came
    UNANSWERED = auto()  # applied, but the answer was lost
    KILLED_BEFORE = auto()  # the bot's process dies before the call
    KILLED_AFTER = auto()  # ... after it was applied, before it was written down
    UNNOTED = auto()  # applied and answered, but the database does not take the next write
    NEVER_NOTED = auto()  # ... nor the one after


_APPLIED = (End.WELL, End.UNANSWERED, End.KILLED_AFTER, End.UNNOTED, End.NEVER_NOTED)
_UNSURE = (End.LOST, End.UNANSWERED, End.UNNOTED, End.NEVER_NOTED)


@dataclass(frozen=True)
class Shown:
    """One message of the bot: what it says, about which job ("-" for none), and whether it shows a picture."""

    key: str
    job: str
    photo: bool = False
    again: bool = False

    @property
    def ends(self) -> bool:
        return self.photo or self.key in ("job.failed", "job.cancelled")


class Plain:
    """Texts that a machine can read: key and job."""

    def status(self, job: Job, language: str, view: QueueView | None, timing: Timing | None) -> Said:
        return Said(f"status {job.public_id} {job.state} {job.step} {view.place if view else ''}")

    def result(
        self, job: Job, pictures: list[Picture], language: str, index: int, again: bool = False, proof: Sequence[Remark] = ()
    ) -> Said:
        return Said(f"result {job.public_id}{' again' if again else ''}")

    def notice(self, notice: Notice, language: str) -> Said:
        return Said(f"{notice.key} {notice.params.get('job', '-')}")

    def coming(self, language: str) -> Said:
        return Said("result.coming -")

    def text(self, language: str, key: str, values: Mapping[str, object] | None = None) -> str:
        return f"{key} -"

    def status_text(self, job: Job, language: str, view: QueueView | None, timing: Timing | None) -> str:
        return str(job.state)

    def turn(self, view: QueueView, waits: bool, language: str) -> str:
        return ""

    def label(self, language: str) -> Callable[..., str]:
        return lambda key, values=None: str(key)


@dataclass
class Telegram:
    """The chats, and the bot that speaks to them. `ends` says how the next calls end; then all end well."""

    chats: dict[int, dict[int, Shown]] = field(default_factory=dict)
    texts: dict[tuple[int, int], str] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    ends: list[End] = field(default_factory=list)
    killed: bool = False
    on_kill: Callable[[], None] = lambda: None
    statuses: Counter[str] = field(default_factory=Counter)  # messages that said "accepted", ever
    unsure: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, job): new messages of unknown fate
    spoilt: Counter[str] = field(default_factory=Counter)  # results and last words that Telegram refused
    refused_as_blocked: Counter[str] = field(default_factory=Counter)  # jobs whose messages met a blocked chat
    deleted: set[tuple[str, str]] = field(default_factory=set)  # (kind, job) that a person has deleted
    id: int = BOT
    _numbers: Any = field(default_factory=lambda: itertools.count(10))

    def new_id(self) -> int:
        return int(next(self._numbers))

    def shown(self) -> Iterable[tuple[int, int, Shown]]:
        for chat, messages in self.chats.items():
            for message_id, message in messages.items():
                yield chat, message_id, message

    def results(self) -> dict[str, int]:
        """How many messages show each job's result as if they were the first."""
        return Counter(message.job for _, _, message in self.shown() if message.photo and not message.again)

    def delete(self, chat: int, message_id: int) -> None:
        gone = self.chats[chat].pop(message_id)
        self.deleted.add((gone.key, gone.job))

    # What the deliverer calls

    async def send_message(self, chat: int, text: str, **how: Any) -> Message:
        key, job = text.split()[:2]
        return await self._send(chat, Shown(key, job), text)

    async def send_photo(self, chat: int, photo: BufferedInputFile, caption: str, **how: Any) -> Message:
        return await self._send(chat, _photo(caption), caption)

    async def edit_message_text(self, text: str, chat_id: int, message_id: int, **how: Any) -> Message:
        key, job = text.split()[:2]
        return await self._edit(chat_id, message_id, Shown(key, job), text)

    async def edit_message_media(self, media: InputMediaPhoto, chat_id: int, message_id: int, **how: Any) -> Message:
        return await self._edit(chat_id, message_id, _photo(str(media.caption)), str(media.caption))

    async def send_chat_action(self, chat: int, action: str) -> bool:
        """Nobody sees it in what a chat keeps, and it fails with nothing else."""
        return True

    async def _send(self, chat: int, what: Shown, text: str) -> Message:
        end = await self._begin(chat, what)
        if end in _UNSURE:
            self.unsure[what.key, what.job] += 1
        message_id = 0
        if end in _APPLIED:
            message_id = self.new_id()
            self.chats.setdefault(chat, {})[message_id] = what
            self.texts[chat, message_id] = text
            self.statuses[what.job] += what.key == "status"
        return self._finish(end, message_id, what)

    async def _edit(self, chat: int, message_id: int, what: Shown, text: str) -> Message:
        now = self.chats.get(chat, {}).get(message_id)
        end = await self._begin(chat, what, gone=now is None)
        if now is None:
            raise TelegramBadRequest(_METHOD, "Bad Request: message to edit not found")
        if now.photo and not what.photo:
            raise TelegramBadRequest(_METHOD, "Bad Request: there is no text in the message to edit")
        if self.texts[chat, message_id] == text:
            raise TelegramBadRequest(_METHOD, "Bad Request: message is not modified")
        if end in _APPLIED:
            self.chats[chat][message_id] = what
            self.texts[chat, message_id] = text
        return self._finish(end, message_id, what)

    async def _begin(self, chat: int, what: Shown, gone: bool = False) -> End:
        """Reach Telegram, or not; an edit of nothing is not worth a fault."""
        await asyncio.sleep(0)  # others take their turn while a call is on its way
        if self.killed:
            raise asyncio.CancelledError
        if chat in self.blocked:
            self.refused_as_blocked[what.job] += 1
            raise TelegramForbiddenError(_METHOD, "Forbidden: bot was blocked by the user")
        end = self.ends.pop(0) if self.ends and not gone else End.WELL
        if end == End.FLOOD:
            raise TelegramRetryAfter(_METHOD, "Too Many Requests", retry_after=5)
        if end == End.DOWN:
            raise TelegramServerError(_METHOD, "Bad Gateway")
        if end == End.REFUSED:
            self.spoilt[what.job] += 1
            raise TelegramBadRequest(_METHOD, "Bad Request: PHOTO_INVALID_DIMENSIONS")
        return end

    def _finish(self, end: End, message_id: int, what: Shown) -> Message:
        """Answer, or not."""
        if end in (End.LOST, End.UNANSWERED):
            raise TelegramNetworkError(_METHOD, "Request timeout error")
        if end in (End.KILLED_BEFORE, End.KILLED_AFTER):
            self.killed = True
            self.on_kill()
            raise asyncio.CancelledError
        failing.set({End.UNNOTED: 1, End.NEVER_NOTED: 2}.get(end, 0))
        photo = [PhotoSize.model_construct(file_id=f"file {message_id}", file_unique_id=str(message_id))] if what.photo else None
        return Message.model_construct(message_id=message_id, photo=photo)


def _photo(caption: str) -> Shown:
    words = caption.split()
    return replace(Shown("result", words[1], photo=True), again=words[-1] == "again")

"""Updates come in: stored first, acknowledged then, handled in order per chat, set aside when they cannot be handled."""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.types import Update
from aiohttp import ClientTimeout
from pydantic import ValidationError

from bot.logs import redact
from bot.settings import SettingsError
from handlers.ports import Toast
from storage.database import Database
from storage.domain import InboxUpdate, NewNotice
from storage.repositories.inbox import InboxRepository
from storage.repositories.outgoing import NoticeRepository
from storage.repositories.users import UserRepository

log = logging.getLogger(__name__)

AnswerPress = Callable[[Update, Any], Awaitable[None]]

ALLOWED_UPDATES = ["message", "edited_message", "callback_query"]
_LONG_POLL_S = 25
_TRIES = 5
_TICK_S = 1.0
_AT_ONCE = 50
_KEEP_S = 7 * 86400.0


class Poller:
    """Fetch updates and store each batch, as Telegram wrote it, before the next call confirms it to Telegram.

    The answer is not parsed into aiogram's types here: one update that they do not know must not hold up the others.
    """

    def __init__(self, bot: Bot, database: Database, arrived: asyncio.Event) -> None:
        self._bot, self._db, self._arrived = bot, database, arrived

    async def run(self) -> None:
        """Poll until cancelled. Raises: SettingsError for a token that Telegram does not know."""
        offset: int | None = None
        failures = 0
        while True:
            try:
                updates = await self._fetch(offset)
                if updates:
                    offset = await self._store(updates)
                    self._arrived.set()
                failures = 0
            except SettingsError:
                raise
            except Exception as error:  # whatever it was, Telegram keeps the updates until we confirm them
                failures += 1
                log.warning("getUpdates: %s", redact(f"{type(error).__name__} {error}"))
                await asyncio.sleep(min(10.0, 0.2 * 2.0 ** min(failures, 6)))

    async def _fetch(self, offset: int | None) -> list[dict[str, Any]]:
        session = self._bot.session
        if not isinstance(session, AiohttpSession):
            raise TypeError("the poller speaks HTTP itself and needs an AiohttpSession")
        url = session.api.api_url(self._bot.token, "getUpdates")
        wish: dict[str, Any] = {"timeout": _LONG_POLL_S, "allowed_updates": ALLOWED_UPDATES}
        if offset is not None:
            wish["offset"] = offset
        client = await session.create_session()
        async with client.post(url, json=wish, timeout=ClientTimeout(total=_LONG_POLL_S + 10)) as response:
            answer = await response.json(content_type=None)
        if answer.get("ok"):
            return list(answer["result"])
        if answer.get("error_code") in (401, 404):
            raise SettingsError("TELEGRAM_TOKEN: Telegram does not know this token. Get one from @BotFather.")
        retry_s = (answer.get("parameters") or {}).get("retry_after", 0)
        await asyncio.sleep(retry_s)
        raise RuntimeError(answer.get("description"))

    async def _store(self, updates: list[dict[str, Any]]) -> int:
        """Store a batch in the order of its numbers; return the offset that confirms it."""
        updates = sorted(updates, key=lambda update: int(update["update_id"]))
        batch = [(int(update["update_id"]), chat_of(update), json.dumps(update, ensure_ascii=True)) for update in updates]
        async with self._db.begin() as session:
            await InboxRepository(session).add(self._bot.id, batch)
        return batch[-1][0] + 1


class Pump:
    """Feed stored updates to the handlers: chats in parallel, each in its own order."""

    def __init__(self, bot: Bot, dispatcher: Dispatcher, database: Database, arrived: asyncio.Event, answer: AnswerPress) -> None:
        self._bot, self._dispatcher, self._db, self._arrived = bot, dispatcher, database, arrived
        self._answer = answer
        self._busy: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Pump until cancelled; an update being handled then is finished first."""
        try:
            while True:
                await self._start_due()
                try:
                    async with asyncio.timeout(_TICK_S):
                        await self._arrived.wait()
                except TimeoutError:
                    pass
                self._arrived.clear()
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=5)

    async def _start_due(self) -> None:
        room = _AT_ONCE - len(self._busy)
        if room <= 0:
            return
        try:
            async with self._db.read() as session:
                due = await InboxRepository(session).due(self._bot.id, list(self._busy), room)
        except Exception as error:
            log.error("inbox not read: %s", type(error).__name__)
            return
        for item in due:
            self._busy.add(item.chat_id)
            task = asyncio.create_task(self._handle(item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle(self, item: InboxUpdate) -> None:
        try:
            try:
                update = Update.model_validate_json(item.payload, context={"bot": self._bot})
            except ValidationError as error:
                await self._set_aside(item, f"not an update: {error.error_count()} errors")
                return
            try:
                toast = await self._dispatcher.feed_update(self._bot, update, inbox_id=item.id)
                await self._answer(update, toast)
                async with self._db.begin() as session:
                    await InboxRepository(session).done(item.id)
            except Exception as error:
                await self._answer(update, Toast("toast.trouble", alert=True))
                await self._later(item, error)
        except Exception as error:
            log.error("update %d: %s", item.update_id, type(error).__name__)
            await asyncio.sleep(1)
        finally:
            self._busy.discard(item.chat_id)
            self._arrived.set()

    async def _later(self, item: InboxUpdate, error: Exception) -> None:
        name = type(error).__name__
        if item.attempts + 1 >= _TRIES:
            await self._set_aside(item, name, error)
            return
        log.warning("update %d, try %d: %s: %s", item.update_id, item.attempts + 1, name, error)
        async with self._db.begin() as session:
            await InboxRepository(session).retry(item.id, 2.0**item.attempts, name)

    async def _set_aside(self, item: InboxUpdate, why: str, error: Exception | None = None) -> None:
        """Keep an update that cannot be handled, tell its person once, and let the chat go on."""
        code = secrets.token_hex(2).upper()
        log.error("update %d set aside, code %s: %s", item.update_id, code, why, exc_info=error)
        async with self._db.begin() as session:
            await InboxRepository(session).poison(item.id, f"{code} {why}")
            user = await UserRepository(session).find(item.bot_id, item.chat_id)  # in a private chat the chat is the person
            if user is not None:
                notice = NewNotice(
                    bot_id=item.bot_id,
                    chat_id=item.chat_id,
                    user_id=user.id,
                    key="fallback.poison",
                    params={"code": code},
                    dedupe_key=f"poison:{code}:{item.bot_id}:{item.update_id}",
                )
                await NoticeRepository(session).add(notice)


async def forget_old(database: Database, bot_id: int) -> None:
    """Drop handled updates that Telegram can no longer repeat."""
    async with database.begin() as session:
        await InboxRepository(session).forget_older(bot_id, _KEEP_S)


def chat_of(update: dict[str, Any]) -> int:
    """Chat whose order a raw update belongs to; 0 for one without a chat."""
    for event in update.values():
        if isinstance(event, dict):
            message = event.get("message") or event
            chat = message.get("chat") or event.get("from") or {}
            return int(chat.get("id", 0))
    return 0

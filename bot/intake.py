"""Updates come in: stored first, acknowledged then, handled in order per chat, set aside when they cannot be handled."""

import asyncio
import functools
import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.types import Update
from aiohttp import ClientTimeout
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from bot import metrics
from bot.arrivals import Arrivals
from bot.logs import log_about, redact
from bot.settings import SettingsError
from bot.telegram import NO_SUCH_TOKEN, insist
from handlers.ports import SentFile, Toast
from storage.database import Database
from storage.domain import InboxUpdate
from storage.post import NewNotice
from storage.repositories.inbox import InboxRepository
from storage.repositories.outgoing import NoticeRepository, PauseRepository
from storage.repositories.users import UserRepository

log = logging.getLogger(__name__)

AnswerPress = Callable[[Update, Any], Awaitable[None]]

Entry = tuple[int, int, str]  # an update's number, its chat, and its JSON

ALLOWED_UPDATES = ["message", "edited_message", "callback_query"]
_LONG_POLL_S = 25
_TRIES = 5
_AT_ONCE = 50
_LAST_S = 5.0  # for what is being handled when this process stops
_KEEP_S = 7 * 86400.0
_KEEP_RESTS_S = 3600.0
MOST_WAITING = 200  # updates of one chat; who writes more is told so, and the newest are left out
_FLOOD_WORD_S = 3600  # at most one word about it to a chat in so many seconds


class Poller:
    """Fetch updates and store each batch, as Telegram wrote it, before the next call confirms it to Telegram.

    The answer is not parsed into aiogram's types here: one update that they do not know must not hold up the others.
    """

    def __init__(self, bot: Bot, database: Database, arrived: asyncio.Event) -> None:
        self._bot, self._db, self._arrived = bot, database, arrived

    async def run(self) -> None:
        """Poll until cancelled. Raises: SettingsError for a token that Telegram does not know."""
        await insist(self._bot.delete_webhook, "TELEGRAM_TOKEN")  # with one set, Telegram gives nothing to who asks
        offset: int | None = None
        failures = 0
        while True:
            metrics.moved("poll")
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
            raise SettingsError(NO_SUCH_TOKEN)
        retry_s = (answer.get("parameters") or {}).get("retry_after", 0)
        await asyncio.sleep(retry_s)
        raise RuntimeError(answer.get("description"))

    async def _store(self, updates: list[dict[str, Any]]) -> int:
        """Store a batch in the order of its numbers; return the offset that confirms it."""
        updates = sorted(updates, key=lambda update: int(update["update_id"]))
        batch = [entry_of(update) for update in updates]
        async with self._db.begin() as session:
            await take_in(session, self._bot.id, batch)
        return batch[-1][0] + 1


async def take_in(session: AsyncSession, bot_id: int, batch: Sequence[Entry]) -> None:
    """Store what is new, part of the caller's transaction; of a chat that floods, only as many as may wait."""
    inbox = InboxRepository(session)
    waiting = Counter(await inbox.waiting(bot_id, {chat_id for _, chat_id, _ in batch}))
    kept, flooded = [], set()
    for entry in batch:
        chat_id = entry[1]
        if waiting[chat_id] < MOST_WAITING:
            waiting[chat_id] += 1
            kept.append(entry)
        else:
            flooded.add(chat_id)
    await inbox.add(bot_id, kept)
    for chat_id in flooded:
        await _say_flooded(session, bot_id, chat_id)


async def _say_flooded(session: AsyncSession, bot_id: int, chat_id: int) -> None:
    log.warning("chat floods: %d of its updates wait; its newest are left out", MOST_WAITING)
    metrics.flooded()
    user = await UserRepository(session).find(bot_id, chat_id)
    if user is not None:
        key = f"flood:{bot_id}:{chat_id}:{int(time.time() // _FLOOD_WORD_S)}"
        values = {"limit": MOST_WAITING}
        notice = NewNotice(bot_id, chat_id, "fallback.flood", key, values, user_id=user.id)
        await NoticeRepository(session).add(notice)


class Pump:
    """Feed stored updates to the handlers: chats in parallel, each in its own order.

    A message whose file has still to be fetched steps aside meanwhile, and whatever replies to it waits behind it; the others
    of its chat go on.
    """

    def __init__(
        self,
        bot: Bot,
        dispatcher: Dispatcher,
        database: Database,
        arrived: asyncio.Event,
        answer: AnswerPress,
        tick_s: float = 1.0,
        arrivals: Arrivals | None = None,
    ) -> None:
        self._bot, self._dispatcher, self._db, self._arrived = bot, dispatcher, database, arrived
        self._answer, self._tick_s, self._arrivals = answer, tick_s, arrivals
        self._busy: set[int] = set()
        self._aside: set[int] = set()  # inbox ids
        self._fetched: dict[tuple[int, int], set[int]] = {}  # the messages that are: by chat and id, what waits behind each
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Pump until cancelled; an update being handled then is finished first."""
        try:
            while True:
                metrics.moved("pump")
                await self._start_due()
                try:
                    async with asyncio.timeout(self._tick_s):
                        await self._arrived.wait()
                except TimeoutError:
                    pass
                self._arrived.clear()
        finally:
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=_LAST_S)
                for task in late:  # whoever handles next must not be doing it beside us
                    task.cancel()

    async def _start_due(self) -> None:
        room = _AT_ONCE - len(self._busy)
        if room <= 0:
            return
        try:
            async with self._db.alone() as session:
                due = await InboxRepository(session).due(self._bot.id, self._busy, room, self._aside)
        except Exception as error:
            log.error("inbox not read: %s", type(error).__name__)
            return
        for item in due:
            self._busy.add(item.chat_id)
            self._start(self._handle(item))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, item: InboxUpdate) -> None:
        log_about(update=item.update_id)
        try:
            try:
                update = _update(item.payload, self._bot)
            except (ValidationError, ValueError, RecursionError) as error:
                count = error.error_count() if isinstance(error, ValidationError) else 1
                await self._set_aside(item, f"not an update: {count} errors")
                return
            if self._steps_aside(item, update):
                return
            try:
                toast = await self._dispatcher.feed_update(self._bot, update, inbox_id=item.id)
                await self._answer(update, toast)
                async with self._db.alone() as session:
                    await InboxRepository(session).done(item.id)
                metrics.update("done")
            except Exception as error:
                await self._answer(update, Toast("toast.trouble", alert=True))
                await self._later(item, error)
        except Exception as error:
            log.error("not handled: %s", type(error).__name__)
            await asyncio.sleep(1)
        finally:
            if self._arrivals is not None and item.id not in self._aside:
                await self._arrivals.drop(item.id)
            self._busy.discard(item.chat_id)
            self._arrived.set()

    def _steps_aside(self, item: InboxUpdate, update: Update) -> bool:
        """Let an update wait outside of its chat's turns, for its own file or for that of the message it replies to."""
        message = update.message
        if self._arrivals is None or message is None:
            return False
        about = message.reply_to_message
        behind = self._fetched.get((item.chat_id, about.message_id)) if about else None
        if behind is not None:
            behind.add(item.id)
        elif (file := self._arrivals.missing(item.id, update)) is not None:
            self._fetched[item.chat_id, message.message_id] = {item.id}
            self._start(self._fetch(item, message.message_id, file))
        else:
            return False
        self._aside.add(item.id)
        return True

    async def _fetch(self, item: InboxUpdate, message_id: int, file: SentFile) -> None:
        """Fetch a message's file; then it has its turn, and after it what waits behind it."""
        log_about(update=item.update_id)
        tried_again = False
        try:
            if self._arrivals is not None:
                await self._arrivals.fetch(item.id, item.chat_id, file)
        except Exception as error:
            try:
                await self._later(item, error)
                tried_again = True
            except Exception as away:  # the database, say: the message itself will find out in its turn
                log.error("not put off: %s", type(away).__name__)
        finally:
            back = functools.partial(self._come_back, self._fetched.pop((item.chat_id, message_id), set()))
            if tried_again:  # it holds up nobody until then, either
                asyncio.get_running_loop().call_later(_rest_s(item), back)
            else:
                back()

    def _come_back(self, inbox_ids: set[int]) -> None:
        self._aside -= inbox_ids
        self._arrived.set()

    async def _later(self, item: InboxUpdate, error: Exception) -> None:
        name = type(error).__name__
        if item.attempts + 1 >= _TRIES:
            await self._set_aside(item, name, error)
            return
        log.warning("try %d: %s: %s", item.attempts + 1, name, error)
        metrics.update("retried")
        async with self._db.begin() as session:
            await InboxRepository(session).retry(item.id, _rest_s(item), name)

    async def _set_aside(self, item: InboxUpdate, why: str, error: Exception | None = None) -> None:
        """Keep an update that cannot be handled, tell its person once, and let the chat go on."""
        code = secrets.token_hex(2).upper()
        log.error("set aside, code %s: %s", code, why, exc_info=error)
        metrics.update("poison")
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


def _rest_s(item: InboxUpdate) -> float:
    """Seconds until an update that failed is tried again."""
    return 2.0**item.attempts


async def forget_old(database: Database, bot_id: int) -> None:
    """Drop handled updates that Telegram can no longer repeat, and rests that ended long ago."""
    async with database.begin() as session:
        await InboxRepository(session).forget_older(bot_id, _KEEP_S)
        await PauseRepository(session).forget_older(bot_id, _KEEP_RESTS_S)


def entry_of(update: dict[str, Any]) -> Entry:
    """What the inbox keeps of a raw update."""
    return int(update["update_id"]), chat_of(update), json.dumps(update, ensure_ascii=True)


def chat_of(update: dict[str, Any]) -> int:
    """Chat whose order a raw update belongs to; 0 for one without a chat."""
    for event in update.values():
        if isinstance(event, dict):
            message = event.get("message")
            place = (message if isinstance(message, dict) else event).get("chat") or event.get("from")
            chat_id = place.get("id") if isinstance(place, dict) else None
            return chat_id if type(chat_id) is int and abs(chat_id) < 2**63 else 0
    return 0


def _update(payload: str, bot: Bot) -> Update:
    """Parse a stored update. What neither a database nor a message can carry (NUL, half a surrogate pair) goes."""
    context = {"bot": bot}
    if "\\ud" in payload or "\\u0000" in payload:  # as `entry_of` writes them
        return Update.model_validate(_carried(json.loads(payload)), context=context)
    return Update.model_validate_json(payload, context=context)


def _carried(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore").replace("\0", " ")
    if isinstance(value, list):
        return [_carried(item) for item in value]
    return {name: _carried(item) for name, item in value.items()} if isinstance(value, dict) else value

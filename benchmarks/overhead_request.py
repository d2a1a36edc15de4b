"""The rows about one request's CPU time, measured inside this process on the application's own parts: B1 and B2."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, cast

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.base import BaseSession
from aiogram.methods import EditMessageMedia, SendMessage
from aiogram.types import Message
from pydantic import SecretStr

from benchmarks.overhead_rig import PROMPT, SIDES, TOKEN, Row, Servers, Statements, quantile
from bot import delivery
from bot.app import Application
from bot.broker import Bell, make_celery
from bot.frame import answering
from bot.intake import Poller, Pump
from bot.limiter import Limiter
from bot.settings import DrawingSettings, JobSettings, LimitSettings, StorageSettings, TelegramSettings, WorkerSettings
from bot.telegram import make_bot
from bot.worker import RenderChild
from storage import places
from storage.database import Database
from storage.places import Place
from storage.repositories.workers import LeaseRepository
from tests.chaos import fake_engine

_WARM = 30
_FIRST_CHAT = 7_000_000_000
_LEASE_S = 3600.0  # longer than any run


class _HeardBell(Bell):
    """A bell whose ringing can be awaited."""

    rung: asyncio.Event

    async def ring(self, queue: str, times: int = 1) -> None:
        await super().ring(queue, times)
        self.rung.set()


@asynccontextmanager
async def _intake(storage: StorageSettings, counts: Statements) -> AsyncIterator["_Intake"]:
    telegram = TelegramSettings(token=SecretStr(TOKEN))
    application = Application(make_bot(telegram), storage, JobSettings(), DrawingSettings())
    bell = application._bell = _HeardBell(make_celery(storage))
    bell.rung = asyncio.Event()
    intake = _Intake(application, bell)
    counts.listen(application._db)
    pumping = asyncio.create_task(intake.pump.run())
    try:
        yield intake
    finally:
        pumping.cancel()
        await asyncio.wait({pumping})
        bell.close()
        await application._db.close()


class _Intake:
    """Poller, inbox, pump, handlers and jobs as the bot process has them; nothing is delivered."""

    def __init__(self, application: Application, bell: _HeardBell) -> None:
        bot, database, arrived = application._bot, application._db, application._arrived
        self._bell, self._arrived, self._number = bell, arrived, 0
        self._poller = Poller(bot, database, arrived)
        self.pump = Pump(bot, application._dispatcher, database, arrived, answering(bot, application._texts, database))

    async def take(self) -> float:
        """CPU seconds from an answer of getUpdates to the end of all that its one update sets off, bell included."""
        self._number += 1
        raw = json.dumps({"ok": True, "result": [_update(self._number)]})
        self._bell.rung.clear()
        began = time.process_time()
        await self._poller._store(json.loads(raw)["result"])
        self._arrived.set()
        await self._bell.rung.wait()
        while self.pump._tasks:
            await asyncio.gather(*self.pump._tasks)
        return time.process_time() - began


def _update(number: int) -> dict[str, Any]:
    """A message from a person's second half of a conversation: half of the people are known."""
    chat_id = _FIRST_CHAT + number // 2
    person = {"id": chat_id, "is_bot": False, "first_name": "Anna", "language_code": "en"}
    chat = {"id": chat_id, "type": "private", "first_name": "Anna"}
    message = {"message_id": number, "from": person, "chat": chat, "date": int(time.time()), "text": PROMPT}
    return {"update_id": number, "message": message}


async def accept(servers: Servers, samples: int) -> list[Row]:
    """B1: CPU time of the whole process, all threads, from the JSON of an update to its job's bell on the broker.

    Included: storing the update, the handler, accepting the job, marking the update done, publishing. One update at a
    time; each person writes twice. Not included: the HTTP call that fetched the update.
    """
    rows = []
    for side in SIDES:
        counts = Statements()
        async with _intake(await servers.storage(side), counts) as intake:
            for _ in range(_WARM):
                await intake.take()
            counts.take()
            seconds = [await intake.take() for _ in range(samples)]
            statements, transactions = counts.take()
        measured = f"{statistics.median(seconds) * 1e3:.1f} / {quantile(seconds, 0.99) * 1e3:.1f} ms"
        rows.append(Row("B1", f"accept on {side}: CPU p50 / p99", "5 / 20 ms", "2 / 8 ms", measured))
        count = f"{statements / samples:.1f} in {transactions / samples:.1f} transactions"
        rows.append(Row("B1", f"accept on {side}: SQL statements", "", "", count))
    return rows


class _Mute(BaseSession):
    """Telegram that answers at once, without a network; it notes when it was asked to show a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_at = 0.0

    async def make_request(self, bot: Bot, method: Any, timeout: int | None = None) -> Any:
        if isinstance(method, EditMessageMedia):
            self.asked_at = time.process_time()
        chat = {"id": method.chat_id, "type": "private", "first_name": "Anna"}
        photo = [{"file_id": "A", "file_unique_id": "B", "width": 1, "height": 1}]
        content = {"text": "."} if isinstance(method, SendMessage) else {"photo": photo}
        return Message.model_validate({"message_id": 1_000_000, "date": 1, "chat": chat} | content, context={"bot": bot})

    async def close(self) -> None: ...

    async def stream_content(self, *args: Any, **kwargs: Any) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError
        yield b""


class _Marked:
    """The fake engine, noting when it has drawn."""

    revision = "fake"

    def __init__(self) -> None:
        self._engine = fake_engine.load()
        self.drawn_at = 0.0

    def run(self, *args: Any, **kwargs: Any) -> Any:
        outcome = self._engine.run(*args, **kwargs)
        self.drawn_at = time.process_time()
        return outcome


async def reply(servers: Servers, samples: int) -> list[Row]:
    """B2: CPU time from the engine's return to the call that shows the sheet of four pictures, JPEG excluded.

    In the worker: PNG, media store, the transaction that stores the result. In the bot: finding what is due, reading the
    pictures, caption and buttons, until aiogram's session is asked to send. Threads of both are counted.
    """
    rows = []
    for side in SIDES:
        counts = Statements()
        seconds, (statements, transactions) = await _replies(await servers.storage(side), counts, samples)
        measured = f"{statistics.median(seconds) * 1e3:.1f} ms (p99 {quantile(seconds, 0.99) * 1e3:.1f})"
        rows.append(Row("B2", f"picture to reply on {side}: CPU p50", "5 ms", "2 ms", measured))
        count = f"{statements / samples:.1f} in {transactions / samples:.1f} transactions"
        rows.append(Row("B2", f"claim to delivered on {side}: SQL statements", "", "", count))
    return rows


async def _replies(storage: StorageSettings, counts: Statements, samples: int) -> tuple[list[float], tuple[int, int]]:
    os.environ["CHAOS_DRAW_S"] = "0"
    session, engine = _Mute(), _Marked()
    sys.modules["engine.engine"] = cast(ModuleType, SimpleNamespace(load=lambda *_, **__: engine))
    bot = Bot(TOKEN, session=session, default=DefaultBotProperties(parse_mode="HTML"))
    application = Application(bot, storage, JobSettings(), DrawingSettings())
    deliverer = application._deliverer
    deliverer.limiter = Limiter(limits=LimitSettings(messages_per_s=1e6, chat_messages_per_s=1e4))
    child = RenderChild(storage, JobSettings(), WorkerSettings(), Bell(make_celery(storage)))
    stored_at, jpeg_s = [0.0], [0.0]

    def at(place: Place) -> None:
        if place == Place.AFTER_RENDERED:
            stored_at[0] = time.process_time()

    sheets: Any = delivery  # where the deliverer finds the function
    make_sheet = sheets.as_sheet

    def timed(*args: Any, **kwargs: Any) -> bytes:
        began = time.thread_time()
        sheet: bytes = make_sheet(*args, **kwargs)
        jpeg_s[0] = time.thread_time() - began
        return sheet

    async def deliver() -> None:
        await deliverer.tick()
        while deliverer._tasks:
            await asyncio.gather(*deliverer._tasks)

    places.on_reach, sheets.as_sheet = at, timed
    submitted = Statements()  # the first half of a request is B1's
    seconds: list[float] = []
    assert deliverer.lease is not None  # noqa: S101  `Application.run` would hold it
    async with application._db.begin() as begun:
        await LeaseRepository(begun).take(*deliverer.lease, _LEASE_S)
    async with _intake(storage, submitted) as intake:
        child.start()
        counts.listen(child._db)
        counts.listen(application._db)
        for number in range(_WARM + samples):
            await intake.take()
            await deliver()  # the status message
            if number == _WARM:
                counts.take()
            await asyncio.to_thread(child.render)
            worker_s = stored_at[0] - engine.drawn_at
            began = time.process_time()
            await deliver()
            if session.asked_at < began:
                raise RuntimeError("the picture was not shown")
            if number >= _WARM:
                seconds.append(worker_s + session.asked_at - began - jpeg_s[0])
    places.on_reach, sheets.as_sheet = None, make_sheet
    taken = counts.take()
    await _stop(child, application._db)
    return seconds, taken


async def _stop(child: RenderChild, database: Database) -> None:
    """Stop the child's loop thread, as the end of its process does."""

    async def close() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await child._db.close()

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(close(), child._loop))
    child._loop.call_soon_threadsafe(child._loop.stop)
    await database.close()

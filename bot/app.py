"""The bot process, put together: intake, handlers, delivery and sweep as tasks of one loop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from copy import deepcopy
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.methods import SetMyCommands, SetMyDescription, SetMyShortDescription, TelegramMethod
from aiogram.types import BotCommand

from bot.broker import Bell, make_celery
from bot.delivery import Deliverer
from bot.frame import ActorMiddleware, Desk, answering
from bot.intake import Poller, Pump, forget_old
from bot.jobs import Jobs
from bot.limiter import Limiter
from bot.messages import Messages
from bot.settings import (
    DrawingSettings,
    JobSettings,
    LimitSettings,
    SettingsError,
    StorageSettings,
    TelegramSettings,
    process_name,
    read,
)
from bot.telegram import Fate, attempt, make_bot
from bot.texts import LANGUAGES, Texts
from engine import catalog
from handlers import errors, fallback, imagine, result, start, suggest, waiting
from storage.database import Database
from storage.media import MediaStore
from storage.repositories.workers import LeaseRepository
from storage.schema import check_schema
from storage.word import listen

log = logging.getLogger(__name__)

COMMANDS = ("start", "help", "imagine", "cancel")


def make_dispatcher(**handed: Any) -> Dispatcher:
    """Build the dispatcher with every router; `handed` are the callables that handlers name as arguments."""
    dispatcher = Dispatcher(disable_fsm=True, **handed)
    for module in (errors, start, waiting, result, suggest, imagine, fallback):
        dispatcher.include_router(deepcopy(module.router))  # a router has one dispatcher; a process may have more
    return dispatcher


class Application:
    """One bot process. `run` works until cancelled."""

    def __init__(
        self,
        bot: Bot,
        storage: StorageSettings,
        settings: JobSettings,
        drawing: DrawingSettings,
        *,
        limits: LimitSettings | None = None,
    ) -> None:
        self._bot, self._settings = bot, settings
        self._db = Database(storage.database)
        self._bell = Bell(make_celery(storage))
        self._arrived = asyncio.Event()
        self._ringing: set[asyncio.Task[None]] = set()
        texts = Texts()
        self._texts = texts
        jobs = Jobs(self._db, settings, self._ring_soon)
        self._jobs = jobs
        media = MediaStore(storage.media)
        self._deliverer = Deliverer(self._db, bot, jobs, Messages(texts), media, Limiter(limits=limits))
        desk = Desk(self._db, self._deliverer.wake)

        async def submit(*args: Any, **kwargs: Any) -> Any:
            done = await jobs.submit(*args, **kwargs)
            self._deliverer.wake()
            return done

        async def cancel(*args: Any, **kwargs: Any) -> Any:
            done = await jobs.cancel(*args, **kwargs)
            self._deliverer.wake()
            return done

        self._dispatcher = make_dispatcher(
            submit=submit,
            cancel=cancel,
            active_jobs=jobs.active,
            find_job=desk.find_job,
            find_choice=desk.find_choice,
            say=desk.say,
            show=desk.show,
            send_file=desk.send_file,
            family=drawing.family,
        )
        self._dispatcher.update.outer_middleware(ActorMiddleware(self._db, bot.id))

    async def run(self) -> None:
        """Work until cancelled. Raises: OldSchema; SettingsError for a token Telegram does not know."""
        await check_schema(self._db)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._introduce())
                tasks.create_task(self._lead("intake", self._take_in))
                tasks.create_task(self._lead("deliver", self._deliver))
                tasks.create_task(self._lead("sweep", self._sweep))
        finally:
            self._bell.close()
            await self._bot.session.close()
            await self._db.close()

    async def _ring_soon(self, queue: str, times: int) -> None:
        """Ring without waiting: a broker that hangs must not hold up the answer to a press."""
        ringing = asyncio.create_task(self._bell.ring(queue, times))
        self._ringing.add(ringing)
        ringing.add_done_callback(self._ringing.discard)

    async def _take_in(self) -> None:
        """Poll and handle under one lease: two processes that read the inbox would handle an update twice."""
        answer = answering(self._bot, self._texts)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Poller(self._bot, self._db, self._arrived).run())
            tasks.create_task(Pump(self._bot, self._dispatcher, self._db, self._arrived, answer).run())

    async def _deliver(self) -> None:
        await self._deliverer.take_over()
        listening = asyncio.create_task(listen(self._db, self._deliverer.wake))
        try:
            await self._deliverer.run()
        finally:
            listening.cancel()

    async def _sweep(self) -> None:
        while True:
            try:
                await self._jobs.sweep()
                await forget_old(self._db, self._bot.id)
                self._deliverer.limiter.forget_idle()
                self._deliverer.wake()
            except Exception as error:
                log.error("sweep: %s: %s", type(error).__name__, error)
            await asyncio.sleep(self._settings.sweep_s)

    async def _lead(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` only while this process holds its lease, so that a second process can stand by."""
        name, owner = f"{what}:{self._bot.id}", process_name()
        try:
            while True:
                held_until = time.monotonic() + self._settings.leader_s  # from before the database answers
                if await self._take(name, owner):
                    try:
                        await self._hold(name, owner, held_until, asyncio.ensure_future(work()))
                    except* SettingsError as wrong:
                        raise wrong.exceptions[0] from None
                    except* Exception as group:
                        log.error("%s stopped, and begins again", what, exc_info=group.exceptions[0])
                await asyncio.sleep(0.5)
        finally:
            async with self._db.begin() as session:
                await LeaseRepository(session).drop(name, owner)

    async def _hold(self, name: str, owner: str, held_until: float, task: "asyncio.Future[None]") -> None:
        """Run until the work ends or the lease is lost; the work has ended when this returns."""
        try:
            while time.monotonic() < held_until:
                done, _ = await asyncio.wait({task}, timeout=self._settings.leader_s / 4)
                if done:
                    task.result()
                    return
                until = time.monotonic() + self._settings.leader_s
                if await self._take(name, owner):
                    held_until = until
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=10)
        log.warning("lease %s lost", name)

    async def _take(self, name: str, owner: str) -> bool:
        try:
            async with self._db.begin() as session:
                return await LeaseRepository(session).take(name, owner, self._settings.leader_s)
        except Exception as error:
            log.error("lease %s: %s", name, type(error).__name__)
            return False

    async def _introduce(self) -> None:
        """Tell Telegram the bot's commands and description, in each language; not worth stopping for."""
        for language in LANGUAGES:
            commands = [BotCommand(command=name, description=self._texts.plain(language, f"command.{name}")) for name in COMMANDS]
            code = None if language == "en" else language  # English is what all other languages see
            methods: tuple[TelegramMethod[bool], ...] = (
                SetMyCommands(commands=commands, language_code=code),
                SetMyDescription(description=self._texts.plain(language, "about.long"), language_code=code),
                SetMyShortDescription(short_description=self._texts.plain(language, "about.short"), language_code=code),
            )
            for method in methods:
                tried = await attempt(self._bot(method))
                if tried.fate != Fate.DONE:
                    log.warning("introduction: %s", tried.error)
                    return


async def serve() -> None:
    """Run the bot process from the settings in the environment."""
    drawing = read(DrawingSettings)
    catalog.family(drawing.family)  # a wrong name is said now, not to the first person who writes
    parts = make_bot(read(TelegramSettings)), read(StorageSettings), read(JobSettings), drawing
    await Application(*parts, limits=read(LimitSettings)).run()

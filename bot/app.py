"""The bot process, put together: intake, handlers, delivery and sweep as tasks of one loop."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from aiogram import Bot
from aiogram.methods import SetMyCommands, SetMyDescription, SetMyShortDescription, TelegramMethod

from bot import metrics
from bot.arrivals import Arrivals
from bot.broker import Bell, make_celery
from bot.delivery import Deliverer
from bot.dialogs import Dialogs
from bot.dispatch import make_dispatcher
from bot.downloads import Downloads
from bot.forgetting import Forgetting
from bot.frame import ActorMiddleware, Desk, answering
from bot.intake import Poller, Pump, forget_old
from bot.jobs import Jobs
from bot.kinship import Kinship
from bot.limiter import Limiter
from bot.marking import EditorDesk, Marking, Marks
from bot.menu import commands, edition
from bot.messages import Messages
from bot.miniapp import MiniApp, editor_url
from bot.ops import Ops
from bot.photos import Photos
from bot.recognition import Recognition
from bot.settings import (
    DrawingSettings,
    JobSettings,
    LimitSettings,
    MiniAppSettings,
    OpsSettings,
    PrivacySettings,
    SettingsError,
    StorageSettings,
    TelegramSettings,
    WebhookSettings,
    WebSettings,
    process_name,
    read,
)
from bot.telegram import Fate, attempt, check_token, make_bot
from bot.texts import LANGUAGES, Texts
from bot.web import Webhook, serving
from engine import catalog
from engine.requests import RequestError
from handlers import edits
from handlers.ports import Actor
from storage.database import Database
from storage.media import MediaStore
from storage.repositories.stats import StatsRepository
from storage.repositories.workers import LeaseRepository
from storage.schema import check_schema
from storage.uploads import Uploads
from storage.word import listen

log = logging.getLogger(__name__)

_LOOPS = {"intake": ("poll", "pump"), "deliver": ("deliver",), "sweep": ("sweep",)}  # what turns under each lease
_STUCK_S = 30.0  # a loop that has not come round for so long is what /health tells
_SHARED_TICK_S = 0.2  # how often the inbox is looked at when other processes fill it, too


class Application:
    """One bot process. `run` works until cancelled."""

    def __init__(
        self,
        bot: Bot,
        storage: StorageSettings,
        settings: JobSettings,
        drawing: DrawingSettings,
        webhook: WebhookSettings | None = None,
        web: WebSettings | None = None,
        ops: OpsSettings | None = None,
        *,
        limits: LimitSettings | None = None,
        editor: MiniAppSettings | None = None,
        privacy: PrivacySettings | None = None,
    ) -> None:
        self._bot, self._settings = bot, settings
        self._listen = web or WebSettings()
        self._ops = Ops(ops, self._ailments, self._look_at_sql) if ops and ops.port else None
        self._db = Database(storage.database)
        self._leases = Database(storage.database)  # connections of its own: a lease is renewed however many wait for one
        self._bell = Bell(make_celery(storage))
        self._arrived = asyncio.Event()
        hooked = webhook is not None and webhook.url is not None
        self._webhook = Webhook(bot, self._db, webhook, web, self._arrived) if webhook and web and hooked else None
        self._ringing: set[asyncio.Task[None]] = set()
        texts = Texts()
        self._texts = texts
        jobs = Jobs(self._db, settings, self._ring_soon)
        self._jobs = jobs
        media = MediaStore(storage.media)
        self._owner = f"{process_name()}:{secrets.token_hex(4)}"  # in containers, two processes may have one name
        lease = (self._lease_name("deliver"), self._owner)
        uploads = Uploads(media)
        self._arrivals = Arrivals(Downloads(bot), uploads, edits.possible(drawing.family, drawing.lane_names))
        marks = Marks(self._db, media)
        marking = Marking(marks, self._arrivals)
        address = partial(editor_url, editor.url) if editor and editor.url else None
        messages = Messages(texts, drawing.lane_names, drawing.family, address, drawing.beautify)
        own = privacy or PrivacySettings()
        self._deliverer = Deliverer(self._db, bot, jobs, messages, media, Limiter(limits=limits), lease, own.part_mb)
        self._dialogs = Dialogs(self._db, bot.id)
        masks = EditorDesk(self._db, bot.id, marks, self._dialogs, self._deliverer.wake)
        self._mini_app = MiniApp(editor, bot.token, media, masks.find, masks.take, texts) if editor and editor.url else None
        photos = Photos(self._db, self._arrivals, uploads, self._deliverer.wake)
        self._forgetting = Forgetting(self._db, media, jobs, own.grace_s)
        self._desk = desk = Desk(self._db, self._deliverer.wake)
        kinship = Kinship(self._db, desk)

        async def submit(*args: Any, **kwargs: Any) -> Any:
            done = await jobs.submit(*args, **kwargs)
            self._deliverer.wake()
            return done

        async def cancel(*args: Any, **kwargs: Any) -> Any:
            done = await jobs.cancel(*args, **kwargs)
            self._deliverer.wake()
            return done

        async def export(actor: Actor) -> bool:
            new = await self._deliverer.exports.ask(actor.user, actor.chat_id, actor.inbox_id, f"export:{actor.inbox_id}")
            self._deliverer.wake()
            return new

        self._dispatcher = make_dispatcher(
            self._dialogs,
            submit=submit,
            cancel=cancel,
            active_jobs=jobs.active,
            find_job=desk.find_job,
            find_choice=desk.find_choice,
            find_seed=desk.find_seed,
            say=desk.say,
            show=desk.show,
            send_file=desk.send_file,
            screen=desk.screen,
            ask=partial(desk.ask, self._dialogs),
            find_screen=desk.find_screen,
            count_pictures=desk.count_pictures,
            change_settings=desk.change_settings,
            take_picture=photos.take,
            find_picture=photos.find,
            find_album=photos.album,
            find_shown=photos.shown,
            find_parent=photos.parent,
            find_drawn=kinship.find_drawn,
            find_named=kinship.find_named,
            find_newest=kinship.find_newest,
            find_origin=kinship.find_origin,
            favour=kinship.favour,
            show_card=kinship.show_card,
            recognise=Recognition(self._db).find,
            take_mask=marking.take,
            change_mask=marks.change,
            offer_album=photos.offer_album,
            export=export,
            forget=self._forgetting.ask,
            keep_all=self._forgetting.keep,
            find_erasure=self._forgetting.find,
            report=desk.report,
            appeal=desk.appeal,
            grace_s=own.grace_s,
            contact=own.contact,
            family=drawing.family,
            lanes=drawing.lane_names,
            languages=LANGUAGES,
        )
        self._dispatcher.update.outer_middleware(ActorMiddleware(self._db, bot.id, drawing.beautify))

    async def run(self) -> None:
        """Work until cancelled. Raises: OldSchema; SettingsError for a token Telegram does not know, or a bad address."""
        await check_schema(self._db)
        try:
            await check_token(self._bot)
            async with self._listening(), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._introduce())
                if self._ops is not None:
                    tasks.create_task(self._ops.run())
                if self._webhook is not None:
                    tasks.create_task(self._webhook.announce())  # by every process: the inbox knows what came twice
                tasks.create_task(self._lead("intake", self._take_in))
                tasks.create_task(self._lead("deliver", self._deliver))
                tasks.create_task(self._lead("sweep", self._sweep))
        finally:
            self._bell.close()
            await self._bot.session.close()
            await self._db.close()
            await self._leases.close()

    def _listening(self) -> AbstractAsyncContextManager[int | None]:
        """The one server of this process: the webhook and the mask editor, whichever there is."""
        routes = self._mini_app.routes() if self._mini_app else []
        if self._webhook is not None:
            return self._webhook.listening(routes)
        return serving(self._listen, routes) if routes else nullcontext()

    async def _ring_soon(self, queue: str, times: int) -> None:
        """Ring without waiting: a broker that hangs must not hold up the answer to a press."""
        ringing = asyncio.create_task(self._bell.ring(queue, times))
        self._ringing.add(ringing)
        ringing.add_done_callback(self._ringing.discard)

    async def _take_in(self) -> None:
        """Handle under one lease: two processes that read the inbox would handle an update twice. Who polls does that, too."""
        answer = answering(self._bot, self._texts, self._db)
        tick_s = 1.0 if self._webhook is None else _SHARED_TICK_S
        self._dialogs.look_again()
        async with asyncio.TaskGroup() as tasks:
            if self._webhook is None:
                tasks.create_task(Poller(self._bot, self._db, self._arrived).run())
            pump = Pump(self._bot, self._dispatcher, self._db, self._arrived, answer, tick_s, self._arrivals)
            tasks.create_task(pump.run())

    async def _deliver(self) -> None:
        await self._deliverer.take_over()
        await self._desk.renew_menus(self._bot.id, edition(self._texts))
        listening = asyncio.create_task(listen(self._db, self._deliverer.wake))
        try:
            await self._deliverer.run()
        finally:
            listening.cancel()

    async def _sweep(self) -> None:
        while True:
            metrics.moved("sweep")
            try:
                await self._jobs.sweep(self._bot.id)
                await forget_old(self._db, self._bot.id)
                await self._dialogs.forget_expired()
                self._deliverer.limiter.forget_idle()
                self._deliverer.wake()
                await self._forgetting.sweep(self._bot.id)
            except Exception as error:
                log.error("sweep: %s: %s", type(error).__name__, error)
            await asyncio.sleep(self._settings.sweep_s)

    async def _lead(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` only while this process holds its lease, so that a second process can stand by."""
        name, owner, stands_by = self._lease_name(what), self._owner, False
        try:
            while True:
                metrics.moved(f"lease {what}")
                held_until = time.monotonic() + self._settings.leader_s  # from before the database answers
                taken = await self._take(name, owner)
                if taken or not stands_by:
                    log.info("%s: %s", what, "this process leads" if taken else "another process leads, this one stands by")
                stands_by = not taken
                if taken:
                    try:
                        await self._hold(name, owner, held_until, asyncio.ensure_future(work()))
                    except* SettingsError as wrong:
                        raise wrong.exceptions[0] from None
                    except* Exception as group:
                        log.error("%s stopped, and begins again", what, exc_info=group.exceptions[0])
                await asyncio.sleep(0.5)
        finally:
            await self._drop(name, owner)

    def _lease_name(self, what: str) -> str:
        return f"{what}:{self._bot.id}"

    async def _hold(self, name: str, owner: str, held_until: float, task: "asyncio.Future[None]") -> None:
        """Run until the work ends or the lease is lost; the work has ended when this returns."""
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=self._settings.leader_s / 4)
                if done:
                    task.result()
                    return
                metrics.moved(f"lease {name.partition(':')[0]}")
                until = time.monotonic() + self._settings.leader_s
                renewed = await self._renew(name, owner, held_until)
                if renewed:  # however late: nobody else had it meanwhile
                    held_until = until
                elif renewed is False or time.monotonic() > held_until:
                    break
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=10)
            for loop in _LOOPS[name.partition(":")[0]]:
                metrics.ended(loop)
        log.warning("lease %s lost", name)

    async def _take(self, name: str, owner: str) -> bool:
        try:
            async with self._leases.begin() as session:
                return await LeaseRepository(session).take(name, owner, self._settings.leader_s)
        except Exception as error:
            log.error("lease %s: %s", name, type(error).__name__)
            return False

    async def _renew(self, name: str, owner: str, held_until: float) -> bool | None:
        """Whether the lease was still ours, and is for another term; None when the database does not say in time."""
        patience_s = max(held_until - time.monotonic(), self._settings.leader_s / 4)
        try:
            async with asyncio.timeout(patience_s), self._leases.begin() as session:
                return await LeaseRepository(session).renew(name, owner, self._settings.leader_s)
        except Exception as error:
            log.error("lease %s: %s", name, type(error).__name__)
            return None

    async def _drop(self, name: str, owner: str) -> None:
        """Let the next process have it at once. A database that is away must not take the place of why this one ends."""
        try:
            async with asyncio.timeout(self._settings.leader_s), self._leases.alone() as session:
                await LeaseRepository(session).drop(name, owner)
        except Exception as error:
            log.warning("lease %s not given back: %s; it runs out", name, type(error).__name__)

    async def _ailments(self) -> list[str]:
        """What keeps this process from doing its work; none if it is well."""
        found = metrics.stuck(_STUCK_S)
        try:
            async with self._db.read() as session:
                await StatsRepository(session).clock()
        except Exception as error:
            found.append(f"the database does not answer: {type(error).__name__}")
        return found

    async def _look_at_sql(self) -> None:
        """Bring up to date what only SQL knows, just before it is shown."""
        async with self._db.read() as session:
            stats = StatsRepository(session)
            metrics.in_sql(
                await stats.queues(), await stats.workers(self._settings.worker_alive_s), await stats.inbox(self._bot.id)
            )

    async def _introduce(self) -> None:
        """Tell Telegram the bot's commands and description, in each language; not worth stopping for."""
        for language in LANGUAGES:
            code = None if language == "en" else language  # English is what all other languages see
            methods: tuple[TelegramMethod[bool], ...] = (
                SetMyCommands(commands=commands(self._texts, language), language_code=code),
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
    try:
        catalog.family(drawing.family)  # a wrong name is said now, not to the first person who writes
    except RequestError as error:
        raise SettingsError(f"DRAW_FAMILY: {error}") from None
    if unknown := (drawing.lane_names or frozenset()) - {*catalog.family(drawing.family).lanes}:
        served = ", ".join(catalog.family(drawing.family).lanes)
        raise SettingsError(f"DRAW_LANES: {drawing.family} has {served}, not {', '.join(sorted(unknown))}")
    if drawing.lane_names and "flash" in catalog.family(drawing.family).lanes and "flash" not in drawing.lane_names:
        raise SettingsError("DRAW_LANES: plain messages are drawn by flash; name it, too")
    parts = read(WebhookSettings), read(WebSettings), read(OpsSettings)
    bot = make_bot(read(TelegramSettings))
    settings = read(StorageSettings), read(JobSettings), drawing
    await Application(
        bot, *settings, *parts, limits=read(LimitSettings), editor=read(MiniAppSettings), privacy=read(PrivacySettings)
    ).run()

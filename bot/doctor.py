"""`kandinsky-bot doctor`: every setting against the real thing, one line each, with what to mend."""

import asyncio
import itertools
import os
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramNotFound, TelegramUnauthorizedError
from pydantic_settings import BaseSettings

from bot.broker import make_celery
from bot.editor_check import check_editor
from bot.hidden import known_secrets
from bot.logs import hide, redact
from bot.settings import (
    EVERY,
    DrawingSettings,
    JobSettings,
    MiniAppSettings,
    SettingsError,
    StorageSettings,
    TelegramSettings,
    WebhookSettings,
    WebSettings,
    WorkerSettings,
    read,
)
from bot.telegram import NO_SUCH_TOKEN, make_bot
from bot.texts import Texts, TextsError
from engine import catalog
from engine.errors import EngineError
from engine.requests import RequestError
from storage.database import Database
from storage.errors import MediaAway, NoMedia, StorageError
from storage.media import MediaStore
from storage.repositories.stats import StatsRepository
from storage.repositories.workers import LeaseRepository
from storage.schema import check_schema, newest_revision

S = TypeVar("S", bound=BaseSettings)
T = TypeVar("T")

_LIMIT_S = 15.0  # for one check
_LEAST_DISK = 1.0  # GB
_MOST_SKEW_S = 5.0
_RECENT_S = 3600.0  # a webhook's error older than this is history
_DAY_S = 86400.0
_GB = 1e9


class Wrong(Exception):
    """Something is not as it must be: one sentence that names it and says what to mend."""


class Skipped(Exception):
    """Cannot be looked at, because something before it is wrong."""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `ok` is None for what could not be looked at."""

    ok: bool | None
    what: str
    said: str

    def __str__(self) -> str:
        mark = {True: "ok     ", False: "WRONG  ", None: "-      "}[self.ok]
        return redact(f"{mark}{self.what:<12}{' '.join(self.said.split())}")


class Doctor:
    """Looks at one machine's settings; changes nothing but a probe that it takes away again."""

    def __init__(self) -> None:
        hide(known_secrets())

    async def examine(self) -> list[Finding]:
        """Make every check; one that hangs or breaks is a finding, too."""
        checks: list[tuple[str, Callable[[], Awaitable[str]], str | None]] = [  # name, check, what must be well before
            ("settings", self._settings, None),
            ("texts", self._texts, None),
            ("token", self._token, None),
            ("webhook", self._webhook, "token"),
            ("editor", self._editor, None),
            ("database", self._database, None),
            ("clock", self._clock, "database"),
            ("bots", self._bots, "database"),
            ("workers", self._workers, "database"),
            ("reports", self._reports, "database"),
            ("broker", self._broker, None),
            ("pictures", self._media, None),
            ("disk", self._disk, None),
            ("weights", self._weights, None),
            ("memory", self._memory, None),
        ]
        found: dict[str, Finding] = {}
        for what, check, before in checks:
            if before is not None and not found[before].ok:
                found[what] = Finding(None, what, f"not looked at: mend the {before} first")
            else:
                found[what] = await _finding(what, check)
        return list(found.values())

    async def _settings(self) -> str:
        wrong = []
        for kind in EVERY:
            try:
                read(kind)
            except SettingsError as error:
                wrong.append(str(error))
        if wrong:
            raise Wrong("; ".join(wrong))
        return f"{sum(len(kind.model_fields) for kind in EVERY)} settings can be read"

    async def _texts(self) -> str:
        Texts()
        return "compiled"

    async def _token(self) -> str:
        async with _Calls() as calls:
            me = await calls(lambda bot: bot.get_me())
            return f"@{me.username}, id {me.id}, at {_read(TelegramSettings).api}"

    async def _webhook(self) -> str:
        settings = _read(WebhookSettings)
        async with _Calls() as calls:
            info = await calls(lambda bot: bot.get_webhook_info())
        waiting = f"{info.pending_update_count} updates wait at Telegram"
        if settings.url is None:
            if info.url:
                return (
                    f"WEBHOOK_URL: not set, so the bot polls and removes the webhook at {urlsplit(info.url).hostname}; {waiting}"
                )
            return f"none, the bot polls; {waiting}"
        if not info.url:
            return f"not set yet; kandinsky-bot run sets it; {waiting}"
        if info.url != settings.url:
            host = urlsplit(info.url).hostname
            raise Wrong(
                f"WEBHOOK_URL: Telegram sends to another address (at {host}); kandinsky-bot run sets it, or stop whoever set it"
            )
        at = info.last_error_date
        if at is not None and time.time() - at.timestamp() < _RECENT_S:
            raise Wrong(f"WEBHOOK_URL: Telegram could not deliver: {info.last_error_message}; look at your proxy; {waiting}")
        return f"{settings.url}; {waiting}"

    async def _editor(self) -> str:
        return await check_editor(_read(MiniAppSettings), _read(WebSettings))

    async def _database(self) -> str:
        async with _Opened() as database:
            await check_schema(database)
            async with database.begin() as session:  # writes, and takes it back in the same transaction
                await LeaseRepository(session).take("doctor", "doctor", 1.0)
                await LeaseRepository(session).drop("doctor", "doctor")
            return f"{database.engine.dialect.name}, writable, at revision {newest_revision()}"

    async def _clock(self) -> str:
        async with _Opened() as database, database.read() as session:
            before = time.time()
            theirs = await StatsRepository(session).clock()
            skew_s = theirs - (before + time.time()) / 2
        if abs(skew_s) > _MOST_SKEW_S:
            raise Wrong(f"this machine and the database differ by {abs(skew_s):.0f} s; set both clocks by NTP")
        return f"this machine and the database differ by {abs(skew_s):.1f} s"

    async def _bots(self) -> str:
        ours = _bot_id()
        async with _Opened() as database, database.read() as session:
            people = await StatsRepository(session).bots()
        known = [f"{bot_id}{' (this one)' if bot_id == ours else ''} with {count}" for bot_id, count in people.items()]
        return f"people by bot in this database: {', '.join(known) or 'nobody yet'}"

    async def _workers(self) -> str:
        alive_s = _read(JobSettings).worker_alive_s
        async with _Opened() as database, database.read() as session:
            workers = await StatsRepository(session).workers(alive_s)
        if not workers:
            return "none at work now; start one with: kandinsky-bot worker"
        return ", ".join(f"{worker.family} on {worker.device} ({worker.state})" for worker in workers)

    async def _reports(self) -> str:
        async with _Opened() as database, database.read() as session:
            reports = await StatsRepository(session).reports(_DAY_S)
        lately, ever = (sum(counts[at] for counts in reports.values()) for at in (0, 1))
        look = "; kandinsky-bot stats lists the newest" if ever else ""
        return f"{lately} pictures were reported in 24 hours, {ever} ever{look}"

    async def _broker(self) -> str:
        storage = _read(StorageSettings)
        scheme = storage.broker.partition(":")[0]

        def connect() -> None:
            with make_celery(storage).connection_for_write(connect_timeout=4) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
                connection.default_channel.close()
            if scheme == "filesystem":
                probe = storage.bells / f"doctor-{secrets.token_hex(8)}"
                probe.write_bytes(b"")
                probe.unlink()

        try:
            await asyncio.to_thread(connect)
        except Exception as error:
            raise Wrong(
                f"BROKER_URL: {scheme} does not answer ({_brief(error)}); is it running, and are address and password right?"
            ) from None
        return f"{scheme} answers"

    async def _media(self) -> str:
        storage = _read(StorageSettings)
        data = secrets.token_bytes(32)

        def probe() -> None:
            media = MediaStore(storage.media)
            media_id = media.put(data, ".probe")
            try:
                if media.get(media_id) != data:
                    raise Wrong("MEDIA_URL: the store gives back other bytes than it got; use another store")
            finally:
                media.remove(media_id)

        try:
            await asyncio.to_thread(probe)
        except (Wrong, NoMedia):
            raise
        except Exception as error:
            cause = error.__cause__ if isinstance(error, MediaAway) and isinstance(error.__cause__, Exception) else error
            raise Wrong(
                f"MEDIA_URL: pictures cannot be stored ({_brief(cause)}); mend the address, its keys or its rights"
            ) from None
        return "a probe was written, read back and deleted"

    async def _disk(self) -> str:
        folder = _read(StorageSettings).folder
        there = next(place for place in itertools.chain([folder], folder.parents) if place.exists())
        free = shutil.disk_usage(there).free / _GB
        if free < _LEAST_DISK:
            raise Wrong(f"DATA_DIR: {free:.1f} GB are free in {there}; make room, {_LEAST_DISK:.0f} GB at least")
        return f"{free:.1f} GB are free in {there}"

    async def _weights(self) -> str:
        name = _read(DrawingSettings).family
        try:
            family = catalog.family(name)
        except RequestError as error:
            raise Wrong(f"DRAW_FAMILY: {error}") from None
        here = [each.name for each in catalog.families() if catalog.available(each.name)]
        if not catalog.available(name) and await self._somebody_draws(name):
            return f"{name} is not on this machine, but a worker elsewhere has it"
        if not catalog.available(name):
            raise Wrong(f"DRAW_FAMILY: the weights of {name} are not here; {family.mend}")
        lanes = catalog.lanes_here(name)
        alone = f", for {' and '.join(lanes)} alone" if set(lanes) != set(family.lanes) else ""
        return f"{name} is here{alone}; on this machine: {', '.join(here)}"

    async def _somebody_draws(self, family: str) -> bool:
        try:
            async with _Opened() as database, database.read() as session:
                return any(
                    each.family == family for each in await StatsRepository(session).workers(_read(JobSettings).worker_alive_s)
                )
        except Exception:
            return False

    async def _memory(self) -> str:
        worker = _read(WorkerSettings)
        try:
            plans = {plan.name: plan for plan in catalog.family(worker.family).memory}
        except RequestError as error:
            raise Wrong(f"WORKER_FAMILY: {error}") from None
        if worker.memory and worker.memory not in plans:
            raise Wrong(f"WORKER_MEMORY: {worker.family} has the plans {', '.join(plans)}, not {worker.memory!r}")
        device, free = await asyncio.to_thread(_device_memory, worker.device)
        try:  # on a CPU nothing waits elsewhere: it needs what the most spacious plan does
            chosen = catalog.memory_plan(worker.family, free if worker.device.startswith("cuda") else None)
        except EngineError as error:
            raise Wrong(f"WORKER_DEVICE: {device}: {error}") from None
        plan = plans[worker.memory] if worker.memory else chosen
        said = f"{device}: {free:.1f} GB free; {worker.family} takes {plan}"
        if free < plan.gigabytes:
            raise Wrong(f"WORKER_MEMORY: {said}; choose a smaller family or plan, or free it")
        return said


async def _finding(what: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        async with asyncio.timeout(_LIMIT_S):
            return Finding(True, what, await check())
    except Skipped as error:
        return Finding(None, what, str(error))
    except (Wrong, SettingsError, StorageError, TextsError) as error:
        return Finding(False, what, str(error))
    except TimeoutError:
        return Finding(False, what, f"no answer within {_LIMIT_S:.0f} s; is its address right, and is it reachable from here?")
    except Exception as error:
        return Finding(False, what, _brief(error))


class _Calls:
    """A bot for one check."""

    async def __aenter__(self) -> "_Calls":
        self._bot = make_bot(_read(TelegramSettings))
        return self

    async def __call__(self, call: Callable[[Bot], Awaitable[T]]) -> T:
        try:
            return await call(self._bot)
        except (TelegramUnauthorizedError, TelegramNotFound):
            raise Wrong(NO_SUCH_TOKEN) from None
        except TelegramBadRequest as error:
            raise Wrong(f"TELEGRAM_API: {error.message}") from None
        except Exception as error:
            api = _read(TelegramSettings).api
            raise Wrong(f"TELEGRAM_API: {api} does not answer ({_brief(error)}); is there a way to the internet?") from None

    async def __aexit__(self, *_: object) -> None:
        await self._bot.session.close()


class _Opened:
    """The database for one check."""

    async def __aenter__(self) -> Database:
        self._database = Database(_read(StorageSettings).database)
        return self._database

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()


def _read(kind: type[S]) -> S:
    """Settings for a check; that they are wrong was said before."""
    try:
        return read(kind)
    except SettingsError as error:
        raise Skipped(f"not looked at: {str(error).partition(':')[0]} is wrong") from None


def _bot_id() -> int | None:
    try:
        token = read(TelegramSettings).token
    except SettingsError:
        return None
    return int(token.get_secret_value().partition(":")[0]) if token else None


def _device_memory(device: str) -> tuple[str, float]:
    """Name and free gigabytes of what a worker draws on. The only place outside the engine that loads torch."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        if index >= gpus:
            seen = f"{gpus} GPU(s), numbered from 0" if gpus else "no GPU; mend the driver, or draw on cpu"
            raise Wrong(f"WORKER_DEVICE: {device}, but torch sees {seen}")
        free, _ = torch.cuda.mem_get_info(index)
        return f"{device} ({torch.cuda.get_device_name(index)})", free / _GB
    unused = f" (torch sees {gpus} GPU(s), too: --device cuda:0)" if gpus else ""
    return device + unused, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GB


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def memory_line() -> str:
    """What a worker's device holds, and the plan it is held by."""
    return asyncio.run(Doctor()._memory())


def report() -> int:
    """Print the findings; 1 if anything is wrong."""
    findings = asyncio.run(Doctor().examine())
    for finding in findings:
        print(finding, flush=True)
    wrong = sum(finding.ok is False for finding in findings)
    print("Everything is in order." if not wrong else f"{wrong} to mend.")
    return 1 if wrong else 0

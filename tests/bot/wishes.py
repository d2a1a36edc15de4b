"""Wishes to make, bells to listen to, and short looks at what became of them."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from engine.requests import TextToImage, to_json
from handlers.parameters import Asked
from storage.database import Database
from storage.domain import Job, JobState, User, Wish, WorkerState
from storage.repositories.jobs import JobRepository
from storage.repositories.workers import WorkerRepository
from tests.storage.made import FAMILY, LANES, PROMPT, Store

REQUEST = TextToImage(PROMPT, seed=7)
PLAIN = Asked(REQUEST, ())
FLASH = f"{FAMILY}.flash"


def job_of(number: int, state: JobState = JobState.QUEUED, asked: Asked = PLAIN) -> Job:
    """A job that no database has seen."""
    return Job(
        id=number, public_id=f"j{number}", bot_id=42, user_id=5, chat_id=77, family=asked.request.family, lane="flash",
        kind=asked.request.kind, params=to_json(asked.request), seed=asked.request.seed, dedupe_key=f"k{number}", state=state,
        attempt=0, crash_count=0, fence=0, worker_id=None, status_message_id=1, reply_to_message_id=None,
        parent_picture_id=None, stage=None, step=0, steps=0, engine_revision=None, error_class=None, cancel_requested=False,
        created_at=0.0, started_at=0.0, rendered_at=12345.6, remarks=asked.remarks,
    )  # fmt: skip


@dataclass
class Bells:
    """Writes down what was rung, and how many jobs SQL had at that moment, seen from another connection."""

    database: Database
    rung: list[tuple[str, int]] = field(default_factory=list)
    jobs_seen: list[int] = field(default_factory=list)

    async def __call__(self, queue: str, times: int) -> None:
        async with self.database.read() as session:
            waiting = await JobRepository(session).waiting()
        self.rung.append((queue, times))
        self.jobs_seen.append(sum(count for _, _, count, _ in waiting))


@dataclass
class Wishes:
    """Makes messages and presses, each with an inbox row of its own."""

    store: Store
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def message(self, user: User, message_id: int | None = None) -> Wish:
        number = next(self._numbers)
        inbox_id = await self.store.update(number, user.telegram_id)
        return Wish(user, user.telegram_id, inbox_id, f"m:{user.telegram_id}:{message_id or number}", message_id or number)

    async def press(self, user: User, action: str = "again") -> Wish:
        button = f"cb:{user.telegram_id}:1:{action}"
        return replace(await self.message(user), key=button, button=button)


async def inbox(store: Store) -> dict[int, str]:
    return dict(await store.sql("SELECT id, state FROM inbox"))


async def notices(store: Store) -> list[str]:
    return [str(key) for (key,) in await store.sql("SELECT key FROM notice ORDER BY id")]


async def worker(store: Store, worker_id: str = "w1", lanes: tuple[str, ...] = LANES) -> None:
    async with store.database.begin() as session:
        await WorkerRepository(session).seen(worker_id, FAMILY, lanes, "cpu", WorkerState.IDLE)


async def silence(store: Store) -> None:
    """Let all bells be long past."""
    await store.sql("UPDATE job SET rung_at = rung_at - 3600")


async def away(store: Store, seconds: float) -> None:
    """Make the last sweep be that long ago."""
    await store.sql(f"UPDATE lease SET until = until - {seconds} WHERE name = 'swept'")  # noqa: S608


async def somebody_waits(store: Store) -> None:
    """On PostgreSQL: return once a transaction waits for another's row."""
    async with asyncio.timeout(10):
        while not await store.number("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  another process
            await asyncio.sleep(0.01)

"""A migrated database for each test, and rows to fill it with."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from engine.requests import TextToImage, to_json
from storage.database import Database
from storage.domain import Job, JobState, NewJob, User
from storage.repositories.inbox import InboxRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.users import UserRepository
from storage.schema import migrate
from tests.servers import Postgres
from tests.storage.reused import ReusedDatabase

BOT = 42_424_242
FAMILY = "kandinsky-nano"
LANES = ("flash", "base")
PROMPT = "a red circle on a blue background"


@dataclass
class Store:
    """Short ways to fill the database and to look at it."""

    database: Database
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def user(self, telegram_id: int | None = None, language: str = "en", bot_id: int = BOT) -> User:
        async with self.database.begin() as session:
            return await UserRepository(session).ensure(bot_id, telegram_id or next(self._numbers), language)

    async def job(self, user: User, amount: int = 4, **changes: Any) -> Job:
        """Queue a job of this person's in their private chat."""
        request = TextToImage(PROMPT, seed=7, num_images_per_prompt=amount)
        values: dict[str, Any] = {
            "bot_id": user.bot_id,
            "user_id": user.id,
            "chat_id": user.telegram_id,
            "family": FAMILY,
            "lane": request.lane,
            "kind": request.kind,
            "params": to_json(request),
            "seed": request.seed,
            "dedupe_key": f"m:{user.bot_id}:{user.telegram_id}:{next(self._numbers)}",
            "deadline_s": 900.0,
        }
        async with self.database.begin() as session:
            return await JobRepository(session).add(NewJob(**(values | changes)), amount)

    async def claim(self, worker_id: str = "w1", lanes: tuple[str, ...] = LANES, lease_s: float = 30.0) -> Job | None:
        async with self.database.begin() as session:
            return await JobRepository(session).claim(worker_id, FAMILY, lanes, lease_s)

    async def claimed(self, worker_id: str = "w1") -> Job:
        """Claim where there must be something to claim; a job that somebody writes to just now is skipped, so ask again."""
        for _ in range(100):
            job = await self.claim(worker_id)
            if job is not None:
                return job
        raise AssertionError("nothing to claim")

    async def rendered(self, job: Job) -> Job:
        async with self.database.begin() as session:
            await JobRepository(session).rendered(job, "toy", "00" * 32)
        return await self.get(job)

    async def finish(self, job: Job, to: JobState, refund: bool = False) -> None:
        async with self.database.begin() as session:
            await JobRepository(session).finish(job, to, str(to), refund=refund)

    async def get(self, job: Job) -> Job:
        async with self.database.read() as session:
            return await JobRepository(session).get(job.id)

    async def update(self, update_id: int, chat_id: int, payload: str = "{}") -> int:
        """Store an update in the inbox; return its row's id."""
        async with self.database.begin() as session:
            await InboxRepository(session).add(BOT, [(update_id, chat_id, payload)])
        ((inbox_id,),) = await self.sql("SELECT id FROM inbox WHERE update_id = :id", id=update_id)
        return int(inbox_id)

    async def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement, kept at once; return its rows, if it has any."""
        async with self.database.begin() as session:
            result = await session.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []  # type: ignore[attr-defined]

    async def number(self, statement: str, **values: Any) -> Any:
        ((value,),) = await self.sql(statement, **values)
        return value

    async def audit(self, job: Job) -> list[tuple[Any, ...]]:
        """(from, to, fence) of a job's transitions, in order."""
        return await self.sql("SELECT from_state, to_state, fence FROM audit WHERE job_id = :id ORDER BY id", id=job.id)

    async def quota(self, job: Job) -> dict[str, int]:
        rows = await self.sql("SELECT entry, amount FROM quota_ledger WHERE job_id = :id", id=job.id)
        assert len(rows) == len({entry for entry, _ in rows})
        return {str(entry): int(amount) for entry, amount in rows}


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated, empty SQLite file; each test gets a copy."""
    path = tmp_path_factory.mktemp("migrated") / "empty.db"

    async def make() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await migrate(database)
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated, empty database of this test's own, on both sides."""
    if request.param == "sqlite":
        path = request.getfixturevalue("tmp_path") / "kandinsky.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    reused: ReusedDatabase = request.getfixturevalue("reused_database")
    yield reused.empty()
    reused.used()


@pytest.fixture
def empty_url(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables, of the same kind as `database_url`."""
    if database_url.startswith("sqlite"):
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    name = postgres.fresh("template1")
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)

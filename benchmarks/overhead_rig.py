"""What the overhead rows are measured on: private servers, real processes, a fake engine of 0 ms, and counters.

CPU time is read from the system: of this process by `time.process_time`, of others from /proc, so Linux only.
"""

import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from bot.demo import demo_storage
from bot.settings import StorageSettings
from bot.supervise import Child
from storage.database import ALONE, Database
from storage.schema import migrate
from tests.servers import Postgres, Redis

TOKEN = "424242:BENCH-token-that-opens-nothing-else-at-all"  # noqa: S105  the sandbox's own
PROMPT = "a big red circle on a blue background"
SIDES = ("postgresql+redis", "sqlite+filesystem")
_TEMPLATE = "migrated"
_TICKS = os.sysconf("SC_CLK_TCK")
_HERE = Path(__file__).parent.parent


@dataclass
class Row:
    """One line of the table."""

    name: str
    what: str
    bar: str
    stretch: str
    measured: str


@dataclass
class Servers:
    """One PostgreSQL and one Redis for the whole run; each measurement has a database and a folder of its own."""

    postgres: Postgres
    redis: Redis
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def storage(self, side: str) -> StorageSettings:
        """Migrated, empty storage of one side."""
        database, _, broker = side.partition("+")
        folder = Path(tempfile.mkdtemp(prefix="kandinsky-bench-"))
        addresses: dict[str, str] = {}
        if database == "postgresql":
            addresses["database_url"] = self.postgres.url(await asyncio.to_thread(self.postgres.fresh, _TEMPLATE))
        if broker == "redis":
            addresses["broker_url"] = self.redis.url.removesuffix("0") + str(next(self._numbers) % 16)
        storage = demo_storage(folder).model_copy(update=addresses)
        if database != "postgresql":
            await migrated(storage.database)
        return storage


async def migrated(url: str) -> None:
    database = Database(url)
    await migrate(database)
    await database.close()


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    """Start private servers; stop them at the end."""
    both = Servers(await asyncio.to_thread(Postgres), await asyncio.to_thread(Redis))
    try:
        await asyncio.to_thread(both.redis.start)
        await asyncio.to_thread(both.postgres.start)
        await asyncio.to_thread(both.postgres.sql, f"CREATE DATABASE {_TEMPLATE}")
        await migrated(both.postgres.url(_TEMPLATE))
        yield both
    finally:
        await asyncio.to_thread(both.postgres.stop)
        await asyncio.to_thread(both.redis.stop)


# Counting


@dataclass
class Statements:
    """How many SQL statements a database of this process was sent, and how many transactions of more than one."""

    statements: int = 0
    transactions: int = 0

    def listen(self, database: Database) -> None:
        event.listen(database.engine.sync_engine, "before_cursor_execute", self._statement)
        event.listen(database.engine.sync_engine, "begin", self._begin)

    def _statement(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        self.statements += not statement.startswith("BEGIN")

    def _begin(self, connection: Any) -> None:
        self.transactions += not connection.get_execution_options().get(ALONE, False)

    def take(self) -> tuple[int, int]:
        """Return the counts since the last call."""
        taken = self.statements, self.transactions
        self.statements = self.transactions = 0
        return taken


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def family_of(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for known in found:
        found.extend(parents.get(known, []))
    return found


class Backends:
    """CPU seconds of the PostgreSQL backends that serve a database of this process, to the nanosecond; 0 for SQLite."""

    def __init__(self) -> None:
        self._pids: list[int] = []

    async def find(self, database: Database) -> None:
        if database.engine.dialect.name != "postgresql":
            return
        async with database.read() as session:
            rows = await session.execute(text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"))
            self._pids = [int(row[0]) for row in rows]

    def seconds(self) -> float:
        total = 0
        for pid in self._pids:  # a backend has one thread, so its own schedstat is all of it
            total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        return total / 1e9


async def cpu_s(work: Callable[[], Awaitable[object]], backends: Backends) -> float:
    """CPU seconds of one piece of work: this process and its database backends."""
    before = time.process_time() + backends.seconds()
    await work()
    return time.process_time() + backends.seconds() - before


# Processes


@dataclass
class Machine:
    """The bot, one worker and the people with their Telegram, each a process of its own."""

    storage: StorageSettings
    environment: dict[str, str]
    people: asyncio.subprocess.Process
    children: dict[str, Child] = field(default_factory=dict)

    async def start(self, *names: str) -> None:
        commands = {
            "bot": ("run",),
            "worker": ("worker", "--family", "kandinsky-nano", "--lanes", "flash,base"),
        }
        with (self.storage.folder / "log").open("ab") as log:
            for name in names:
                self.children[name] = Child(name, commands[name], self.environment, log=log)
                await self.children[name].start()

    async def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """Let the people do something; return what they report."""
        assert self.people.stdin is not None  # noqa: S101  opened with pipes
        assert self.people.stdout is not None  # noqa: S101
        self.people.stdin.write(json.dumps({"do": do, **values}).encode() + b"\n")
        await self.people.stdin.drain()
        line = await self.people.stdout.readline()
        if not line:
            raise RuntimeError(f"the people are gone; see {self.storage.folder / 'log'}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{do}: {answer['error']}; see {self.storage.folder / 'log'}")
        return answer

    def pid(self, name: str) -> int:
        process = self.people if name == "people" else self.children[name].process
        return process.pid if process else 0

    def cpu(self, name: str) -> float:
        return sum(map(cpu_of, family_of(self.pid(name))))

    async def kill(self, name: str) -> None:
        """`kill -9`, parent first; its render child is killed by the system."""
        process = self.children.pop(name).process
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def stop(self) -> None:
        for name in list(self.children):
            await self.kill(name)
        self.people.kill()
        await self.people.wait()


@asynccontextmanager
async def machine(storage: StorageSettings, **settings: str) -> AsyncIterator[Machine]:
    """Run people and bot on this storage; the worker is for the caller to start."""
    places = storage.folder / "places"
    places.mkdir(parents=True)
    with (storage.folder / "log").open("ab") as log:
        people = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.overhead_people",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, cwd=_HERE,
            limit=2**26,
        )  # fmt: skip
    assert people.stdout  # noqa: S101  opened with pipes
    url = json.loads(await people.stdout.readline())["url"]
    environment = {
        "TELEGRAM_TOKEN": TOKEN,
        "TELEGRAM_API": url,
        "DATA_DIR": str(storage.folder),
        "DATABASE_URL": storage.database,
        "BROKER_URL": storage.broker,
        "MEDIA_URL": storage.media,
        "JOB_SWEEP_S": "2",
        "CHAOS_PLACES": str(places),  # the fake engine of the fault tests; no place is armed
        "CHAOS_DRAW_S": "0",
        "PYTHONPATH": os.pathsep.join([str(_HERE / "tests" / "chaos" / "inject"), str(_HERE)]),
        **settings,
    }
    made = Machine(storage, environment, people)
    try:
        await made.start("bot")
        yield made
    finally:
        await made.stop()


LIFTED = {"LIMIT_MESSAGES_PER_S": "100000", "LIMIT_CHAT_MESSAGES_PER_S": "10000"}


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

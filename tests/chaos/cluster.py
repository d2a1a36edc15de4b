"""The machines of a chaos run: private servers, one bot or more, two workers, each started again when it dies."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from bot.demo import demo_storage
from bot.settings import StorageSettings, process_name
from bot.supervise import Child
from sandbox.server import Sandbox
from storage.database import Database
from storage.places import Place
from storage.schema import migrate
from tests.chaos.rests import note_rests
from tests.servers import Postgres, Rabbit, Redis, Server

TOKEN = "424242:CANARY-token-that-must-be-in-no-log-at-all"
SIDES = ("postgresql+redis", "postgresql+rabbitmq", "sqlite+filesystem")
WORKERS = ("worker 1", "worker 2")
TENTH = {
    "JOB_LEASE_S": "3", "JOB_RENEW_S": "1", "JOB_STALL_S": "6", "JOB_SWEEP_S": "0.2", "JOB_RERING_S": "1",
    "JOB_WORKER_ALIVE_S": "3", "JOB_DEADLINE_S": "90", "JOB_LEADER_S": "2", "JOB_DRAIN_S": "2",
}  # fmt: skip


@dataclass
class Cluster:
    """Everything that a fault may hit."""

    sandbox: Sandbox
    folder: Path
    storage: StorageSettings
    database_server: Server | None
    broker_server: Server | None
    settings: Mapping[str, str]
    draw_s: float
    bots: tuple[str, ...]
    children: dict[str, Child] = field(default_factory=dict)
    deaths: list[tuple[str, float]] = field(default_factory=list)  # of whom, and when in seconds since 1970
    _keepers: list["asyncio.Task[None]"] = field(default_factory=list)

    async def start(self) -> None:
        database = Database(self.storage.database)
        await migrate(database)
        await note_rests(database)
        await database.close()
        (self.folder / "places").mkdir()
        here = Path(__file__).parent
        environment = {
            **self.settings,
            "TELEGRAM_TOKEN": TOKEN,
            "TELEGRAM_API": self.sandbox.url,
            "DATA_DIR": str(self.folder),
            "DATABASE_URL": self.storage.database,
            "BROKER_URL": self.storage.broker,
            "MEDIA_URL": self.storage.media,
            "CHAOS_PLACES": str(self.folder / "places"),
            "CHAOS_DRAW_S": str(self.draw_s),
            "PYTHONPATH": os.pathsep.join([str(here / "inject"), str(here.parent.parent)]),
        }
        work = ("worker", "--family", "kandinsky-nano", "--lanes", "flash,base")
        commands = dict.fromkeys(self.bots, ("run",)) | dict.fromkeys(WORKERS, work)
        self._log = (self.folder / "log").open("ab")
        self.children = {name: Child(name, command, environment, log=self._log) for name, command in commands.items()}
        self._keepers = [asyncio.create_task(self._keep(child)) for child in self.children.values()]

    async def _keep(self, child: Child) -> None:
        """Start a process again when it dies, and do nothing else about it: leases and sweep must."""
        while True:
            await child.start()
            assert child.process is not None
            await child.process.wait()
            self.deaths.append((child.name, time.time()))

    async def stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        running = [child.process for child in self.children.values() if child.process and child.process.returncode is None]
        for process in running:
            process.terminate()
        _, late = await asyncio.wait([asyncio.ensure_future(process.wait()) for process in running], timeout=10)
        for process in running:
            if process.returncode is None:
                process.kill()
        if late:
            await asyncio.wait(late)
        self._log.close()
        for server in (self.database_server, self.broker_server):
            if server:
                await asyncio.to_thread(server.stop)

    def pid(self, name: str) -> int | None:
        process = self.children[name].process
        return process.pid if process is not None and process.returncode is None else None

    def worker_id(self, name: str) -> str:
        return process_name(self.pid(name) or -1)

    # Faults. Each returns whether there was something to hit.

    async def kill(self, name: str) -> bool:
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None

    async def kill_leader(self) -> bool:
        """Kill the bot process that delivers; another takes over, or the same begins anew."""
        for (owner,) in await self.sql("SELECT owner FROM lease WHERE name LIKE 'deliver:%'"):
            for name in self.bots:
                if str(owner).startswith(process_name(self.pid(name) or -1) + ":"):
                    return await self.kill(name)
        return False

    async def kill_child(self, worker: str) -> bool:
        pid = render_child_of(self.pid(worker) or -1)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None

    async def drain(self, worker: str) -> bool:
        """Ask a worker to stop in order, as a deploy does."""
        process = self.children[worker].process
        if process is None or process.returncode is not None:
            return False
        process.terminate()
        return True

    async def freeze(self, worker: str) -> bool:
        """Stop a render child for longer than its lease, then let it go on: it must not write any more."""
        pid = render_child_of(self.pid(worker) or -1)
        if pid is None:
            return False
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(1.5 * float(self.settings.get("JOB_LEASE_S", 30)))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return True

    async def kill_broker(self) -> bool:
        if self.broker_server is None:
            return await self.flush_broker()
        await asyncio.to_thread(self.broker_server.kill)
        await asyncio.to_thread(self.broker_server.start)
        return True

    async def flush_broker(self) -> bool:
        """Lose every bell that is on its way."""
        if isinstance(self.broker_server, Redis):
            import redis

            redis.Redis(port=self.broker_server.port).flushall()
        elif self.broker_server is None:
            for bell in self.storage.bells.glob("*.msg"):
                bell.unlink(missing_ok=True)
        else:
            return await self.kill_broker()
        return True

    async def kill_database(self) -> bool:
        """Kill PostgreSQL and start it again; SQLite cannot be killed, so another writer holds it for a while."""
        if self.database_server is None:
            await asyncio.to_thread(_hold_sqlite, self.storage.folder / "kandinsky.db", 1.0)
            return True
        await asyncio.to_thread(self.database_server.kill)
        await asyncio.to_thread(self.database_server.start)
        return True

    def arm(self, place: Place, victim: str) -> None:
        """Whoever reaches this place next dies there: alone, or (victim `group`) with its worker."""
        armed = self.folder / "places" / place
        armed.with_suffix(".new").write_text(victim)
        armed.with_suffix(".new").replace(armed)

    def armed(self) -> list[str]:
        return [path.name for path in (self.folder / "places").iterdir()]

    # Looking

    async def sql(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        """Ask the database, as long as it takes: it may be down just now."""
        while True:
            database = Database(self.storage.database)
            try:
                async with database.read() as session:
                    return [tuple(row) for row in await session.execute(text(statement), values)]
            except Exception:
                await asyncio.sleep(0.2)
            finally:
                await database.close()


def _hold_sqlite(path: Path, seconds: float) -> None:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    time.sleep(seconds)
    connection.execute("ROLLBACK")
    connection.close()


def render_child_of(worker_pid: int) -> int | None:
    """Process id of the spawned child that draws."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == worker_pid and b"billiard.spawn" in command:
            return int(stat.parent.name)
    return None


@asynccontextmanager
async def new_cluster(
    side: str, folder: Path, settings: Mapping[str, str] = TENTH, draw_s: float = 0.12, bots: int = 1
) -> AsyncIterator[Cluster]:
    """Start servers, sandbox and processes of one side; stop all at the end."""
    database, _, broker = side.partition("+")
    postgres = Postgres() if database == "postgresql" else None
    server: Redis | Rabbit | None = Redis() if broker == "redis" else Rabbit() if broker == "rabbitmq" else None
    for started in (postgres, server):
        if started:
            await asyncio.to_thread(started.start)
    addresses = {}
    if postgres:
        addresses["database_url"] = postgres.url()
    if server:
        addresses["broker_url"] = server.url
    storage = demo_storage(folder).model_copy(update=addresses)
    async with Sandbox(token=TOKEN) as sandbox:
        names = tuple(f"bot {number + 1}" for number in range(bots))
        cluster = Cluster(sandbox, folder, storage, postgres, server, settings, draw_s, names)
        await cluster.start()
        try:
            yield cluster
        finally:
            await cluster.stop()

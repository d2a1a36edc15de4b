"""The rows about the whole line, measured from outside on the bot's and a worker's own processes: B3, B4, B5, B9, B10."""

import asyncio
import statistics
import time
from typing import Any, cast

import redis
from sqlalchemy import text

from benchmarks.overhead_rig import LIFTED, Machine, Row, Servers, cpu_of, family_of, machine, quantile
from bot.settings import StorageSettings
from storage.database import Database

_FLASH_S = 0.13  # a Flash picture on an H200: the given divisor of B4
_AT_ONCE = 48
_STEADY = 4 * _AT_ONCE
_GONE_S = 60.0


async def round_trips(servers: Servers, requests: int) -> list[Row]:
    """B3, B4 and B5, and the steady rate with what it is made of.

    B3: a person's message until their sheet of four pictures is in the chat: JPEG, PostgreSQL, Redis, Celery, a worker
    and the sandbox included, all on these cores. p50 with one person at a time; the rate with 48, each round a new chat.
    B4: that p50 over the given time of a Flash picture. B5: all bytes that Redis received while the rate was measured,
    commands and polling included, over the number of jobs; and the size of one bell.
    """
    rows = []
    for side in ("postgresql+redis", "sqlite+filesystem"):
        storage = await servers.storage(side)
        async with machine(storage, **LIFTED) as line:
            await line.start("worker")
            await line.ask("loop", people=1, requests=10)
            alone = await line.ask("loop", people=1, requests=requests // 5)
            await line.ask("loop", people=_AT_ONCE, requests=_AT_ONCE)
            before = _Shares(line, servers, storage, await _transactions(storage))
            done = await line.ask("loop", people=_AT_ONCE, requests=requests)
            p50, rate = statistics.median(alone["seconds"]), requests / done["wall_s"]
            what = f"round trip on {side}: p50; rate on 2 cores"
            measured = f"{p50 * 1e3:.0f} ms (p99 {quantile(alone['seconds'], 0.99) * 1e3:.0f}); {rate:.0f} req/s"
            rows.append(Row("B3", what, "25 ms; 80 req/s", "12 ms; 200 req/s", measured))
            rows.append(Row("B3", f"CPU per request on {side}", "", "", await before.shares(requests)))
            if side == "postgresql+redis":
                rows.append(Row("B4", "that p50 over 0.13 s", "<= 15 %", "<= 5 %", f"{p50 / _FLASH_S:.0%}"))
                rows.append(Row("B5", "bytes to Redis per job; one bell", "<= 4 KB", "<= 1.5 KB", before.redis_bytes(requests)))
    return rows


class _Shares:
    """Who spends the CPU time of a request."""

    def __init__(self, line: Machine, servers: Servers, storage: StorageSettings, transactions: int) -> None:
        self._line, self._servers, self._storage, self._transactions = line, servers, storage, transactions
        self._redis = redis.Redis(port=servers.redis.port)
        self._before, self._bytes = self._cpu(), self._received()

    def _cpu(self) -> dict[str, float]:
        cpu = {name: self._line.cpu(name) for name in ("bot", "worker", "people")}
        if self._storage.database.startswith("postgresql"):
            for name, server in (("postgresql", self._servers.postgres), ("redis", self._servers.redis)):
                pid = server.process.pid if server.process else 0
                cpu[name] = sum(map(cpu_of, family_of(pid)))
        return cpu

    def _received(self) -> int:
        return int(cast(dict[str, Any], self._redis.info("stats"))["total_net_input_bytes"])

    async def shares(self, requests: int) -> str:
        spent = {name: cpu - self._before[name] for name, cpu in self._cpu().items()}
        self._received_since = self._received() - self._bytes
        total = sum(spent.values())
        parts = [f"{'sandbox' if name == 'people' else name} {cpu / requests * 1e3:.1f}" for name, cpu in spent.items()]
        commits = ""
        if self._storage.database.startswith("postgresql"):
            ended = await _transactions(self._storage) - self._transactions
            commits = f"; {ended / requests:.1f} transactions"
        return f"{total / requests * 1e3:.1f} ms: {', '.join(parts)}; sandbox {spent['people'] / total:.0%}{commits}"

    def redis_bytes(self, requests: int) -> str:
        (bell,) = _one_bell(self._servers)
        return f"{self._received_since / requests / 1e3:.2f} KB; {bell / 1e3:.2f} KB"


async def _transactions(storage: StorageSettings) -> int:
    """How many have ended in a PostgreSQL database; of SQLite nobody knows."""
    if not storage.database.startswith("postgresql"):
        return 0
    ended = text("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
    database = Database(storage.database)
    try:
        async with database.read() as session:
            return int(await session.scalar(ended) or 0)
    finally:
        await database.close()


def _one_bell(servers: Servers) -> tuple[int]:
    """Ring a queue that nobody hears, and weigh what lies there."""
    from bot.broker import make_celery

    storage = StorageSettings(broker_url=servers.redis.url.removesuffix("0") + "15")
    make_celery(storage).send_task("render", queue="nobody", ignore_result=True)
    client = redis.Redis(port=servers.redis.port, db=15)
    bells = cast(list[bytes], client.lrange("nobody", 0, -1))
    return (sum(len(bell) for bell in bells),)


async def flood(servers: Servers, requests: int) -> list[Row]:
    """B9: p99 of ten other people's round trips while one chat sends five times as many updates at once, over the same without.

    The chat's own limit stays; the bot's overall one is lifted, or it would be what is measured. Each round a new person.
    """
    storage = await servers.storage("postgresql+redis")
    async with machine(storage, LIMIT_MESSAGES_PER_S=LIFTED["LIMIT_MESSAGES_PER_S"]) as line:
        await line.start("worker")
        await line.ask("loop", people=10, requests=20)
        quiet = await line.ask("loop", people=10, requests=requests)
        loud = await line.ask("beside_flood", updates=5 * requests, people=10, requests=requests)
    before, beside = quantile(quiet["seconds"], 0.99), quantile(loud["seconds"], 0.99)
    measured = f"{beside / before:.2f}x ({before * 1e3:.0f} -> {beside * 1e3:.0f} ms)"
    return [Row("B9", f"{5 * requests:,} updates at once from one chat: p99 of others", "<= 2x", "<= 1.2x", measured)]


async def drain(servers: Servers, queued: int) -> list[Row]:
    """B10: the worker is killed, so many people write, and a while after its death (60 s, or less for few) it comes back.

    Pictures a second from the first to the last of them, over the steady rate of the closed loop just before.
    """
    storage = await servers.storage("postgresql+redis")
    gone_s = min(_GONE_S, queued / 10)
    async with machine(storage, **LIFTED) as line:
        await line.start("worker")
        await line.ask("loop", people=_AT_ONCE, requests=_AT_ONCE)
        steady = await line.ask("loop", people=_AT_ONCE, requests=_STEADY)
        await line.kill("worker")
        died = time.monotonic()
        said = await line.ask("say", people=queued)
        await asyncio.sleep(max(0.0, died + gone_s - time.monotonic()))
        await line.start("worker")
        at = (await line.ask("drained", pictures=queued))["at"]
    usual, back = _STEADY / steady["wall_s"], (queued - 1) / (at[-1] - at[0])
    measured = f"{back / usual:.2f}x ({back:.0f} against {usual:.0f} a second; accepted {queued / said['wall_s']:.0f} a second)"
    return [Row("B10", f"worker gone {gone_s:.0f} s, {queued:,} queued: drain rate over steady", ">= 0.9x", ">= 1.0x", measured)]

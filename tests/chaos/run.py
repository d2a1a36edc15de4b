"""One chaos run: people, faults, a drain, and the comparison of what was wished with what was shown."""

import asyncio
import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.server import Sandbox
from tests.chaos.cluster import TENTH, Cluster, new_cluster
from tests.chaos.crowd import Crowd
from tests.chaos.observer import Observer
from tests.chaos.plan import FAULTS, Plan
from tests.chaos.report import Report, compare


@dataclass(frozen=True)
class Size:
    wishes: int
    people: int
    rounds: int  # of its faults
    limit_s: float  # how long all of it may take
    settings: Mapping[str, str] = field(default_factory=lambda: TENTH)
    draw_s: float = 0.12
    faults: tuple[str, ...] = FAULTS
    bots: int = 2  # more than one stand by
    again_s: float = math.inf  # how soon the drawing of a killed worker must be drawn again


# At full leases: what a killed worker was drawing has to wait for its lease, and for the sweep.
_FULL_LEASES = Size(wishes=60, people=30, rounds=1, limit_s=600, settings={}, draw_s=4, faults=("worker",) * 4, again_s=40)
SIZES = {
    "leases": _FULL_LEASES,
    "commit": Size(wishes=500, people=60, rounds=1, limit_s=240),  # half of its time on a quiet machine of two cores
    "nightly": Size(wishes=10_000, people=500, rounds=10, limit_s=3600),
}


_OWED = """
    SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'rendered')
    UNION ALL SELECT count(*) FROM delivery WHERE state IN ('pending', 'sending')
    UNION ALL SELECT count(*) FROM notice WHERE state IN ('pending', 'sending')
    UNION ALL SELECT count(*) FROM inbox WHERE state = 'new'
"""


async def chaos(side: str, size: Size, seed: int, folder: Path) -> Report:
    async with new_cluster(side, folder, size.settings, size.draw_s, size.bots) as cluster:
        observer = Observer(cluster.sandbox)
        crowd = Crowd(cluster.sandbox, observer, size.people, size.wishes, seed)
        plan = Plan(cluster, observer, seed, size.wishes, size.faults * size.rounds)
        watching = asyncio.create_task(observer.run())
        try:
            with contextlib.suppress(TimeoutError):  # what has not ended by then is lost, and counted
                async with asyncio.timeout(size.limit_s):
                    _trouble(cluster.sandbox, seed)
                    await asyncio.gather(crowd.live(), plan.deal())
                    await _settled(cluster)
        finally:
            watching.cancel()
        observer.look()
        return await compare(side, cluster, crowd, observer, plan, size.again_s)


def _trouble(sandbox: Sandbox, seed: int) -> None:
    """What Telegram and the network do all the while: repeat and reorder updates, refuse calls, and lose answers."""
    methods = ["sendMessage", "sendPhoto", "editMessageMedia", "editMessageText"]
    sandbox.faults.rates(seed=seed, method=methods, too_many_requests=0.03, server_error=0.02, drop_after_applying=0.05)
    sandbox.faults.update_rates(seed=seed, duplicate=0.1, reorder=0.05, hold_s=0.2)


async def _settled(cluster: Cluster) -> None:
    """Wait until SQL, too, owes nobody anything: it learns of a delivery a moment after the chat."""
    while any(count for (count,) in await cluster.sql(_OWED)):  # noqa: ASYNC110  other processes write it
        await asyncio.sleep(0.1)

"""What waiting people are told of their place: one look at a queue serves all who ask until it is old."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass

from storage.database import Database
from storage.domain import Job, JobState
from storage.queue_state import QueueView, Timing
from storage.repositories.queues import QueueRepository, Views
from storage.repositories.workers import TimingRepository

_SHARE = 0.1  # of the time that may go into looking: a long queue is looked at less often than a short one


@dataclass
class _Look:
    views: Views
    timings: dict[str, Timing]
    until: float


class QueueLook:
    """Looks at queues for one process. Whoever came after the last look is placed into it by their own rows."""

    def __init__(self, database: Database, alive_s: float) -> None:
        self._db, self._alive_s = database, alive_s
        self._looks: dict[tuple[str, str], _Look] = {}
        self._one_at_a_time: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def view(self, job: Job, size: str, asked: bool = False) -> tuple[QueueView, Timing | None]:
        """Place, workers and measured times for a waiting job of this size.

        asked: the answer is shown as it is, and not mended by a later one, so a look from before this job will not do.
        """
        look = await self._look(job.family, job.lane)
        if asked and job.state == JobState.QUEUED and job not in look.views:
            look = await self._look(job.family, job.lane, anew=True)
        if job in look.views:
            return look.views.of(job), look.timings.get(size)
        async with self._db.alone() as session:
            standing = await QueueRepository(session).standing(job)
        return look.views.of(job, standing), look.timings.get(size)

    async def _look(self, family: str, lane: str, anew: bool = False) -> _Look:
        async with self._one_at_a_time[family, lane]:
            look = self._looks.get((family, lane))
            began = time.monotonic()
            if look is None or look.until <= began or anew:
                async with self._db.read() as session:
                    views = await QueueRepository(session).views(family, lane, self._alive_s)
                    timings = await TimingRepository(session).of_queue(family, lane)
                now = time.monotonic()
                look = self._looks[family, lane] = _Look(views, timings, now + (now - began) / _SHARE)
            return look

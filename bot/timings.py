"""How long a queue's drawings take, kept for those who wait."""

import logging
import statistics
import time

from sqlalchemy.ext.asyncio import AsyncSession

from bot import jobs
from engine.requests import from_json
from storage.database import Database
from storage.domain import Job, Timing
from storage.repositories.jobs import JobRepository
from storage.repositories.workers import TimingRepository

log = logging.getLogger(__name__)

_MEASURE_S = 2.0  # between two looks at what a queue's drawings take


class Timings:
    def __init__(self, database: Database) -> None:
        self._db = database
        self._measured: dict[tuple[str, str], float] = {}  # when the times of a queue's size were last looked at

    async def measure(self, job: Job) -> None:
        """Keep the queue's measured times; the picture is safe already, so an error here costs nothing."""
        try:
            async with self._db.begin() as session:
                await self.write(session, job)
        except Exception as error:
            log.warning("time not measured: %s", type(error).__name__)

    async def write(self, session: AsyncSession, job: Job) -> None:
        """Bring a queue's measured times up to date after a drawing, now and then."""
        label = jobs.size_of(job)
        now = time.monotonic()
        if now - self._measured.get((job.queue, label), float("-inf")) < _MEASURE_S:
            return
        self._measured[job.queue, label] = now
        recent = await JobRepository(session).recent_seconds(job.family, job.lane)
        seconds = [taken for params, taken in recent if jobs.size_label(from_json(params)) == label]
        if seconds:
            ordered = sorted(seconds)
            timing = Timing(statistics.median(ordered), ordered[int(0.9 * (len(ordered) - 1))])
            await TimingRepository(session).put(job.family, job.lane, label, timing)

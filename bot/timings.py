"""How long drawings take: measured, kept, and told to those who wait."""

import logging
import statistics
import time

from sqlalchemy.ext.asyncio import AsyncSession

from engine.requests import Request, from_json
from storage.database import Database
from storage.domain import Job
from storage.queue_state import InHand, QueueView, Timing
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
        label = size_of(job)
        now = time.monotonic()
        if now - self._measured.get((job.queue, label), float("-inf")) < _MEASURE_S:
            return
        self._measured[job.queue, label] = now
        recent = await JobRepository(session).recent_seconds(job.family, job.lane)
        seconds = [taken for params, taken in recent if size_label(from_json(params)) == label]
        if seconds:
            ordered = sorted(seconds)
            timing = Timing(statistics.median(ordered), ordered[int(0.9 * (len(ordered) - 1))])
            await TimingRepository(session).put(job.family, job.lane, label, timing)


def eta(view: QueueView, timing: Timing | None) -> tuple[float, float] | None:
    """Seconds until a waiting job's picture, likely and at worst (p50 and p90); None while nothing was measured.

    The drawings in hand end first, each by its own pace; then everybody before this job is drawn, over all workers.
    """
    ready = view.workers - view.loading
    if timing is None or not ready:
        return None
    turns, slot = divmod(view.place - 1, ready)

    def until(seconds: float) -> float:
        free = sorted(_left(drawing, seconds) for drawing in view.in_hand)[:ready]
        free_in = [0.0] * (ready - len(free)) + free
        return free_in[slot] + (turns + 1) * seconds

    return until(timing.p50), until(timing.p90)


def _left(drawing: InHand, usual_s: float) -> float:
    """How long a drawing in hand still takes: at its own pace once that shows, else as long as is usual."""
    if 0 < drawing.step <= drawing.steps:
        return drawing.elapsed_s * (drawing.steps - drawing.step) / drawing.step
    return max(0.0, usual_s - drawing.elapsed_s)


def size_of(job: Job) -> str:
    """Key of the measured times for a job like this: what it draws, how large, how many."""
    return size_label(from_json(job.params))


def size_label(request: Request) -> str:
    """What a request's time depends on, beside its queue: sides and number of pictures."""
    width, height = request.size
    part = "t" if getattr(request, "tile", 0) else ""  # of a picture takes a ninth of the time
    return f"{width}x{height}x{request.pictures}{part}"

"""Who waits in a queue, in which order, and who is there to draw it. The order is that of `JobRepository.claim`."""

from bisect import bisect_left
from collections.abc import Sequence

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import Job, JobState, WorkerState
from storage.queue_state import InHand, QueueView
from storage.tables import JobRow, UserRow, WorkerRow

# The turns go round the people; within one, who has more in work was served less of late. No two jobs stand alike.
Standing = tuple[float, ...]


_turn = func.row_number().over(order_by=JobRow.id, partition_by=JobRow.user_id)
_oldest = func.min(JobRow.id).over(partition_by=JobRow.user_id)
_WAITING = (
    select(JobRow.id, JobRow.user_id, UserRow.running + _turn, -UserRow.running, UserRow.last_served_at, _oldest)
    .join(UserRow, UserRow.id == JobRow.user_id)
    .where(
        JobRow.state == JobState.QUEUED,
        JobRow.family == bindparam("family"),
        JobRow.lane == bindparam("lane"),
        JobRow.cancel_requested.is_(False),
    )
)
_OF_ONE = _WAITING.where(JobRow.user_id == bindparam("user_id"))


class Views:
    """One look at a queue, for all who wait in it or come soon after."""

    def __init__(
        self, waiting: Sequence[tuple[Standing, int, int]], workers: int, loading: int, in_hand: tuple[InHand, ...]
    ) -> None:
        self._workers, self._loading, self._in_hand = workers, loading, in_hand
        order = sorted(waiting)
        self._standings = [standing for standing, _, _ in order]
        self._people_until = [0]  # how many different people stand in the first n places
        self._places: dict[int, tuple[int, int]] = {}  # job id -> (place, other people who go first)
        seen: set[int] = set()
        for place, (_, job_id, user_id) in enumerate(order, 1):
            self._places[job_id] = place, len(seen) - (user_id in seen)
            seen.add(user_id)
            self._people_until.append(len(seen))

    def __contains__(self, job: Job) -> bool:
        return job.id in self._places

    def of(self, job: Job, standing: Standing | None = None) -> QueueView:
        """What this job's person may know; `standing` is that of a job that came after the look."""
        before = bisect_left(self._standings, standing) if standing else 0
        place, people = self._places.get(job.id, (before + 1, self._people_until[before]))
        return QueueView(place, people, self._people_until[-1], self._workers, self._loading, self._in_hand)


class QueueRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def view(self, job: Job, alive_s: float) -> QueueView:
        """Place of a waiting job and who works for it; a job that does not wait any more is next."""
        return (await self.views(job.family, job.lane, alive_s)).of(job)

    async def views(self, family: str, lane: str, alive_s: float) -> Views:
        """What everybody who waits in a queue may know, by one read: a short row a waiting job, however many ask."""
        rows = await self._session.execute(_WAITING, {"family": family, "lane": lane})
        workers = await self._workers(family, lane, alive_s)
        in_hand = await self._in_hand([worker_id for worker_id, _ in workers])
        loading = sum(state == WorkerState.LOADING for _, state in workers)
        return Views([(tuple(standing), job_id, user) for job_id, user, *standing in rows], len(workers), loading, in_hand)

    async def standing(self, job: Job) -> Standing | None:
        """Where a waiting job stands, by its own person's rows alone."""
        rows = await self._session.execute(_OF_ONE, {"family": job.family, "lane": job.lane, "user_id": job.user_id})
        return next((tuple(standing) for job_id, _, *standing in rows if job_id == job.id), None)

    async def _workers(self, family: str, lane: str, alive_s: float) -> Sequence[tuple[str, str]]:
        rows = await self._session.execute(
            select(WorkerRow.id, WorkerRow.state).where(
                WorkerRow.family == family,
                WorkerRow.lanes.contains(f",{lane},"),
                WorkerRow.seen_at > db_now() - alive_s,
                WorkerRow.state != WorkerState.DRAINING,
            )
        )
        return [(worker_id, state) for worker_id, state in rows]

    async def _in_hand(self, workers: Sequence[str]) -> tuple[InHand, ...]:
        """What these workers are drawing, whoever asked for it and from whichever queue."""
        if not workers:
            return ()
        rows = await self._session.execute(
            select(db_now() - JobRow.started_at, JobRow.step, JobRow.steps).where(
                JobRow.state == JobState.RUNNING, JobRow.worker_id.in_(workers)
            )
        )
        return tuple(InHand(float(seconds or 0.0), step, steps) for seconds, step, steps in rows)

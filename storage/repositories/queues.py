"""Who waits in a queue, in which order, and who is there to draw it. The order is that of `JobRepository.claim`."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import InHand, Job, JobState, QueueView, WorkerState
from storage.tables import JobRow, UserRow, WorkerRow


@dataclass(frozen=True)
class _Person:
    """One person in a queue; `order` says who of two with equally many drawings goes first."""

    user_id: int
    waiting: int
    running: int
    order: tuple[float, int]

    def before(self, mine: "_Person", turn: int) -> int:
        """How many of this person's jobs are claimed before the `turn`-th of mine."""
        later = (-self.running, self.order) > (-mine.running, mine.order)  # who has more in work was served less of late
        rounds = turn + mine.running - self.running - later
        return min(self.waiting, max(0, rounds))


class QueueRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def view(self, job: Job, alive_s: float) -> QueueView:
        """Place of a waiting job and who works for it; costs one row a waiting person, however long the queue."""
        people = await self._people(job)
        turn = await self._session.scalar(
            select(func.count()).where(
                JobRow.state == JobState.QUEUED, JobRow.family == job.family, JobRow.lane == job.lane,
                JobRow.user_id == job.user_id, JobRow.id <= job.id, JobRow.cancel_requested.is_(False),
            )
        )  # fmt: skip
        mine = next((person for person in people if person.user_id == job.user_id), None)
        before = [person.before(mine, int(turn or 1)) for person in people if mine and person is not mine]
        workers = await self._workers(job, alive_s)
        return QueueView(
            place=sum(before) + int(turn or 1),
            people_before=sum(count > 0 for count in before),
            people=len(people),
            workers=len(workers),
            loading=sum(state == WorkerState.LOADING for _, state in workers),
            in_hand=await self._in_hand([worker_id for worker_id, _ in workers]),
        )

    async def _people(self, job: Job) -> list[_Person]:
        waiting = (
            select(JobRow.user_id, func.count().label("jobs"), func.min(JobRow.id).label("oldest"))
            .where(
                JobRow.state == JobState.QUEUED, JobRow.family == job.family, JobRow.lane == job.lane,
                JobRow.cancel_requested.is_(False),
            )
            .group_by(JobRow.user_id)
            .subquery()
        )  # fmt: skip
        rows = await self._session.execute(
            select(waiting.c.user_id, waiting.c.jobs, waiting.c.oldest, UserRow.running, UserRow.last_served_at).join(
                UserRow, UserRow.id == waiting.c.user_id
            )
        )
        return [_Person(user_id, jobs, running, (served_at, oldest)) for user_id, jobs, oldest, running, served_at in rows]

    async def _workers(self, job: Job, alive_s: float) -> Sequence[tuple[str, str]]:
        rows = await self._session.execute(
            select(WorkerRow.id, WorkerRow.state).where(
                WorkerRow.family == job.family,
                WorkerRow.lanes.contains(f",{job.lane},"),
                WorkerRow.seen_at > db_now() - alive_s,
                WorkerRow.state != WorkerState.DRAINING,
            )
        )
        return [(worker_id, state) for worker_id, state in rows]

    async def _in_hand(self, workers: Sequence[str]) -> tuple[InHand, ...]:
        """What these workers are drawing, whoever asked for it and from whichever queue."""
        rows = await self._session.execute(
            select(db_now() - JobRow.started_at, JobRow.step, JobRow.steps).where(
                JobRow.state == JobState.RUNNING, JobRow.worker_id.in_(workers)
            )
        )
        return tuple(InHand(float(seconds or 0.0), step, steps) for seconds, step, steps in rows)

"""What an operator may want to know: read-only questions over all tables, for metrics, `stats` and `doctor`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, distinct, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from storage.database import db_now
from storage.domain import InboxState, JobState
from storage.tables import AppealRow, InboxRow, JobRow, PictureRow, ReportRow, UserRow, WorkerRow

_SAMPLE = 5000  # newest drawings that percentiles are taken of


@dataclass(frozen=True)
class QueueLoad:
    """One queue now; `oldest_s` is the age of its oldest waiting job."""

    queue: str
    waiting: int
    running: int
    oldest_s: float


@dataclass(frozen=True)
class WorkerSeen:
    id: str
    family: str
    lanes: tuple[str, ...]
    device: str
    state: str
    seen_s: float


@dataclass(frozen=True)
class InboxLoad:
    waiting: int
    oldest_s: float
    poison: int


@dataclass(frozen=True)
class Spread:
    """Median and 90th percentile of some seconds."""

    count: int
    p50: float
    p90: float


@dataclass(frozen=True)
class ReportSeen:
    """A report: of picture `picture` of a job (0: of all of them), and the file of that one, or of the first."""

    reason: str
    age_s: float
    job: str
    picture: int
    media_id: str | None


@dataclass(frozen=True)
class AppealSeen:
    """An appeal against what was withheld of a job: its categories, and the request that draws it again."""

    categories: tuple[str, ...]
    age_s: float
    job: str
    params: str


class StatsRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def clock(self) -> float:
        """Seconds since 1970 on the database's clock."""
        return float(await self._session.scalar(select(db_now())) or 0.0)

    async def bots(self) -> dict[int, int]:
        """How many people each bot on this database knows."""
        rows = await self._session.execute(select(UserRow.bot_id, func.count()).group_by(UserRow.bot_id).order_by(UserRow.bot_id))
        return {int(bot_id): int(people) for bot_id, people in rows}

    async def queues(self) -> list[QueueLoad]:
        """Every queue with work, by name."""
        rows = await self._session.execute(
            select(JobRow.family, JobRow.lane, JobRow.state, func.count(), db_now() - func.min(JobRow.created_at))
            .where(JobRow.state.in_((JobState.QUEUED, JobState.RUNNING)))
            .group_by(JobRow.family, JobRow.lane, JobRow.state)
        )
        found = {(f"{family}.{lane}", state): (int(count), float(age)) for family, lane, state, count, age in rows}
        loads = []
        for queue in sorted({queue for queue, _ in found}):
            waiting, oldest_s = found.get((queue, JobState.QUEUED), (0, 0.0))
            running, _ = found.get((queue, JobState.RUNNING), (0, 0.0))
            loads.append(QueueLoad(queue, waiting, running, max(0.0, oldest_s)))
        return loads

    async def workers(self, within_s: float) -> list[WorkerSeen]:
        """Workers that wrote their row within the last seconds, by name."""
        rows = await self._session.execute(
            select(WorkerRow, db_now() - WorkerRow.seen_at)
            .where(WorkerRow.seen_at > db_now() - within_s)
            .order_by(WorkerRow.family, WorkerRow.id)
        )
        return [
            WorkerSeen(row.id, row.family, tuple(filter(None, row.lanes.split(","))), row.device, row.state, max(0.0, float(age)))
            for row, age in rows
        ]

    async def inbox(self, bot_id: int) -> InboxLoad:
        """What of this bot's updates waits, and how many were set aside and are still kept."""
        rows = await self._session.execute(
            select(InboxRow.state, func.count(), db_now() - func.min(InboxRow.received_at))
            .where(InboxRow.bot_id == bot_id, InboxRow.state.in_((InboxState.NEW, InboxState.POISON)))
            .group_by(InboxRow.state)
        )
        found = {state: (int(count), float(age)) for state, count, age in rows}
        waiting, oldest_s = found.get(InboxState.NEW, (0, 0.0))
        return InboxLoad(waiting, max(0.0, oldest_s), found.get(InboxState.POISON, (0, 0.0))[0])

    async def jobs_by_state(self, within_s: float) -> dict[str, int]:
        """How many of the jobs accepted lately are in each state."""
        rows = await self._session.execute(
            select(JobRow.state, func.count()).where(JobRow.created_at > db_now() - within_s).group_by(JobRow.state)
        )
        return {str(state): int(count) for state, count in rows}

    async def failures(self, within_s: float) -> dict[str, int]:
        """How many of the jobs accepted lately failed, by class of error, the most frequent first."""
        rows = await self._session.execute(
            select(JobRow.error_class, func.count())
            .where(JobRow.state == JobState.FAILED, JobRow.created_at > db_now() - within_s)
            .group_by(JobRow.error_class)
            .order_by(func.count().desc(), JobRow.error_class)
        )
        return {str(error): int(count) for error, count in rows}

    async def reports(self, within_s: float) -> dict[str, tuple[int, int]]:
        """By what was said of pictures: how many reports came lately, and how many there are."""
        lately = func.sum(case((ReportRow.at > db_now() - within_s, 1), else_=0))
        rows = await self._session.execute(
            select(ReportRow.reason, lately, func.count())
            .group_by(ReportRow.reason)
            .order_by(func.count().desc(), ReportRow.reason)
        )
        return {str(reason): (int(new), int(count)) for reason, new, count in rows}

    async def newest_reports(self, limit: int) -> list[ReportSeen]:
        """The pictures that were reported last."""
        rows = await self._session.execute(
            select(ReportRow.reason, db_now() - ReportRow.at, JobRow.public_id, ReportRow.picture, PictureRow.media_id)
            .join(JobRow, JobRow.id == ReportRow.job_id)
            .outerjoin(PictureRow, (PictureRow.job_id == JobRow.id) & (PictureRow.ordinal == _first(ReportRow.picture)))
            .order_by(ReportRow.id.desc())
            .limit(limit)
        )
        return [ReportSeen(reason, max(0.0, float(age)), job, picture, media_id) for reason, age, job, picture, media_id in rows]

    async def appeals(self, within_s: float) -> tuple[int, int]:
        """How many appeals came lately, and how many there are."""
        lately = func.coalesce(func.sum(case((AppealRow.at > db_now() - within_s, 1), else_=0)), 0)
        new, count = (await self._session.execute(select(lately, func.count()).select_from(AppealRow))).one()
        return int(new), int(count)

    async def newest_appeals(self, limit: int) -> list[AppealSeen]:
        """What was appealed against last."""
        rows = await self._session.execute(
            select(JobRow.withheld, db_now() - AppealRow.at, JobRow.public_id, JobRow.params)
            .join(JobRow, JobRow.id == AppealRow.job_id)
            .order_by(AppealRow.id.desc())
            .limit(limit)
        )
        return [
            AppealSeen(tuple(json.loads(withheld or "[]")), max(0.0, float(age)), job, params)
            for withheld, age, job, params in rows
        ]

    async def people(self, within_s: float) -> int:
        """How many people asked for something lately."""
        found = await self._session.scalar(
            select(func.count(distinct(JobRow.user_id))).where(JobRow.created_at > db_now() - within_s)
        )
        return int(found or 0)

    async def seconds(self, within_s: float) -> dict[str, tuple[Spread, Spread]]:
        """By queue, how long jobs drawn lately waited, and how long they were drawn."""
        rows = await self._session.execute(
            select(JobRow.family, JobRow.lane, JobRow.started_at - JobRow.created_at, JobRow.rendered_at - JobRow.started_at)
            .where(JobRow.rendered_at > db_now() - within_s, JobRow.started_at.is_not(None))
            .order_by(JobRow.id.desc())
            .limit(_SAMPLE)
        )
        waited: dict[str, list[float]] = {}
        drawn: dict[str, list[float]] = {}
        for family, lane, waited_s, drawn_s in rows:
            waited.setdefault(f"{family}.{lane}", []).append(float(waited_s or 0))
            drawn.setdefault(f"{family}.{lane}", []).append(float(drawn_s or 0))
        return {queue: (_spread(waited[queue]), _spread(drawn[queue])) for queue in sorted(waited)}


def _first(picture: InstrumentedAttribute[int]) -> ColumnElement[int]:
    """The ordinal of a picture that is counted from 1; of a whole sheet the first."""
    return case((picture > 0, picture - 1), else_=0)


def _spread(seconds: Sequence[float]) -> Spread:
    """The smallest values that half, and nine of ten, do not exceed."""
    ordered = sorted(max(0.0, value) for value in seconds)
    return Spread(len(ordered), ordered[(len(ordered) - 1) // 2], ordered[-(-9 * len(ordered) // 10) - 1])

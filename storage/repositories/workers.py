"""Who is at work: workers, measured times, and leases for what only one process may do."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import WorkerState
from storage.queue_state import Timing
from storage.tables import LeaseRow, TimingRow, WorkerRow


class WorkerRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def seen(self, worker_id: str, family: str, lanes: Collection[str], device: str, state: WorkerState) -> None:
        """Write that a worker lives, what it has loaded and what it does."""
        now = (await self._session.scalar(select(db_now()))) or 0.0
        await self._session.merge(
            WorkerRow(id=worker_id, family=family, lanes=f",{','.join(lanes)},", device=device, state=state, seen_at=now)
        )

    async def state(self, worker_id: str) -> WorkerState | None:
        found = await self._session.scalar(select(WorkerRow.state).where(WorkerRow.id == worker_id).with_for_update())
        return WorkerState(found) if found else None

    async def set_state(self, worker_id: str, state: WorkerState) -> None:
        await self._session.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(state=state))

    async def gone(self, worker_id: str) -> None:
        await self._session.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))

    async def alive(self, family: str, lane: str, alive_s: float) -> int:
        rows = await self._session.scalars(
            select(WorkerRow.id).where(
                WorkerRow.family == family,
                WorkerRow.lanes.contains(f",{lane},"),
                WorkerRow.seen_at > db_now() - alive_s,
                WorkerRow.state != WorkerState.DRAINING,
            )
        )
        return len(rows.all())

    async def ready(self, family: str, lane: str, alive_s: float) -> bool:
        """Whether somebody has this lane loaded."""
        loaded = WorkerRow.state.not_in((WorkerState.DRAINING, WorkerState.LOADING))
        return await self._is_there(family, alive_s, WorkerRow.lanes.contains(f",{lane},"), loaded)

    async def none_has(self, family: str, lane: str, alive_s: float) -> bool:
        """Whether this family is served, but nobody serves this lane of it; with no worker at all one may come that does."""
        if await self.alive(family, lane, alive_s):
            return False
        return await self._is_there(family, alive_s, WorkerRow.state != WorkerState.DRAINING)

    async def _is_there(self, family: str, alive_s: float, *which: ColumnElement[bool]) -> bool:
        where = WorkerRow.family == family, WorkerRow.seen_at > db_now() - alive_s, *which
        return await self._session.scalar(select(WorkerRow.id).where(*where).limit(1)) is not None

    async def forget_older(self, seconds: float) -> None:
        await self._session.execute(delete(WorkerRow).where(WorkerRow.seen_at < db_now() - seconds))


class TimingRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, family: str, lane: str, size: str, timing: Timing) -> None:
        await self._session.merge(TimingRow(family=family, lane=lane, size=size, p50=timing.p50, p90=timing.p90))

    async def get(self, family: str, lane: str, size: str) -> Timing | None:
        row = await self._session.get(TimingRow, (family, lane, size))
        return Timing(row.p50, row.p90) if row else None

    async def of_queue(self, family: str, lane: str) -> dict[str, Timing]:
        """Return what was measured for each size in a queue."""
        rows = await self._session.execute(
            select(TimingRow.size, TimingRow.p50, TimingRow.p90).where(TimingRow.family == family, TimingRow.lane == lane)
        )
        return {size: Timing(p50, p90) for size, p50, p90 in rows}


class LeaseRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease; False while somebody else holds it."""
        now = (await self._session.scalar(select(db_now()))) or 0.0
        row = await self._session.get(LeaseRow, name, with_for_update=True)
        if row is None:
            self._session.add(LeaseRow(name=name, owner=owner, until=now + seconds))
            return True
        if row.owner != owner and row.until > now:
            return False
        row.owner, row.until = owner, now + seconds
        return True

    async def renew(self, name: str, owner: str, seconds: float) -> bool:
        """Hold a lease for longer; False once somebody else took it, however late this is."""
        held = await self._session.execute(
            update(LeaseRow)
            .where(LeaseRow.name == name, LeaseRow.owner == owner)
            .values(until=db_now() + seconds)
            .returning(LeaseRow.name)
        )
        return held.one_or_none() is not None

    async def since(self, name: str) -> float:
        """Seconds since this was last called with `name`, by whomever; 0 the first time."""
        now = (await self._session.scalar(select(db_now()))) or 0.0
        row = await self._session.get(LeaseRow, name, with_for_update=True)
        if row is None:
            self._session.add(LeaseRow(name=name, owner="", until=now))
            return 0.0
        passed, row.until = now - row.until, now
        return passed

    async def drop(self, name: str, owner: str) -> None:
        await self._session.execute(delete(LeaseRow).where(LeaseRow.name == name, LeaseRow.owner == owner))

"""Whose turn is when, by people and without names."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.domain import JobState, Turn
from storage.tables import JobRow, UserRow


class TurnRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of(self, user_id: int, family: str, lane: str) -> Turn:
        """Return this person's turn among all who wait in a queue, in the order in which jobs are claimed."""
        people = (
            select(JobRow.user_id, UserRow.running, UserRow.last_served_at, func.min(JobRow.id).label("oldest"))
            .join(UserRow, UserRow.id == JobRow.user_id)
            .where(
                JobRow.state == JobState.QUEUED,
                JobRow.family == family,
                JobRow.lane == lane,
                JobRow.cancel_requested.is_(False),
            )
            .group_by(JobRow.user_id, UserRow.running, UserRow.last_served_at)
            .subquery()
        )
        order = (people.c.running, people.c.last_served_at, people.c.oldest)
        ranked = select(people.c.user_id, func.row_number().over(order_by=order).label("place")).subquery()
        place = await self._session.scalar(select(ranked.c.place).where(ranked.c.user_id == user_id))
        count = await self._session.scalar(select(func.count()).select_from(people))
        return Turn(int(place or 0), int(count or 0))

"""Updates on their way in: stored once, handled in order per chat, set aside when they cannot be handled."""

from collections.abc import Collection, Iterable

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's, too
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import InboxState, InboxUpdate
from storage.tables import InboxRow


class InboxRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, bot_id: int, updates: Iterable[tuple[int, int, str]]) -> int:
        """Store (update_id, chat_id, payload) triples that are new; return how many were. Of a number the first stays."""
        batch = {update_id: (chat_id, payload) for update_id, chat_id, payload in reversed(list(updates))}
        if not batch:
            return 0
        rows = [
            {"bot_id": bot_id, "update_id": update_id, "chat_id": chat_id, "payload": payload, "received_at": db_now()}
            for update_id, (chat_id, payload) in sorted(batch.items())
        ]
        fresh = await self._session.scalars(
            insert(InboxRow)
            .values(rows)
            .on_conflict_do_nothing(index_elements=[InboxRow.bot_id, InboxRow.update_id])  # another process may be as quick
            .returning(InboxRow.id)
        )
        return len(fresh.all())

    async def waiting(self, bot_id: int, chats: Collection[int]) -> dict[int, int]:
        """How many updates of each of these chats wait to be handled; a chat with none is left out."""
        rows = await self._session.execute(
            select(InboxRow.chat_id, func.count().label("waiting"))
            .where(InboxRow.state == InboxState.NEW, InboxRow.bot_id == bot_id, InboxRow.chat_id.in_(chats))
            .group_by(InboxRow.chat_id)
        )
        return {row.chat_id: row.waiting for row in rows}

    async def due(self, bot_id: int, busy_chats: Collection[int], limit: int) -> list[InboxUpdate]:
        """Return the oldest waiting update of each chat that is not busy, if its time has come."""
        oldest = (
            select(func.min(InboxRow.id))
            .where(InboxRow.state == InboxState.NEW, InboxRow.bot_id == bot_id, InboxRow.chat_id.not_in(busy_chats))
            .group_by(InboxRow.chat_id)
        )
        rows = await self._session.scalars(
            select(InboxRow).where(InboxRow.id.in_(oldest), InboxRow.next_at <= db_now()).order_by(InboxRow.id).limit(limit)
        )
        return [InboxUpdate(row.id, row.bot_id, row.update_id, row.chat_id, row.payload, row.attempts) for row in rows]

    async def done(self, inbox_id: int) -> None:
        await self._session.execute(
            update(InboxRow).where(InboxRow.id == inbox_id, InboxRow.state == InboxState.NEW).values(state=InboxState.DONE)
        )

    async def retry(self, inbox_id: int, delay_s: float, error: str) -> None:
        await self._session.execute(
            update(InboxRow)
            .where(InboxRow.id == inbox_id)
            .values(attempts=InboxRow.attempts + 1, next_at=db_now() + delay_s, error=error)
        )

    async def poison(self, inbox_id: int, error: str) -> None:
        await self._session.execute(update(InboxRow).where(InboxRow.id == inbox_id).values(state=InboxState.POISON, error=error))

    async def forget_older(self, bot_id: int, seconds: float) -> None:
        """Drop handled updates; Telegram repeats nothing after a day, so a week of memory is enough."""
        await self._session.execute(
            delete(InboxRow).where(
                InboxRow.bot_id == bot_id, InboxRow.state != InboxState.NEW, InboxRow.received_at < db_now() - seconds
            )
        )

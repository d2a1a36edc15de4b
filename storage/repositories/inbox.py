"""Updates on their way in: stored once, handled in order per chat, set aside when they cannot be handled."""

from collections.abc import Collection, Iterable

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's, too
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import InboxState, InboxUpdate
from storage.tables import InboxRow

# Made once, with names for what changes: building a statement costs as much as running it.
_INBOX = InboxRow.__table__.c
_ADD = (
    insert(InboxRow.__table__)  # type: ignore[arg-type]
    .values(received_at=db_now())
    .on_conflict_do_nothing(index_elements=[_INBOX.bot_id, _INBOX.update_id])  # another process may be as quick
    .returning(_INBOX.id)
)
_OF_BOT = _INBOX.state == InboxState.NEW, _INBOX.bot_id == bindparam("bot_id")
_WAITING = (
    select(_INBOX.chat_id, func.count().label("waiting"))
    .where(*_OF_BOT, _INBOX.chat_id.in_(bindparam("chats", expanding=True)))
    .group_by(_INBOX.chat_id)
)
_OLDEST = select(func.min(_INBOX.id)).where(
    *_OF_BOT, _INBOX.chat_id.not_in(bindparam("busy", expanding=True)), _INBOX.id.not_in(bindparam("aside", expanding=True))
)
_DUE = (
    select(_INBOX.id, _INBOX.bot_id, _INBOX.update_id, _INBOX.chat_id, _INBOX.payload, _INBOX.attempts)
    .where(_INBOX.id.in_(_OLDEST.group_by(_INBOX.chat_id)), _INBOX.next_at <= db_now())
    .order_by(_INBOX.id)
    .limit(bindparam("at_most"))
)
_DONE = (
    update(InboxRow.__table__)  # type: ignore[arg-type]
    .where(_INBOX.id == bindparam("of_id"), _INBOX.state == InboxState.NEW)
    .values(state=InboxState.DONE)
)


class InboxRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, bot_id: int, updates: Iterable[tuple[int, int, str]]) -> int:
        """Store (update_id, chat_id, payload) triples that are new; return how many were. Of a number the first stays."""
        batch = {update_id: (chat_id, payload) for update_id, chat_id, payload in reversed(list(updates))}
        if not batch:
            return 0
        rows = [
            {"bot_id": bot_id, "update_id": update_id, "chat_id": chat_id, "payload": payload}
            for update_id, (chat_id, payload) in sorted(batch.items())
        ]
        fresh = await self._session.scalars(_ADD, rows)
        return len(fresh.all())

    async def waiting(self, bot_id: int, chats: Collection[int]) -> dict[int, int]:
        """How many updates of each of these chats wait to be handled; a chat with none is left out."""
        rows = await self._session.execute(_WAITING, {"bot_id": bot_id, "chats": list(chats)})
        return {row.chat_id: row.waiting for row in rows}

    async def due(self, bot_id: int, busy_chats: Collection[int], limit: int, aside: Collection[int] = ()) -> list[InboxUpdate]:
        """Return the oldest waiting update of each chat that is not busy, if its time has come.

        aside: updates that do not hold up those behind them.
        """
        values = {"bot_id": bot_id, "busy": list(busy_chats), "at_most": limit, "aside": list(aside)}
        rows = await self._session.execute(_DUE, values)
        return [InboxUpdate(*row) for row in rows]

    async def done(self, inbox_id: int) -> None:
        await self._session.execute(_DONE, {"of_id": inbox_id})

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

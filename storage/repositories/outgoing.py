"""Messages on their way out: what each job owes its chat, and notices. Only `bot/delivery` reads this."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, case, delete, exists, false, func, insert, not_, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert as pg_insert  # its ON CONFLICT is SQLite's, too
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from storage.database import db_now
from storage.domain import Job, JobState, new_public_id
from storage.errors import LostLease
from storage.post import Delivery, NewNotice, Notice, SendState
from storage.tables import DeliveryRow, JobRow, LeaseRow, NoticeRow, PauseRow

# written past the session, which need not remember them
_DELIVERY, _NOTICE, _PAUSE = DeliveryRow.__table__, NoticeRow.__table__, PauseRow.__table__
_ADD = insert(_NOTICE).values(created_at=db_now()).inline()  # type: ignore[arg-type]
_SETTLED = (SendState.SENT, SendState.UNKNOWN, SendState.FAILED)
_ENDED = (SendState.SENT, SendState.FAILED)
_AGAIN = "again"  # stands beside `sending` when a message whose fate is unknown is sent once more
Lease = tuple[str, str]  # its name and its owner


class DeliveryRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def due(self, bot_id: int, ordinal: int, limit: int = 50) -> list[tuple[Delivery, Job]]:
        """Return the oldest message of this ordinal of each chat, if its time has come; a result waits for its status.

        One a chat, since a chat gets one at a time: what one chat is owed, however much, keeps nobody else waiting.
        """
        where = [JobRow.bot_id == bot_id, DeliveryRow.ordinal == ordinal, DeliveryRow.next_at <= db_now()]
        if ordinal == 0:
            where.append(DeliveryRow.state == SendState.PENDING)
        else:
            status = select(DeliveryRow.job_id).where(DeliveryRow.ordinal == 0, DeliveryRow.state.in_(_SETTLED))
            where += [
                DeliveryRow.state.in_((SendState.PENDING, SendState.UNKNOWN)),
                DeliveryRow.job_id.in_(status),
                JobRow.state == JobState.RENDERED,
            ]
        owed = select(func.min(DeliveryRow.job_id)).join(JobRow, JobRow.id == DeliveryRow.job_id).where(*where)
        query = (
            select(DeliveryRow, JobRow)
            .join(JobRow, JobRow.id == DeliveryRow.job_id)
            .where(DeliveryRow.ordinal == ordinal, DeliveryRow.job_id.in_(owed.group_by(JobRow.chat_id)))
        )
        rows = await self._session.execute(query.order_by(DeliveryRow.job_id).limit(limit))
        return [
            (Delivery(row.job_id, row.ordinal, SendState(row.state), row.attempt, row.message_id), job.to_job())
            for row, job in rows
        ]

    async def state(self, job_id: int, ordinal: int) -> SendState | None:
        at = DeliveryRow.job_id == job_id, DeliveryRow.ordinal == ordinal
        state = await self._session.scalar(select(DeliveryRow.state).where(*at))
        return SendState(state) if state else None

    async def mark(
        self,
        job_id: int,
        ordinal: int,
        state: SendState,
        *,
        message_id: int | None = None,
        file_id: str | None = None,
        file_unique_id: str | None = None,
        retry_s: float | None = None,
        error: str | None = None,
    ) -> None:
        """Record what became of one try; `retry_s` sets when the next may begin and counts this one.

        What has ended meanwhile stays ended: two deliverers may be at work while one takes over from the other.
        """
        values = _tried(state, message_id, retry_s, error, DeliveryRow.attempt)
        if file_id is not None:
            values |= {"file_id": file_id, "file_unique_id": file_unique_id}
        row = update(_DELIVERY).where(_DELIVERY.c.job_id == job_id, _DELIVERY.c.ordinal == ordinal)  # type: ignore[arg-type]
        await self._session.execute(row.where(_open(_DELIVERY, state)).values(**values))

    async def begin(self, delivery: Delivery, lease: Lease | None = None) -> None:
        """Mark a message as being sent: nobody else has tried it since it was read, and the lease, if any, still holds.

        Raises: LostLease.
        """
        at = _DELIVERY.c.job_id == delivery.job_id, _DELIVERY.c.ordinal == delivery.ordinal
        if not await _begin(self._session, _DELIVERY, at, delivery, lease):
            raise LostLease(f"message {delivery.ordinal} of job {delivery.job_id}")

    async def file_id(self, job_id: int, ordinal: int) -> str | None:
        return await self._session.scalar(
            select(DeliveryRow.file_id).where(DeliveryRow.job_id == job_id, DeliveryRow.ordinal == ordinal)
        )

    async def interrupted(self, bot_id: int, but: Collection[Delivery | Notice] = (), lease: Lease | None = None) -> None:
        """Turn what nobody sends any more into `unknown`; `but` is what this deliverer itself is sending.

        A notice whose second try was cut off is given up: it may be there twice. Without the lease, if any, nothing changes.
        """
        held = _held(lease)
        own = select(JobRow.id).where(JobRow.bot_id == bot_id)
        jobs = [each.job_id for each in but if isinstance(each, Delivery)]
        notices = [each.id for each in but if isinstance(each, Notice)]
        await self._session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.state == SendState.SENDING, DeliveryRow.job_id.in_(own), DeliveryRow.job_id.not_in(jobs), *held)
            .values(state=SendState.UNKNOWN)
        )
        await self._session.execute(
            update(NoticeRow)
            .where(NoticeRow.state == SendState.SENDING, NoticeRow.bot_id == bot_id, NoticeRow.id.not_in(notices), *held)
            .values(state=case((NoticeRow.error == _AGAIN, SendState.FAILED), else_=SendState.UNKNOWN))
        )


class NoticeRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, new: NewNotice) -> bool:
        """Store a notice unless one with its key was stored before; return whether it is new."""
        known = await self._session.scalar(select(NoticeRow.id).where(NoticeRow.dedupe_key == new.dedupe_key))
        if known is not None:
            return False
        values = {
            "public_id": new_public_id(), "bot_id": new.bot_id, "user_id": new.user_id, "chat_id": new.chat_id, "key": new.key,
            "dedupe_key": new.dedupe_key, "params": json.dumps(new.params, ensure_ascii=False), "job_id": new.job_id,
            "picture_id": new.picture_id, "edit_message_id": new.edit_message_id,
            "reply_to_message_id": new.reply_to_message_id,
        }  # fmt: skip
        await self._session.execute(_ADD, values)
        return True

    async def put_off(self, dedupe_key: str, delay_s: float) -> None:
        """Send a notice so much later than now; one that is being sent, or has been, stays as it is."""
        waiting = NoticeRow.dedupe_key == dedupe_key, NoticeRow.state == SendState.PENDING
        await self._session.execute(update(NoticeRow).where(*waiting).values(next_at=db_now() + delay_s))

    async def supersede_edits(self, bot_id: int, chat_id: int, message_id: int) -> None:
        """Give up how a message was to look: the person pressed on, and only its last look counts.

        One that is being sent right now may be among them. The rows stay: SQLite would give a dropped row's id to the next
        notice, and whoever still sends the old one would settle the new one with it.
        """
        await self._session.execute(
            update(NoticeRow)
            .where(
                NoticeRow.state == SendState.PENDING,
                NoticeRow.bot_id == bot_id,
                NoticeRow.chat_id == chat_id,
                NoticeRow.edit_message_id == message_id,
            )
            .values(state=SendState.FAILED, error="superseded")
        )

    async def due(self, bot_id: int, limit: int = 50) -> list[Notice]:
        """Return the oldest notice of each chat whose time has come; one that replaces a status waits until that is settled."""
        unsettled = select(DeliveryRow.job_id).where(DeliveryRow.ordinal == 0, DeliveryRow.state.not_in(_SETTLED))
        waiting = (
            NoticeRow.bot_id == bot_id,
            NoticeRow.state.in_((SendState.PENDING, SendState.UNKNOWN)),
            NoticeRow.next_at <= db_now(),
            NoticeRow.job_id.is_(None) | NoticeRow.job_id.not_in(unsettled),
        )
        oldest = select(func.min(NoticeRow.id)).where(*waiting).group_by(NoticeRow.chat_id)
        rows = await self._session.scalars(select(NoticeRow).where(NoticeRow.id.in_(oldest)).order_by(NoticeRow.id).limit(limit))
        return [
            Notice(
                row.id, row.public_id, row.bot_id, row.user_id, row.chat_id, row.key, json.loads(row.params),
                SendState(row.state), row.attempt, row.job_id, row.picture_id, row.edit_message_id, row.reply_to_message_id,
            )
            for row in rows
        ]  # fmt: skip

    async def mark(
        self,
        notice_id: int,
        state: SendState,
        *,
        message_id: int | None = None,
        retry_s: float | None = None,
        error: str | None = None,
    ) -> None:
        """Record what became of one try; what was given up meanwhile is not tried again."""
        values = _tried(state, message_id, retry_s, error, NoticeRow.attempt)
        row = update(_NOTICE).where(_NOTICE.c.id == notice_id, _open(_NOTICE, state))  # type: ignore[arg-type]
        await self._session.execute(row.values(**values))

    async def begin(self, notice: Notice, lease: Lease | None = None) -> None:
        """Mark a notice as being sent, as a delivery is. Raises: LostLease."""
        if not await _begin(self._session, _NOTICE, (_NOTICE.c.id == notice.id,), notice, lease):
            raise LostLease(f"notice {notice.id}")

    async def state(self, notice_id: int) -> SendState | None:
        state = await self._session.scalar(select(NoticeRow.state).where(NoticeRow.id == notice_id))
        return SendState(state) if state else None

    async def is_owed(self, user_id: int, key: str) -> bool:
        """Whether a notice with this key is on its way to this person."""
        owed = exists().where(NoticeRow.user_id == user_id, NoticeRow.key == key, NoticeRow.state.not_in(_ENDED))
        return bool(await self._session.scalar(select(owed)))

    async def settled_count(self, prefix: str, older_s: float = 0.0) -> int:
        """How many notices whose dedupe key begins so were settled, at least `older_s` ago: the n of the next press's key."""
        recently = NoticeRow.sent_at > db_now() - older_s if older_s else false()
        rows = await self._session.scalars(
            select(NoticeRow.id).where(
                NoticeRow.dedupe_key.startswith(prefix, autoescape=True),
                NoticeRow.state.in_(_SETTLED),
                or_(NoticeRow.sent_at.is_(None), not_(recently)),
            )
        )
        return len(rows.all())

    async def newest_message(self, prefix: str) -> int | None:
        """The message of the newest notice whose dedupe key begins so and that was sent; None if there is none."""
        sent = NoticeRow.dedupe_key.startswith(prefix, autoescape=True), NoticeRow.message_id.is_not(None)
        message_id = func.coalesce(NoticeRow.edit_message_id, NoticeRow.message_id)
        return await self._session.scalar(select(message_id).where(*sent).order_by(NoticeRow.id.desc()).limit(1))

    async def params(self, public_id: str, user_id: int) -> dict[str, Any] | None:
        """Return the values of a notice to this person; somebody else's are as absent as none."""
        params = await self._session.scalar(
            select(NoticeRow.params).where(NoticeRow.public_id == public_id, NoticeRow.user_id == user_id)
        )
        return json.loads(params) if params else None


class PauseRepository:
    """How long Telegram wants silence, by chat; chat 0 stands for all."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, bot_id: int, seconds: Mapping[int, float]) -> None:
        """Write that these chats rest from now on; a rest that is longer already stays, whoever writes beside us.

        Always in the order of the chats: two who write the same rows must not wait for each other.
        """
        for chat_id, rest_s in sorted(seconds.items()):
            until = db_now() + rest_s
            new = pg_insert(_PAUSE).values(bot_id=bot_id, chat_id=chat_id, until=until)  # type: ignore[arg-type]
            longer = case((_PAUSE.c.until > new.excluded.until, _PAUSE.c.until), else_=new.excluded.until)
            await self._session.execute(
                new.on_conflict_do_update(index_elements=[_PAUSE.c.bot_id, _PAUSE.c.chat_id], set_={"until": longer})
            )

    async def left(self, bot_id: int) -> dict[int, float]:
        """Return the seconds that each resting chat still rests."""
        rest = (PauseRow.until - db_now()).label("rest")
        rows = await self._session.execute(select(PauseRow.chat_id, rest).where(PauseRow.bot_id == bot_id, rest > 0))
        return {row.chat_id: row.rest for row in rows}

    async def forget_older(self, bot_id: int, seconds: float) -> None:
        """Drop rests that ended so long ago."""
        await self._session.execute(delete(PauseRow).where(PauseRow.bot_id == bot_id, PauseRow.until <= db_now() - seconds))


def _open(table: FromClause, state: SendState) -> ColumnElement[bool]:
    """Whether a row may still come into this state: only an end replaces an end."""
    return true() if state in _ENDED else table.c.state.not_in(_ENDED)


def _held(lease: Lease | None) -> list[ColumnElement[bool]]:
    """Whether a lease is its owner's just now; nothing to ask where there is none."""
    if lease is None:
        return []
    name, owner = lease
    return [exists().where(LeaseRow.name == name, LeaseRow.owner == owner, LeaseRow.until > db_now())]


async def _begin(
    session: AsyncSession,
    table: FromClause,
    at: Sequence[ColumnElement[bool]],
    read: Delivery | Notice,
    lease: Lease | None,
) -> bool:
    """Compare and set: whether the row was as it was read, and is being sent now."""
    where = [*at, table.c.state == read.state, table.c.attempt == read.attempt, *_held(lease)]
    now = {"state": SendState.SENDING, "error": _AGAIN if read.state == SendState.UNKNOWN else None}
    begun = await session.execute(update(table).where(*where).values(**now))  # type: ignore[arg-type]
    return bool(begun.rowcount)  # type: ignore[attr-defined]


def _tried(
    state: SendState, message_id: int | None, retry_s: float | None, error: str | None, attempt: InstrumentedAttribute[int]
) -> dict[str, Any]:
    """What one try to send leaves in its row, whichever table that is in."""
    values: dict[str, Any] = {"state": state, "error": error}
    if message_id is not None:
        values["message_id"] = message_id
    if state == SendState.SENT:
        values["sent_at"] = db_now()
    if retry_s is not None:
        values |= {"next_at": db_now() + retry_s, "attempt": attempt + 1}
    return values

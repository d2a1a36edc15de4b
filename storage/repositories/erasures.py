"""Forgetting people: what is kept of one, the wish to have it deleted, and the deletion.

Everything goes that names the person or says what they wrote or drew, the ledger and the audit of their jobs with it. Two
things stay: the receipt, which belongs to nobody, and the number of each update, so that none is handled twice.
"""

import re
from collections.abc import AsyncIterator, Collection
from typing import Any

from sqlalchemy import Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's, too
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import ACTIVE, TERMINAL, Erasure, Holdings, InboxState, User, new_public_id
from storage.post import SendState
from storage.tables import (
    MEDIA_ID_LENGTH,
    AppealRow,
    AuditRow,
    DeliveryRow,
    DialogRow,
    ErasedFileRow,
    ErasureRow,
    InboxRow,
    JobRow,
    LikenessRow,
    NoticeRow,
    PauseRow,
    PictureRow,
    PreviewRow,
    QuotaLedgerRow,
    ReportRow,
    TelegramFileRow,
    UserRow,
)

_MEDIA_ID = re.compile(r"\b[0-9a-f]{64}\.[a-z0-9]{1,8}\b")
_FILES = tuple(column for column in PictureRow.__table__.c if getattr(column.type, "length", None) == MEDIA_ID_LENGTH)
_UNSETTLED = (SendState.PENDING, SendState.SENDING, SendState.UNKNOWN)
_ON_ITS_WAY_S = 600.0  # a message older than this is stuck, and held back nobody for long
_FILES_AT_ONCE = 1000  # rows of one INSERT
_ROWS = 500  # read at once
_FRESH = {"populate_existing": True}


class ErasureRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def holdings(self, user_id: int) -> Holdings:
        """Count what is kept of this person."""
        pictures, jobs, notices = [
            int(await self._session.scalar(select(func.count()).select_from(row).where(row.user_id == user_id)) or 0)
            for row in (PictureRow, JobRow, NoticeRow)
        ]
        return Holdings(pictures, jobs, notices, len(await self._files_of(user_id)))

    async def ask(self, user: User, grace_s: float) -> Erasure:
        """Store this person's wish, or return the one that is stored; hold the person's row while this is called."""
        known = await self.of(user.id)
        if known is not None:
            return known
        now = (await self._session.scalar(select(db_now()))) or 0.0
        row = ErasureRow(
            public_id=new_public_id(), bot_id=user.bot_id, user_id=user.id, asked_at=now, due_at=now + grace_s,
        )  # fmt: skip
        self._session.add(row)
        await self._session.flush()
        return _erasure(row)

    async def of(self, user_id: int) -> Erasure | None:
        """Return this person's wish, if it is not done."""
        row = await self._session.scalar(select(ErasureRow).where(ErasureRow.user_id == user_id), execution_options=_FRESH)
        return _erasure(row) if row else None

    async def find(self, public_id: str, user_id: int) -> Erasure | None:
        """Return what a receipt stands for: a wish of this person's own, or one that is done and so nobody's."""
        mine = or_(ErasureRow.user_id == user_id, ErasureRow.user_id.is_(None))
        row = await self._session.scalar(select(ErasureRow).where(ErasureRow.public_id == public_id, mine))
        if row is None:
            return None
        left = select(func.count()).select_from(ErasedFileRow).where(ErasedFileRow.erasure_id == row.id)
        return _erasure(row, int(await self._session.scalar(left) or 0))

    async def stopped(self, erasure: Erasure, jobs: int) -> None:
        """Count jobs that were cancelled for it."""
        count = update(ErasureRow).where(ErasureRow.id == erasure.id).values(stopped=ErasureRow.stopped + jobs)
        await self._session.execute(count, execution_options={"synchronize_session": False})

    async def take_back(self, user_id: int) -> bool:
        """Drop this person's wish; return whether there was one."""
        gone = await self._session.execute(delete(ErasureRow).where(ErasureRow.user_id == user_id).returning(ErasureRow.id))
        return gone.one_or_none() is not None

    async def due(self, bot_id: int) -> list[Erasure]:
        """Wishes of this bot's people whose time has come, oldest first."""
        open_ = ErasureRow.done_at.is_(None), ErasureRow.due_at <= db_now(), ErasureRow.bot_id == bot_id
        return [_erasure(row) for row in await self._session.scalars(select(ErasureRow).where(*open_).order_by(ErasureRow.id))]

    async def busy(self, user_id: int, quiet_s: float) -> bool:
        """Whether somebody may still write for this person: a job under way or just ended, a message on its way.

        SQLite gives the number of a deleted row to the next one; whoever still held the old would write to the new.
        """
        job = exists().where(
            JobRow.user_id == user_id, or_(JobRow.state.not_in(TERMINAL), JobRow.finished_at > db_now() - quiet_s)
        )
        notice = exists().where(
            NoticeRow.user_id == user_id, NoticeRow.state.in_(_UNSETTLED), NoticeRow.created_at > db_now() - _ON_ITS_WAY_S
        )
        return bool(await self._session.scalar(select(or_(job, notice))))

    async def erase(self, erasure: Erasure, telegram_id: int) -> Holdings:
        """Delete all that is kept of the person behind a wish, and make the wish a receipt; return how much it was.

        Their files go to `erased_file`. Hold the person's row; nobody may be `busy` for them.
        """
        user_id = int(erasure.user_id or 0)
        jobs = select(JobRow.id).where(JobRow.user_id == user_id)
        pictures = select(PictureRow.id).where(PictureRow.user_id == user_id)
        held = await self.holdings(user_id)
        await self.doom_files(await self._files_of(user_id), erasure.id)
        await self._run(delete(ReportRow).where(or_(ReportRow.user_id == user_id, ReportRow.job_id.in_(jobs))))
        await self._run(delete(AppealRow).where(AppealRow.user_id == user_id))
        await self._run(delete(PreviewRow).where(PreviewRow.job_id.in_(jobs)))
        await self._run(delete(TelegramFileRow).where(TelegramFileRow.picture_id.in_(pictures)))
        theirs = NoticeRow.user_id == user_id, NoticeRow.job_id.in_(jobs), NoticeRow.picture_id.in_(pictures)
        await self._run(delete(NoticeRow).where(or_(*theirs)))
        await self._run(delete(DeliveryRow).where(DeliveryRow.job_id.in_(jobs)))
        await self._run(delete(QuotaLedgerRow).where(or_(QuotaLedgerRow.user_id == user_id, QuotaLedgerRow.job_id.in_(jobs))))
        await self._run(delete(AuditRow).where(AuditRow.job_id.in_(jobs)))
        others = PictureRow.user_id != user_id, PictureRow.parent_id.in_(pictures)
        await self._run(update(PictureRow).where(*others).values(parent_id=None))
        started = JobRow.user_id != user_id, JobRow.state.in_(ACTIVE), JobRow.parent_picture_id.in_(pictures)
        await self._run(update(JobRow).where(*started).values(parent_picture_id=None))
        await self._run(delete(LikenessRow).where(LikenessRow.user_id == user_id))
        await self._run(delete(PictureRow).where(PictureRow.user_id == user_id))
        await self._run(delete(JobRow).where(JobRow.user_id == user_id))
        await self._forget_words(erasure.bot_id, telegram_id)
        done = {"user_id": None, "done_at": db_now(), **{name: getattr(held, name) for name in Holdings.__annotations__}}
        await self._run(update(ErasureRow).where(ErasureRow.id == erasure.id).values(**done))
        await self._run(delete(UserRow).where(UserRow.id == user_id))
        return held

    async def forget_farewells(self, key: str, older_s: float) -> None:
        """Drop the last words to people who are forgotten: they name their chats."""
        old = NoticeRow.key == key, NoticeRow.user_id.is_(None), NoticeRow.created_at < db_now() - older_s
        await self._run(delete(NoticeRow).where(*old))

    async def doom_files(self, media_ids: Collection[str], erasure_id: int | None = None) -> None:
        """Have these files removed, where nobody has the same."""
        rows = [{"media_id": media_id, "erasure_id": erasure_id} for media_id in sorted(media_ids)]
        for at in range(0, len(rows), _FILES_AT_ONCE):
            await self._session.execute(
                insert(ErasedFileRow).values(rows[at : at + _FILES_AT_ONCE]).on_conflict_do_nothing(index_elements=["media_id"])
            )

    async def erased_files(self, limit: int) -> list[str]:
        """Media ids of files that are still to be removed."""
        return list(await self._session.scalars(select(ErasedFileRow.media_id).order_by(ErasedFileRow.media_id).limit(limit)))

    async def used(self, media_ids: Collection[str]) -> set[str]:
        """Which of these files somebody still has, as a picture, its small copy, or what a picture was made from."""
        found: set[str] = set()
        for column in _FILES:
            found |= set(await self._session.scalars(select(column).where(column.in_(media_ids)).distinct()))
        params = select(JobRow.params).where(JobRow.kind != "text-to-image")  # that kind names no picture
        async for named in self._named(params):
            found |= named.intersection(media_ids)
        return found

    async def removed(self, media_ids: Collection[str]) -> None:
        """These files are gone, or somebody else's."""
        await self._run(delete(ErasedFileRow).where(ErasedFileRow.media_id.in_(media_ids)))

    async def _files_of(self, user_id: int) -> set[str]:
        """Media ids of everything this person's rows name."""
        found: set[str] = set()
        for row in await self._session.execute(select(*_FILES).where(PictureRow.user_id == user_id)):
            found |= set(filter(None, row))
        for texts in (
            select(JobRow.params).where(JobRow.user_id == user_id),
            select(NoticeRow.params).where(NoticeRow.user_id == user_id),
        ):
            async for named in self._named(texts):
                found |= named
        return found

    async def _named(self, texts: Select[str]) -> AsyncIterator[set[str]]:
        """The media ids in each of many texts, of which few are read at once."""
        async for text in await self._session.stream_scalars(texts.execution_options(yield_per=_ROWS)):
            yield set(_MEDIA_ID.findall(text))

    async def _forget_words(self, bot_id: int, telegram_id: int) -> None:
        """Empty the updates that came from this person or quote them, here and in groups; end their dialogs."""
        own = and_(InboxRow.chat_id == telegram_id, InboxRow.state != InboxState.NEW)
        named = [InboxRow.payload.contains(f'"id": {telegram_id}{end}') for end in (",", "}")]
        of_bot = InboxRow.bot_id == bot_id, InboxRow.state != InboxState.NEW
        await self._run(update(InboxRow).where(*of_bot, or_(own, *named)).values(payload="{}", error=None))
        await self._run(update(InboxRow).where(*of_bot, own).values(chat_id=0))
        dialog = DialogRow.key.startswith(f"dialog:{bot_id}:", autoescape=True)
        theirs = or_(DialogRow.key.contains(f":{telegram_id}:"), DialogRow.key.endswith(f":{telegram_id}"))
        await self._run(delete(DialogRow).where(dialog, theirs))
        await self._run(delete(PauseRow).where(PauseRow.bot_id == bot_id, PauseRow.chat_id == telegram_id))

    async def _run(self, statement: Any) -> None:
        await self._session.execute(statement, execution_options={"synchronize_session": False})


def _erasure(row: ErasureRow, files_left: int = 0) -> Erasure:
    return Erasure(
        row.id, row.public_id, row.bot_id, row.user_id, row.stopped, row.asked_at, row.due_at, row.done_at,
        Holdings(row.pictures, row.jobs, row.notices, row.files), files_left,
    )  # fmt: skip

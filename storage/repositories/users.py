"""People, and what they may still draw."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import String, bindparam, case, cast, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's, too
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import User, UserSettings, change_settings
from storage.tables import NoticeRow, QuotaLedgerRow, UserRow

# Made once, with names for what changes: building a statement costs as much as running it.
_USER = UserRow.__table__.c
_FIND = select(*_USER).where(_USER.bot_id == bindparam("bot_id"), _USER.telegram_id == bindparam("telegram_id"))
_MEET = insert(UserRow.__table__).values(created_at=db_now())  # type: ignore[arg-type]
_ENSURE = _MEET.on_conflict_do_update(
    index_elements=[_USER.bot_id, _USER.telegram_id], set_={"language": _MEET.excluded.language, "blocked_at": None}
).returning(*_USER)
_LOCK = select(_USER.id).where(_USER.id == bindparam("user_id")).with_for_update()


class UserRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def ensure(self, bot_id: int, telegram_id: int, language: str) -> User:
        """Return the person, stored on first sight; a changed client language is taken over.

        For a known person nothing is written, so this may stand alone; else it is two statements, each whole by itself.
        """
        values = {"bot_id": bot_id, "telegram_id": telegram_id}
        known = (await self._session.execute(_FIND, values)).one_or_none()
        if known is None or known.language != language or known.blocked_at is not None:  # who writes has not blocked the bot
            known = (await self._session.execute(_ENSURE, {**values, "language": language})).one()
        return UserRow(**known._mapping).to_user()

    async def find(self, bot_id: int, telegram_id: int) -> User | None:
        found = (await self._session.execute(_FIND, {"bot_id": bot_id, "telegram_id": telegram_id})).one_or_none()
        return UserRow(**found._mapping).to_user() if found else None

    async def get(self, user_id: int) -> User:
        row = await self._session.get_one(UserRow, user_id, populate_existing=True)
        return row.to_user()

    async def languages(self, user_ids: Collection[int]) -> dict[int, str]:
        """Return the language of each of these people: the one they chose, or else that of their Telegram."""
        rows = await self._session.scalars(select(UserRow).where(UserRow.id.in_(user_ids)))
        return {row.id: row.to_user().language for row in rows}

    async def settings(self, user_id: int) -> UserSettings:
        stored = await self._session.scalar(select(UserRow.settings).where(UserRow.id == user_id))
        return UserSettings.from_json(stored or "{}")

    async def not_owed(self, bot_id: int, stem: str, end: str) -> list[tuple[int, int]]:
        """Who chose a language and was never owed the notice `{stem}:{person}:{end}`: their ids, here and in Telegram."""
        key = literal(f"{stem}:") + cast(UserRow.id, String) + literal(f":{end}")
        rows = await self._session.execute(
            select(UserRow.id, UserRow.telegram_id).where(
                UserRow.bot_id == bot_id,
                UserRow.settings.contains('"language":"'),
                UserRow.blocked_at.is_(None),
                ~exists().where(NoticeRow.dedupe_key == key),
            )
        )
        return [(row.id, row.telegram_id) for row in rows]

    async def change_settings(self, user_id: int, changes: Mapping[str, Any]) -> UserSettings:
        """Store choices of this person's; None forgets one. Raises: ValueError for a value that is none."""
        row = await self._session.get_one(UserRow, user_id, with_for_update=True)
        row.settings = change_settings(row.settings, changes)
        await self._session.flush()
        return UserSettings.from_json(row.settings)

    async def lock(self, user_id: int) -> None:
        """Hold this person's row until the transaction ends, so that two presses are counted one after the other."""
        await self._session.execute(_LOCK, {"user_id": user_id})

    async def mark_blocked(self, user_id: int) -> None:
        await self._session.execute(update(UserRow).where(UserRow.id == user_id).values(blocked_at=db_now()))

    async def spent_since(self, user_id: int, seconds: float) -> int:
        """Pictures reserved within the last `seconds` and not returned since."""
        entry, amount = QuotaLedgerRow.entry, QuotaLedgerRow.amount
        mine = QuotaLedgerRow.user_id == user_id
        lately = select(QuotaLedgerRow.job_id).where(mine, entry == "reserve", QuotaLedgerRow.at > db_now() - seconds)
        kept = func.sum(case((entry == "refund", -amount), else_=amount))
        total = await self._session.scalar(
            select(func.coalesce(kept, 0)).where(mine, entry != "commit", QuotaLedgerRow.job_id.in_(lately))
        )
        return int(total or 0)

"""People, and what they may still draw."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import User, UserSettings, change_settings
from storage.tables import QuotaLedgerRow, UserRow


class UserRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def ensure(self, bot_id: int, telegram_id: int, language: str) -> User:
        """Return the person, stored on first sight; a changed client language is taken over."""
        row = await self._session.scalar(select(UserRow).where(UserRow.bot_id == bot_id, UserRow.telegram_id == telegram_id))
        if row is None:
            now = (await self._session.scalar(select(db_now()))) or 0.0
            row = UserRow(bot_id=bot_id, telegram_id=telegram_id, language=language, created_at=now)
            self._session.add(row)
        row.language = language
        row.blocked_at = None  # somebody who writes has not blocked the bot
        await self._session.flush()
        return row.to_user()

    async def find(self, bot_id: int, telegram_id: int) -> User | None:
        row = await self._session.scalar(select(UserRow).where(UserRow.bot_id == bot_id, UserRow.telegram_id == telegram_id))
        return row.to_user() if row else None

    async def languages(self, user_ids: Collection[int]) -> dict[int, str]:
        """Return the language of each of these people: the one they chose, or else that of their Telegram."""
        rows = await self._session.scalars(select(UserRow).where(UserRow.id.in_(user_ids)))
        return {row.id: row.to_user().language for row in rows}

    async def settings(self, user_id: int) -> UserSettings:
        stored = await self._session.scalar(select(UserRow.settings).where(UserRow.id == user_id))
        return UserSettings.from_json(stored or "{}")

    async def change_settings(self, user_id: int, changes: Mapping[str, Any]) -> UserSettings:
        """Store choices of this person's; None forgets one. Raises: ValueError for a value that is none."""
        row = await self._session.get_one(UserRow, user_id, with_for_update=True)
        row.settings = change_settings(row.settings, changes)
        await self._session.flush()
        return UserSettings.from_json(row.settings)

    async def lock(self, user_id: int) -> None:
        """Hold this person's row until the transaction ends, so that two presses are counted one after the other."""
        await self._session.execute(select(UserRow.id).where(UserRow.id == user_id).with_for_update())

    async def mark_blocked(self, user_id: int) -> None:
        await self._session.execute(update(UserRow).where(UserRow.id == user_id).values(blocked_at=db_now()))

    async def spent_since(self, user_id: int, seconds: float) -> int:
        """Pictures reserved within the last `seconds` and not returned since."""
        returned = select(QuotaLedgerRow.job_id).where(QuotaLedgerRow.user_id == user_id, QuotaLedgerRow.entry == "refund")
        total = await self._session.scalar(
            select(func.coalesce(func.sum(QuotaLedgerRow.amount), 0)).where(
                QuotaLedgerRow.user_id == user_id,
                QuotaLedgerRow.entry == "reserve",
                QuotaLedgerRow.at > db_now() - seconds,
                QuotaLedgerRow.job_id.not_in(returned),
            )
        )
        return int(total or 0)

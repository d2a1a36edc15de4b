"""What the bot was asking somebody, until they answer or the time is over."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.tables import DialogRow


class DialogRepository:
    """A dialog's key names bot, chat and person."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, key: str) -> tuple[str | None, str] | None:
        """Return state and data of a dialog that has not expired."""
        row = await self._session.scalar(select(DialogRow).where(DialogRow.key == key, DialogRow.expires_at > db_now()))
        return (row.state, row.data) if row else None

    async def put(self, key: str, state: str | None, data: str, ttl_s: float) -> None:
        now = (await self._session.scalar(select(db_now()))) or 0.0
        await self._session.merge(DialogRow(key=key, state=state, data=data, expires_at=now + ttl_s))

    async def opened_within(self, key: str, state: str | None, data: str, ttl_s: float, seconds: float) -> bool:
        """Whether this very dialog, which lasts `ttl_s`, was opened at most so long ago."""
        same = DialogRow.key == key, DialogRow.state == state, DialogRow.data == data
        recent = DialogRow.expires_at > db_now() + (ttl_s - seconds)
        return await self._session.scalar(select(DialogRow.key).where(*same, recent)) is not None

    async def drop(self, key: str) -> None:
        await self._session.execute(delete(DialogRow).where(DialogRow.key == key))

    async def open_keys(self, prefix: str) -> set[str]:
        """Return the keys with this beginning of all dialogs that have not expired."""
        own = DialogRow.key.startswith(prefix, autoescape=True)
        return set(await self._session.scalars(select(DialogRow.key).where(own, DialogRow.expires_at > db_now())))

    async def forget_expired(self) -> None:
        await self._session.execute(delete(DialogRow).where(DialogRow.expires_at <= db_now()))

"""What people say of pictures that are not as they should be, and of those that a judge withheld."""

from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's, too
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.tables import AppealRow, ReportRow


class ReportRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, user_id: int, job_id: int, picture: int, reason: str) -> bool:
        """Keep a report about picture `picture` of a job (0: all of it); False if this person has made one."""
        new = insert(ReportRow).values(user_id=user_id, job_id=job_id, picture=picture, reason=reason, at=db_now())
        added = await self._session.execute(
            new.on_conflict_do_nothing(index_elements=["job_id", "picture", "user_id"]).returning(ReportRow.id)
        )
        return added.one_or_none() is not None

    async def appeal(self, user_id: int, job_id: int) -> bool:
        """Keep that this person thinks the judge was wrong about a job of theirs; False if they have said so."""
        new = insert(AppealRow).values(user_id=user_id, job_id=job_id, at=db_now())
        added = await self._session.execute(new.on_conflict_do_nothing(index_elements=["job_id"]).returning(AppealRow.id))
        return added.one_or_none() is not None

"""What a person has drawn, newest first. Other people's pictures are as absent as none."""

from itertools import groupby
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.domain import FAVOURITE, UPLOAD, Kept
from storage.tables import JobRow, PictureRow


def searchable(text: str) -> str:
    """Bring words to the form in which a search compares them, in any alphabet: SQLite's own LIKE folds A to Z alone."""
    return text.casefold().replace("ё", "е")


class HistoryRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def count(self, user_id: int, find: str = "") -> int:
        """How many pictures of this person's there are, or are of a prompt with all words of `find`."""
        count = await self._session.scalar(select(func.count()).select_from(PictureRow).where(*_mine(user_id, find)))
        return int(count or 0)

    async def page(self, user_id: int, number: int, size: int, find: str = "") -> list[Kept]:
        """Return page `number` (from 1) of the newest first, but a job's own in their order; only the index is walked."""
        ids = select(PictureRow.id).where(*_mine(user_id, find)).order_by(PictureRow.id.desc())
        wanted = (await self._session.scalars(ids.offset((number - 1) * size).limit(size))).all()
        rows = await self._session.execute(
            select(PictureRow, JobRow.public_id)
            .outerjoin(JobRow, JobRow.id == PictureRow.job_id)
            .where(PictureRow.id.in_(wanted))
            .order_by(PictureRow.id.desc())
        )
        found = [Kept(row.to_picture(), job, row.thumbnail_id) for row, job in rows]
        sets = [list(each) for _, each in groupby(found, lambda kept: kept.job or kept.picture.id)]
        return [kept for each in sets for kept in reversed(each)]


def _mine(user_id: int, find: str) -> list[Any]:
    said = searchable(find).split()
    terms = [PictureRow.words.contains(word, autoescape=True) for word in said if word != FAVOURITE]
    stars = [PictureRow.favourite.is_(True)] if FAVOURITE in said else []
    return [PictureRow.user_id == user_id, PictureRow.operation != UPLOAD, *stars, *terms]

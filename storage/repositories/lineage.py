"""What came of what: a picture's parent, its children, and the whole family that it belongs to, all of one person."""

from dataclasses import dataclass

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from storage.domain import Kept, Picture
from storage.tables import JobRow, PictureRow

_MOST = 2000  # pictures of one family that are looked through


@dataclass(frozen=True)
class Kin:
    """The nearest of a picture. orphan: what it was made from is gone.  children: the first of `count`."""

    parent: Picture | None
    orphan: bool
    children: tuple[Picture, ...]
    count: int


@dataclass(frozen=True)
class Family:
    """Some of a family's pictures, parents before children. orphan: what the first was made from is gone.  count: of them all."""

    members: tuple[Kept, ...]
    orphan: bool
    count: int


class LineageRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def kin(self, picture: Picture, limit: int) -> Kin:
        """A picture's parent, and its first `limit` children."""
        born = PictureRow.parent_id == picture.id, PictureRow.user_id == picture.user_id
        rows = await self._session.scalars(select(PictureRow).where(*born).order_by(PictureRow.id).limit(limit))
        count = await self._session.scalar(select(func.count()).select_from(PictureRow).where(*born))
        children = tuple(row.to_picture() for row in rows)
        parent = await self.parent(picture)
        return Kin(parent, parent is None and await self._is_orphan(picture), children, int(count or 0))

    async def parent(self, picture: Picture) -> Picture | None:
        """What a picture was made from; None if nothing, or if it is gone."""
        if picture.parent_id is None:
            return None
        row = await self._session.get(PictureRow, picture.parent_id)
        return row.to_picture() if row and row.user_id == picture.user_id else None

    async def family(self, picture: Picture, limit: int) -> Family:
        """A picture's whole family; of a large one its ancestors first, then those who are nearest to the oldest shown."""
        line = await self._ancestors(picture)
        members = await self._descendants(line[0])
        shown = list(members)
        if len(members) > limit:
            line = line[-(limit // 3) :]
            shown = _nearest(await self._descendants(line[0]), line, limit)
        rows = await self._session.execute(
            select(PictureRow, JobRow.public_id)
            .outerjoin(JobRow, JobRow.id == PictureRow.job_id)
            .where(PictureRow.id.in_(shown))
            .order_by(PictureRow.id)
        )
        kept = tuple(Kept(row.to_picture(), job, row.thumbnail_id) for row, job in rows)
        orphan = kept[0].picture.parent_id is None and await self._is_orphan(kept[0].picture)
        return Family(kept, orphan, len(members))

    async def newest(self, user_id: int) -> Picture | None:
        """This person's newest picture; None before the first."""
        row = await self._session.scalar(
            select(PictureRow).where(PictureRow.user_id == user_id).order_by(PictureRow.id.desc()).limit(1)
        )
        return row.to_picture() if row else None

    async def _is_orphan(self, picture: Picture) -> bool:
        """Whether a picture without a parent was made from one: its job remembers."""
        started = exists().where(JobRow.id == picture.job_id, JobRow.parent_picture_id.is_not(None))
        return bool(await self._session.scalar(select(started)))

    async def _ancestors(self, picture: Picture) -> list[int]:
        """The keys of a picture's ancestors, the oldest first, and its own."""
        line = select(PictureRow.id, PictureRow.parent_id).where(PictureRow.id == picture.id).cte("line", recursive=True)
        older = aliased(PictureRow)
        line = line.union_all(
            select(older.id, older.parent_id).where(older.id == line.c.parent_id, older.user_id == picture.user_id)
        )
        return sorted((await self._session.scalars(select(line.c.id))).all())  # a child is younger than its parent

    async def _descendants(self, root: int) -> dict[int, int | None]:
        """The parents of all that came of a picture, by key, the picture itself first; no more than _MOST."""
        born = select(PictureRow.id, PictureRow.parent_id, PictureRow.user_id).where(PictureRow.id == root)
        family = born.cte("family", recursive=True)
        child = aliased(PictureRow)
        family = family.union_all(
            select(child.id, child.parent_id, child.user_id).where(
                child.parent_id == family.c.id, child.user_id == family.c.user_id
            )
        )
        rows = await self._session.execute(select(family.c.id, family.c.parent_id).order_by(family.c.id).limit(_MOST))
        return {row.id: row.parent_id for row in rows}


def _nearest(members: dict[int, int | None], line: list[int], limit: int) -> list[int]:
    """The line of ancestors, and of the others those with the fewest steps from the oldest."""
    steps: dict[int, int] = {}
    for key, parent in members.items():  # parents first
        steps[key] = steps.get(parent or 0, -1) + 1
    shown = list(line)
    for key in sorted(members, key=lambda key: (steps[key], key)):
        if key not in line and len(shown) < limit and (members[key] in shown):
            shown.append(key)
    return shown

"""What a person gets when they ask for all that is theirs: pictures with their lineage, and what was asked for."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from storage.tables import AppealRow, JobRow, PictureRow, ReportRow, UserRow


@dataclass(frozen=True)
class OwnPicture:
    """A picture with the public ids of its job and of the picture it was made from. Times are seconds since 1970."""

    id: int
    public_id: str
    name: str
    media_id: str
    job: str | None
    job_id: int | None
    ordinal: int
    parent: str | None
    operation: str
    seed: int
    width: int
    height: int
    favourite: bool
    caption: str | None
    created_at: float


class ExportRepository:
    """Every question is about one person; `until` is the newest picture that belongs to the export."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def newest_picture(self, user_id: int) -> int:
        """The number of this person's newest picture; 0 if there is none."""
        newest = select(PictureRow.id).where(PictureRow.user_id == user_id).order_by(PictureRow.id.desc()).limit(1)
        return int(await self._session.scalar(newest) or 0)

    async def pictures(self, user_id: int, after: int, until: int, limit: int) -> list[OwnPicture]:
        """This person's next pictures in the order in which they were made."""
        parent = aliased(PictureRow)
        rows = await self._session.execute(
            select(PictureRow, JobRow.public_id, parent.public_id)
            .outerjoin(JobRow, JobRow.id == PictureRow.job_id)
            .outerjoin(parent, (parent.id == PictureRow.parent_id) & (parent.user_id == user_id))
            .where(PictureRow.user_id == user_id, PictureRow.id > after, PictureRow.id <= until)
            .order_by(PictureRow.id)
            .limit(limit)
        )
        return [
            OwnPicture(
                row.id, row.public_id, row.name or "", row.media_id, job, row.job_id, row.ordinal, made_from, row.operation,
                row.seed, row.width, row.height, row.favourite, row.caption, row.created_at,
            )
            for row, job, made_from in rows
        ]  # fmt: skip

    async def jobs(self, user_id: int, job_ids: Collection[int]) -> list[dict[str, Any]]:
        """What these jobs of this person's asked for, and what became of them."""
        return await self._jobs(JobRow.user_id == user_id, JobRow.id.in_(job_ids))

    async def jobs_without_pictures(self, user_id: int) -> list[dict[str, Any]]:
        """The same of all jobs of this person's that brought none."""
        return await self._jobs(JobRow.user_id == user_id, ~exists().where(PictureRow.job_id == JobRow.id))

    async def person(self, user_id: int) -> dict[str, Any]:
        """What is known of the person beside that."""
        row = await self._session.get_one(UserRow, user_id)
        reports = await self._session.execute(
            select(JobRow.public_id, ReportRow.picture, ReportRow.reason, ReportRow.at)
            .join(JobRow, JobRow.id == ReportRow.job_id)
            .where(ReportRow.user_id == user_id)
            .order_by(ReportRow.id)
        )
        appeals = await self._session.execute(
            select(JobRow.public_id, AppealRow.at)
            .join(JobRow, JobRow.id == AppealRow.job_id)
            .where(AppealRow.user_id == user_id)
            .order_by(AppealRow.id)
        )
        return {
            "telegram_id": row.telegram_id,
            "bot_id": row.bot_id,
            "language": row.language,
            "settings": row.settings,
            "first_seen": row.created_at,
            "reports": [{"recipe": job, "picture": picture, "reason": reason, "at": at} for job, picture, reason, at in reports],
            "appeals": [{"recipe": job, "at": at} for job, at in appeals],
        }

    async def _jobs(self, *where: Any) -> list[dict[str, Any]]:
        parent = aliased(PictureRow)
        rows = await self._session.execute(
            select(JobRow, parent.public_id)
            .outerjoin(parent, (parent.id == JobRow.parent_picture_id) & (parent.user_id == JobRow.user_id))
            .where(*where)
            .order_by(JobRow.id)
        )
        return [
            {
                "id": row.public_id,
                "request": row.params,
                "wording": row.wording,
                "family": row.family,
                "engine_revision": row.engine_revision,
                "seed": row.seed,
                "from_picture": made_from,
                "state": row.state,
                "asked_at": row.created_at,
                "finished_at": row.finished_at,
                "withheld": json.loads(row.withheld) if row.withheld else [],
            }
            for row, made_from in rows
        ]

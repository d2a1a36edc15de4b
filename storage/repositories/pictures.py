"""Stored pictures and the `file_id`s by which a bot may send them again."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import Job, NewPicture, Picture, new_public_id
from storage.repositories.history import searchable
from storage.tables import PictureRow, TelegramFileRow


class PictureRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_results(self, job: Job, pictures: Sequence[NewPicture]) -> None:
        """Store what a job drew; the parent is the picture that the job started from."""
        now = (await self._session.scalar(select(db_now()))) or 0.0
        words = searchable(str(json.loads(job.params).get("prompt", "")))
        for new in pictures:
            self._session.add(
                PictureRow(
                    public_id=new_public_id(), user_id=job.user_id, job_id=job.id, ordinal=new.ordinal,
                    media_id=new.media_id, seed=new.seed, width=new.width, height=new.height,
                    parent_id=job.parent_picture_id, operation=job.kind, words=words, created_at=now,
                )
            )  # fmt: skip
        await self._session.flush()

    async def of_job(self, job_id: int) -> list[Picture]:
        rows = await self._session.scalars(select(PictureRow).where(PictureRow.job_id == job_id).order_by(PictureRow.ordinal))
        return [row.to_picture() for row in rows]

    async def remember_thumbnails(self, user_id: int, made: Mapping[int, str]) -> None:
        """Keep the small copies (media ids by picture) of this person's pictures."""
        for picture_id, media_id in made.items():
            await self._session.execute(
                update(PictureRow).where(PictureRow.id == picture_id, PictureRow.user_id == user_id).values(thumbnail_id=media_id)
            )

    async def file_id(self, picture_id: int, bot_id: int, form: str) -> str | None:
        row = await self._session.get(TelegramFileRow, (picture_id, bot_id, form))
        return row.file_id if row else None

    async def remember_file(self, picture_id: int, bot_id: int, form: str, file_id: str, file_unique_id: str) -> None:
        await self._session.merge(
            TelegramFileRow(picture_id=picture_id, bot_id=bot_id, form=form, file_id=file_id, file_unique_id=file_unique_id)
        )

"""Stored pictures and the `file_id`s by which a bot may send them again."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import UPLOAD, Job, NewPicture, NewUpload, Picture, new_public_id
from storage.errors import NotFound
from storage.names import LONGEST, SHORTEST, free_name, whole_name
from storage.repositories.history import searchable
from storage.repositories.likenesses import LikenessRepository
from storage.tables import DeliveryRow, JobRow, NoticeRow, PictureRow, TelegramFileRow


class PictureRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_results(self, job: Job, pictures: Sequence[NewPicture]) -> None:
        """Store what a job drew; the parent is the picture that the job started from."""
        now = (await self._session.scalar(select(db_now()))) or 0.0
        said = job.wording.said if job.wording else ""
        words = searchable(f"{json.loads(job.params).get('prompt', '')} {said}".strip())
        ids = [new_public_id() for _ in pictures]
        names = await self._free_names(job.user_id, ids)
        rows = [
            PictureRow(
                public_id=public_id, name=name, user_id=job.user_id, job_id=job.id, ordinal=new.ordinal,
                media_id=new.media_id, seed=new.seed, width=new.width, height=new.height,
                parent_id=job.parent_picture_id, operation=job.kind, words=words, created_at=now,
            )
            for new, public_id, name in zip(pictures, ids, names, strict=True)
        ]  # fmt: skip
        self._session.add_all(rows)
        await self._session.flush()
        for row, new in zip(rows, pictures, strict=True):
            if new.likeness is not None:
                await LikenessRepository(self._session).add(row.to_picture(), new.likeness)

    async def add_upload(self, new: NewUpload) -> Picture:
        """Store a picture that a person sent; the same message brings it once."""
        at = PictureRow.chat_id == new.chat_id, PictureRow.message_id == new.message_id, PictureRow.user_id == new.user_id
        row = await self._session.scalar(select(PictureRow).where(*at))
        if row is None:
            now = (await self._session.scalar(select(db_now()))) or 0.0
            public_id = new_public_id()
            (name,) = await self._free_names(new.user_id, [public_id])
            row = PictureRow(
                public_id=public_id, name=name, user_id=new.user_id, job_id=None, ordinal=0, media_id=new.media_id, seed=0,
                width=new.width, height=new.height, parent_id=None, operation=UPLOAD, words=searchable(new.caption or ""),
                chat_id=new.chat_id, message_id=new.message_id, album=new.album, caption=new.caption, created_at=now,
            )  # fmt: skip
            self._session.add(row)
            await self._session.flush()
            if new.likeness is not None:
                await LikenessRepository(self._session).add(row.to_picture(), new.likeness)
        return row.to_picture()

    async def _free_names(self, user_id: int, public_ids: Sequence[str]) -> list[str]:
        """Names for new pictures. Two jobs that end in one moment may take the same: the newer picture then answers to it."""
        whole = [whole_name(public_id) for public_id in public_ids]
        possible = [each[:length] for each in whole for length in range(SHORTEST, LONGEST + 1)]
        query = select(PictureRow.name).where(PictureRow.user_id == user_id, PictureRow.name.in_(possible))
        taken = {str(name) for name in await self._session.scalars(query)}
        names: list[str] = []
        for public_id in public_ids:
            names.append(free_name(public_id, taken.union(names)))
        return names

    async def named(self, name: str, user_id: int) -> Picture:
        """Return this person's picture of that name. Raises: NotFound; somebody else's is as absent as none."""
        where = PictureRow.user_id == user_id, PictureRow.name == name
        row = await self._session.scalar(select(PictureRow).where(*where).order_by(PictureRow.id.desc()).limit(1))
        if row is None:
            raise NotFound(f"picture {name}")
        return row.to_picture()

    async def set_favourite(self, picture: Picture, favourite: bool) -> None:
        """Put a picture among its person's favourites, or take it out."""
        await self._session.execute(update(PictureRow).where(PictureRow.id == picture.id).values(favourite=favourite))

    async def get(self, picture_id: int) -> Picture | None:
        row = await self._session.get(PictureRow, picture_id)
        return row.to_picture() if row else None

    async def owned(self, public_id: str, user_id: int) -> Picture:
        """Return this person's picture. Raises: NotFound; somebody else's is as absent as none."""
        row = await self._session.scalar(
            select(PictureRow).where(PictureRow.public_id == public_id, PictureRow.user_id == user_id)
        )
        if row is None:
            raise NotFound(f"picture {public_id}")
        return row.to_picture()

    async def owned_of(self, public_ids: Sequence[str], user_id: int) -> list[Picture]:
        """Return those of these pictures that are this person's, in the order asked for."""
        where = PictureRow.public_id.in_(public_ids), PictureRow.user_id == user_id
        found = {row.public_id: row.to_picture() for row in await self._session.scalars(select(PictureRow).where(*where))}
        return [found[public_id] for public_id in public_ids if public_id in found]

    async def of_album(self, user_id: int, album: str) -> list[Picture]:
        """This person's pictures of one album, in the order in which they were sent."""
        where = PictureRow.user_id == user_id, PictureRow.album == album
        rows = await self._session.scalars(select(PictureRow).where(*where).order_by(PictureRow.message_id))
        return [row.to_picture() for row in rows]

    async def under(self, user_id: int, chat_id: int, message_id: int) -> list[Picture]:
        """This person's pictures that a message shows, brought or is about: all of the job whose result it is, or one."""
        sent = PictureRow.chat_id == chat_id, PictureRow.message_id == message_id
        shown = select(JobRow.id).where(JobRow.chat_id == chat_id, JobRow.status_message_id == message_id)
        delivered = select(DeliveryRow.job_id).join(JobRow, JobRow.id == DeliveryRow.job_id)
        delivered = delivered.where(JobRow.chat_id == chat_id, DeliveryRow.message_id == message_id)
        here = and_(*sent) | PictureRow.job_id.in_(shown) | PictureRow.job_id.in_(delivered)
        own = NoticeRow.user_id == user_id, NoticeRow.chat_id == chat_id, NoticeRow.message_id == message_id
        about = (await self._session.execute(select(NoticeRow.params, NoticeRow.job_id).where(*own))).first()
        params = json.loads(about.params) if about else {}
        if named := params.get("picture"):
            here |= PictureRow.public_id == str(named)
        elif about and about.job_id is not None and params.get("index"):  # a card, in a message of its own
            here |= and_(PictureRow.job_id == about.job_id, PictureRow.ordinal == int(params["index"]) - 1)
        rows = await self._session.scalars(
            select(PictureRow).where(PictureRow.user_id == user_id, here).order_by(PictureRow.job_id, PictureRow.ordinal)
        )
        return [row.to_picture() for row in rows]

    async def of_job(self, job_id: int) -> list[Picture]:
        rows = await self._session.scalars(select(PictureRow).where(PictureRow.job_id == job_id).order_by(PictureRow.ordinal))
        return [row.to_picture() for row in rows]

    async def remember_thumbnails(self, user_id: int, made: Mapping[int, str]) -> None:
        """Keep the small copies (media ids by picture) of this person's pictures."""
        for picture_id, media_id in made.items():
            await self._session.execute(
                update(PictureRow).where(PictureRow.id == picture_id, PictureRow.user_id == user_id).values(thumbnail_id=media_id)
            )

    async def remember_mask(self, picture_id: int, media_id: str) -> None:
        """Keep what was marked on a picture, for this try and the next."""
        await self._session.execute(update(PictureRow).where(PictureRow.id == picture_id).values(mask_id=media_id))

    async def file_id(self, picture_id: int, bot_id: int, form: str) -> str | None:
        row = await self._session.get(TelegramFileRow, (picture_id, bot_id, form))
        return row.file_id if row else None

    async def remember_file(self, picture_id: int, bot_id: int, form: str, file_id: str, file_unique_id: str) -> None:
        await self._session.merge(
            TelegramFileRow(picture_id=picture_id, bot_id=bot_id, form=form, file_id=file_id, file_unique_id=file_unique_id)
        )

"""Pictures that people send, taken in: fetched, decoded elsewhere, kept; and found again, each for its own person."""

import asyncio
import io
from collections.abc import Callable

from PIL import Image

from bot.arrivals import Arrivals
from bot.likeness import likeness
from handlers.ports import Actor, SentFile
from storage.database import Database
from storage.domain import Job, Likeness, NewUpload, Picture, Refused, User
from storage.errors import BadUpload
from storage.post import NewNotice
from storage.repositories.inbox import InboxRepository
from storage.repositories.outgoing import NoticeRepository
from storage.repositories.pictures import PictureRepository
from storage.uploads import Upload, Uploads

_MB = 1024**2
_ALBUM_S = 1.0  # after a picture of an album, until the whole of it is answered: the others come as messages of their own


class Photos:
    """What handlers may ask for about pictures that are there already."""

    def __init__(self, database: Database, arrivals: Arrivals, uploads: Uploads, wake: Callable[[], None]) -> None:
        self._db, self._arrivals, self._uploads, self._wake = database, arrivals, uploads, wake

    async def take(self, actor: Actor, file: SentFile) -> Picture:
        """Keep a picture that came with this update; the same message brings it once.

        Raises: Refused with the reason; TelegramAway, MediaAway for what the next try may find well.
        """
        try:
            async with self._arrivals.plain(actor.inbox_id, file) as plain:
                upload = await self._uploads.keep(plain)
        except BadUpload as error:
            raise refusal(error) from error
        new = NewUpload(
            actor.user.id, actor.chat_id, actor.message_id or 0, upload.media_id, upload.width, upload.height,
            album=file.album, caption=file.caption, likeness=await asyncio.to_thread(_likeness, upload),
        )  # fmt: skip
        async with self._db.begin() as session:
            return await PictureRepository(session).add_upload(new)

    async def find(self, user: User, public_id: str) -> Picture:
        async with self._db.read() as session:
            return await PictureRepository(session).owned(public_id, user.id)

    async def album(self, user: User, album: str) -> list[Picture]:
        async with self._db.read() as session:
            return await PictureRepository(session).of_album(user.id, album)

    async def shown(self, actor: Actor, message_id: int) -> list[Picture]:
        async with self._db.read() as session:
            return await PictureRepository(session).under(actor.user.id, actor.chat_id, message_id)

    async def parent(self, job: Job) -> Picture | None:
        if job.parent_picture_id is None:
            return None
        async with self._db.read() as session:
            return await PictureRepository(session).get(job.parent_picture_id)

    async def offer_album(self, actor: Actor, album: str) -> None:
        """Owe one answer to an album, and put it off with each of its pictures; one that comes after the answer changes it."""
        stem = f"album:{actor.user.bot_id}:{actor.chat_id}:{album}:"
        async with self._db.begin() as session:
            notices = NoticeRepository(session)
            answer = await notices.newest_message(stem)
            notice = NewNotice(
                bot_id=actor.user.bot_id,
                chat_id=actor.chat_id,
                user_id=actor.user.id,
                key="mix.offer",
                params={"album": album},
                dedupe_key=f"{stem}{await notices.settled_count(stem)}",
                edit_message_id=answer,
                reply_to_message_id=None if answer else actor.message_id,
            )
            await notices.add(notice)
            await notices.put_off(notice.dedupe_key, _ALBUM_S)
            await InboxRepository(session).done(actor.inbox_id)
        self._wake()


def _likeness(upload: Upload) -> Likeness:
    """How an upload looks: of the shape that it has itself, which its small copy has but roughly."""
    with Image.open(io.BytesIO(upload.small), formats=["PNG"]) as small:
        return likeness(small, (upload.width, upload.height))


def refusal(error: BadUpload) -> Refused:
    """Why a file is not taken, as a person is told, with numbers in the units that people use."""
    return Refused(f"upload.{error.reason}", **_told(error))


def _told(error: BadUpload) -> dict[str, object]:
    limit, value = error.values.get("limit", 0), error.values.get("value", 0)
    if error.reason == "too-heavy":
        return {"limit": int(limit) // _MB, "value": -(-int(value) // _MB)}
    if error.reason == "too-many-pixels":
        width, _, height = str(value).partition("x")
        return {"limit": int(limit) // 10**6, "value": -(-int(width) * int(height) // 10**6)}
    return {"limit": limit, "value": str(value).replace("x", "×")}

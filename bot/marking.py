"""Masks of pictures: read from what a person sent, changed by buttons, kept with their picture, and shown over it."""

import asyncio
import io
from collections.abc import Callable

import numpy as np
from aiogram.fsm.storage.base import StorageKey
from PIL import Image

from bot.arrivals import Arrivals
from bot.dialogs import Dialogs
from bot.masks import algebra
from bot.masks.files import file_mask, looks_like_mask
from bot.masks.overlay import overlay
from bot.masks.pencil import LEAST, MOST, pencil_mask
from bot.miniapp import EditorPicture
from bot.photos import refusal
from bot.presentation import as_photo
from engine.marked import Mask
from handlers.inpaint import Repaint
from handlers.ports import Actor, SentFile, TakenMask
from storage.database import Database
from storage.domain import Picture, Refused, User
from storage.errors import BadUpload, NotFound
from storage.media import MediaStore
from storage.post import NewNotice
from storage.repositories.outgoing import NoticeRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.users import UserRepository
from storage.uploads import Plain

_HALF = 128
_SHOWN = 1280  # pixels
_CHANGES: dict[str, Callable[[Mask], Mask]] = {"grow": algebra.grow, "shrink": algebra.shrink, "invert": algebra.invert}


class Marks:
    """The last mask of each picture."""

    def __init__(self, database: Database, media: MediaStore) -> None:
        self._db, self._media = database, media

    async def change(self, picture: Picture, mask: str, change: str) -> str:
        """Grow, shrink or invert a mask of a picture (a media id); returns the new one's media id.

        It names the mask that the person looked at, so that a press which is handled twice changes it once.
        Raises: Refused when nothing, or everything, would be left marked.
        """
        before = await asyncio.to_thread(self._mask, mask)
        return await self.keep(picture, await asyncio.to_thread(_CHANGES[change], before))

    async def keep(self, picture: Picture, mask: Mask) -> str:
        """Keep a mask with its picture; returns its media id. Raises: Refused for one that marks nothing, or everything."""
        share = await asyncio.to_thread(algebra.share, mask)
        if share < LEAST:
            raise Refused("refused.mask-empty")
        if share > MOST:
            raise Refused("refused.mask-everything", value=round(100 * share), limit=round(100 * MOST))
        media_id = await self.store(await asyncio.to_thread(_png, mask))
        async with self._db.begin() as session:
            await PictureRepository(session).remember_mask(picture.id, media_id)
        return media_id

    async def store(self, png: bytes) -> str:
        """Put a mask's file away; returns its media id."""
        return await asyncio.to_thread(self._media.put, png, ".png")

    async def preview(self, picture: Picture, mask: str) -> tuple[bytes, float]:
        """A picture with a mask (a media id) shown over it, as JPEG, and the share that is marked."""
        return await asyncio.to_thread(self._shown, picture, mask)

    def read(self, picture: Picture, sent: Plain) -> tuple[Mask, str]:
        """What a file marks, drawn on the picture or a mask of its own, and how it was understood; call it in a thread.

        Raises: Refused, RequestError.
        """
        original, returned = self._open(picture.media_id), Image.open(sent.file)
        if sent.opacity is None:  # a pencil leaves nothing transparent
            try:
                return pencil_mask(original, returned).mask, ""
            except Refused as refused:  # a mask is tried last: a picture on white paper looks like one
                if refused.code != "refused.pencil-other" or not looks_like_mask(returned):
                    raise
        found = file_mask(returned, Image.open(sent.opacity) if sent.opacity else None, original)
        return found.mask, found.read

    def _shown(self, picture: Picture, mask_id: str) -> tuple[bytes, float]:
        mask = self._mask(mask_id)
        original = self._open(picture.media_id).convert("RGB")  # small enough for a screen: megapixels would take a gigabyte
        original.thumbnail((_SHOWN, _SHOWN))
        small = Image.fromarray(mask).resize(original.size, Image.Resampling.NEAREST)
        return as_photo(_data(overlay(original, np.asarray(small)))), algebra.share(mask)

    def _mask(self, media_id: str) -> Mask:
        mask: Mask = np.asarray(self._open(media_id)) >= _HALF
        return mask

    def _open(self, media_id: str) -> Image.Image:
        return Image.open(io.BytesIO(self._media.get(media_id)))


class Marking:
    """Takes in what people send as masks."""

    def __init__(self, marks: Marks, arrivals: Arrivals) -> None:
        self._marks, self._arrivals = marks, arrivals

    async def take(self, actor: Actor, picture: Picture, file: SentFile) -> TakenMask:
        """Keep the mask that a person drew on a picture, or sent as a file of its own.

        Raises: Refused with the reason; RequestError for a mask of another shape.
        """
        try:
            async with self._arrivals.plain(actor.inbox_id, file) as plain:
                mask, read = await asyncio.to_thread(self._marks.read, picture, plain)
        except BadUpload as error:
            raise refusal(error) from error
        return TakenMask(await self._marks.keep(picture, mask), read)


class EditorDesk:
    """What the mask editor may ask for. It knows people by their Telegram ids."""

    def __init__(self, database: Database, bot_id: int, marks: Marks, dialogs: Dialogs, wake: Callable[[], None]) -> None:
        self._db, self._bot_id, self._marks, self._dialogs, self._wake = database, bot_id, marks, dialogs, wake

    async def find(self, telegram_user_id: int, public_id: str) -> EditorPicture | None:
        """Find a picture of this person's; somebody else's is as absent as none."""
        found = await self._find(telegram_user_id, public_id)
        if found is None:
            return None
        user, picture = found
        return EditorPicture(picture.media_id, picture.width, picture.height, picture.mask_id, user.language)

    async def take(self, telegram_user_id: int, public_id: str, mask_png: bytes, key: str) -> None:
        """Keep a mask, end the question for it, and owe its person a look at it in their chat; the same key brings it once."""
        found = await self._find(telegram_user_id, public_id)
        if found is None:
            raise NotFound(f"picture {public_id}")
        user, picture = found
        media_id = await self._marks.store(mask_png)
        look = NewNotice(
            bot_id=self._bot_id,
            chat_id=telegram_user_id,
            user_id=user.id,
            key="mask.preview",
            params={"picture": public_id, "mask": media_id},
            dedupe_key=f"mask:{self._bot_id}:{key}",
        )
        async with self._db.begin() as session:
            if await NoticeRepository(session).add(look):
                await PictureRepository(session).remember_mask(picture.id, media_id)
                where = StorageKey(bot_id=self._bot_id, chat_id=telegram_user_id, user_id=telegram_user_id)
                await self._dialogs.end(session, where, Repaint.mask, {"picture": public_id})
        self._wake()

    async def _find(self, telegram_user_id: int, public_id: str) -> tuple[User, Picture] | None:
        async with self._db.read() as session:
            user = await UserRepository(session).find(self._bot_id, telegram_user_id)
            pictures = await PictureRepository(session).owned_of([public_id], user.id) if user else []
        return (user, pictures[0]) if user and pictures else None


def _data(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _png(mask: Mask) -> bytes:
    return _data(Image.fromarray(mask.astype(np.uint8) * 255, "L"))

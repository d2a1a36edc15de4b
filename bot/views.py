"""Results shown again, when somebody presses a button of theirs: one picture, the sheet, a file without loss."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from aiogram.types import BufferedInputFile, Message

from bot.calls import Calls
from bot.file_names import file_name
from bot.messages import Messages
from bot.outbox import Outbox
from bot.presentation import as_file as without_loss
from bot.presentation import as_photo, as_sheet, ending
from engine.requests import from_json
from storage.media import MediaStore
from storage.post import Notice


class Views:
    """What Telegram has of a picture already is not uploaded again."""

    def __init__(self, outbox: Outbox, calls: Calls, messages: Messages, media: MediaStore) -> None:
        self._outbox, self._calls, self._messages, self._media = outbox, calls, messages, media

    async def view(self, notice: Notice, language: str) -> Message | bool:
        """Show one picture of a sheet, or the sheet again, in the message that the button stands under."""
        job, index = await self._outbox.job(int(notice.job_id or 0)), int(notice.params["index"])
        pictures = await self._outbox.pictures_of(job.id)
        said = self._messages.result(job, pictures, language, index, back=notice.params.get("back"))
        known = await self._outbox.file_id(job, pictures, index)
        if known is not None:
            return await self._calls.edit_picture(notice.chat_id, notice.edit_message_id, known, said)
        wanted = [pictures[index - 1]] if index else pictures
        data = [await asyncio.to_thread(self._media.get, picture.media_id) for picture in wanted]
        photo = await asyncio.to_thread(as_photo, data[0]) if index else await asyncio.to_thread(as_sheet, data)
        file = BufferedInputFile(photo, file_name(from_json(job.params), wanted[0].seed, "jpg"))
        answer = await self._calls.edit_picture(notice.chat_id, notice.edit_message_id, file, said)
        if index and answer.photo:
            await self._outbox.remember_file(pictures[index - 1].id, "photo", answer.photo[-1])
        return answer

    async def file(self, notice: Notice) -> Callable[[], Awaitable[Message]]:
        """Make ready one picture of a result, or its sheet, as a file without loss; what is returned sends it when called."""
        job, index = await self._outbox.job(int(notice.job_id or 0)), int(notice.params["index"])
        pictures = await self._outbox.pictures_of(job.id)
        wanted = [pictures[index - 1]] if index else pictures
        known = await self._outbox.document_id(wanted[0]) if index else None
        if known is not None:
            return partial(self._calls.send_document, notice.chat_id, known, notice.reply_to_message_id)
        data = [await asyncio.to_thread(self._media.get, picture.media_id) for picture in wanted]
        png = await asyncio.to_thread(without_loss, data[0]) if index else await asyncio.to_thread(as_sheet, data, True)
        file = BufferedInputFile(png, file_name(from_json(job.params), wanted[0].seed, ending(png)))
        return partial(self._send_new_file, notice, file, wanted[0].id if index else None)

    async def _send_new_file(self, notice: Notice, file: BufferedInputFile, picture_id: int | None) -> Message:
        answer = await self._calls.send_document(notice.chat_id, file, notice.reply_to_message_id)
        if picture_id is not None and answer.document:
            await self._outbox.remember_file(picture_id, "document", answer.document)
        return answer

"""Results shown again, when somebody presses a button of theirs: one picture, the sheet, a file without loss."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from aiogram.types import BufferedInputFile, Message

from bot.calls import Calls
from bot.file_names import file_name
from bot.messages import Messages
from bot.outbox import Outbox
from bot.presentation import as_comparison, as_photo, as_sheet, ending, size_of
from bot.presentation import as_file as without_loss
from bot.proofs import Proofs
from bot.said import Said
from engine.requests import Request, Upscale, from_json
from storage.domain import Picture
from storage.errors import MediaMissing
from storage.media import MediaStore
from storage.post import Notice


def looks(media: MediaStore, request: Request, pictures: Sequence[Picture], as_file: bool) -> tuple[bytes, str]:
    """What a result looks like, and the name of its file; call it in a thread.

    One picture, several as a sheet, or a part of an enlarged picture beside what plain enlarging makes of it.
    """
    data = [media.get(picture.media_id) for picture in pictures]
    if len(data) > 1:
        shown = as_sheet(data, as_file)
    elif isinstance(request, Upscale) and request.tile:
        shown = _compared(media, request, data[0], as_file)
    else:
        shown = without_loss(data[0]) if as_file else as_photo(data[0])
    return shown, file_name(request, pictures[0].seed, ending(shown))


def _compared(media: MediaStore, request: Upscale, made: bytes, as_file: bool) -> bytes:
    try:
        whole = media.get(request.image)
    except MediaMissing:  # what it was made from is gone meanwhile; what was made is there
        return without_loss(made) if as_file else as_photo(made)
    return as_comparison(whole, made, request.part(*size_of(whole)), as_file)


class Views:
    """What Telegram has of a picture already is not uploaded again."""

    def __init__(self, outbox: Outbox, calls: Calls, messages: Messages, media: MediaStore, proofs: Proofs) -> None:
        self._outbox, self._calls, self._messages, self._media, self._proofs = outbox, calls, messages, media, proofs

    async def view(self, notice: Notice, language: str) -> Message | bool:
        """Show one picture of a sheet, or the sheet again: in the message that the button stands under, or in a new one."""
        job, index = await self._outbox.job(int(notice.job_id or 0)), int(notice.params["index"])
        pictures = await self._outbox.pictures_of(job.id)
        back, proof = notice.params.get("back"), await self._proofs.verdict(job, pictures)
        kin = await self._outbox.kin(pictures[index - 1]) if index and back is not None else None
        said = self._messages.result(job, pictures, language, index, back=back, kin=kin, proof=proof)
        known = await self._outbox.file_id(job, pictures, index)
        if known is not None:
            return await self._put(notice, known, said)
        wanted = [pictures[index - 1]] if index else pictures
        data = [await asyncio.to_thread(self._media.get, picture.media_id) for picture in wanted]
        photo = await asyncio.to_thread(as_photo, data[0]) if index else await asyncio.to_thread(as_sheet, data)
        file = BufferedInputFile(photo, file_name(from_json(job.params), wanted[0].seed, "jpg"))
        answer = await self._put(notice, file, said)
        if index and answer.photo:
            await self._outbox.remember_file(pictures[index - 1].id, "photo", answer.photo[-1])
        return answer

    async def _put(self, notice: Notice, file: BufferedInputFile | str, said: Said) -> Message:
        if notice.edit_message_id is None:
            return await self._calls.send_picture(notice.chat_id, file, said, notice.reply_to_message_id)
        return await self._calls.edit_picture(notice.chat_id, notice.edit_message_id, file, said)

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

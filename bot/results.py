"""What a job brings to its chat: its pictures or, where its words were made richer, the question whether to draw that."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, cast

from aiogram.types import BufferedInputFile, Message

from bot.calls import Calls
from bot.messages import Messages
from bot.outbox import Outbox
from bot.proofs import Proofs
from bot.views import looks
from engine.requests import Upscale, from_json
from storage.domain import Job
from storage.media import MediaStore

Call = Callable[[], Awaitable[Message]]


class Ready(NamedTuple):
    """A result, ready to go: what it comes as, and the calls that put it into the status message, or send it."""

    form: str
    put: Call
    send: Call


class Results:
    def __init__(self, outbox: Outbox, calls: Calls, messages: Messages, media: MediaStore, proofs: Proofs) -> None:
        self._outbox, self._calls, self._messages, self._media, self._proofs = outbox, calls, messages, media, proofs

    async def ready(self, job: Job, language: str, again: bool) -> Ready:
        """Make a result ready. again: it may be in the chat already, and says so."""
        if job.asks:
            said = self._messages.question(job, language)
            put = cast("Call", partial(self._calls.edit_text, job.chat_id, job.status_message_id, said))
            return Ready("", put, partial(self._calls.say, job.chat_id, said, job.reply_to_message_id))
        pictures = await self._outbox.pictures_of(job.id)
        form = await self._outbox.wanted_form(job.user_id)
        request = from_json(job.params)
        if isinstance(request, Upscale) and not request.tile and form == "photo":
            form = "both"  # Telegram's photos are smaller than what was asked for
        proof = await self._proofs.verdict(job, pictures)
        said = self._messages.result(job, pictures, language, 0 if len(pictures) > 1 else 1, again, proof=proof)
        as_file = form == "file"
        file = BufferedInputFile(*await asyncio.to_thread(looks, self._media, request, pictures, as_file))
        picture = partial(self._calls.edit_picture, job.chat_id, job.status_message_id, file, said, as_file=as_file)
        return Ready(
            form,
            picture,
            partial(self._calls.send_picture, job.chat_id, file, said, job.reply_to_message_id, as_file=as_file),
        )

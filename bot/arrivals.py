"""Pictures on their way in: fetched and decoded before their message has its turn, so that the chat need not wait for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from aiogram.types import Update

from bot.downloads import Downloads
from handlers.ports import SentFile
from handlers.sent import has_picture, sent
from storage.errors import BadUpload
from storage.uploads import Plain, Uploads

_AT_ONCE, _OF_ONE_CHAT = 20, 4  # fetched at the same time


@dataclass(frozen=True)
class _Fetched:
    """A decoded file, and what removes it."""

    plain: Plain
    held: AsyncExitStack


class Arrivals:
    """Files of updates, by number in the inbox; in memory and temporary files alone, so after a crash they are fetched again.

    wanted: whether anything can be made of pictures here.
    """

    def __init__(self, downloads: Downloads, uploads: Uploads, wanted: bool = True) -> None:
        self._downloads, self._uploads, self._wanted = downloads, uploads, wanted
        self._here: dict[int, _Fetched | BadUpload] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._of_chat: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()

    def missing(self, inbox_id: int, update: Update) -> SentFile | None:
        """The file that an update brings and that is not here yet."""
        message = update.message
        if not self._wanted or inbox_id in self._here or message is None or message.chat.type != "private":
            return None
        return sent(message) if has_picture(message) else None

    async def fetch(self, inbox_id: int, chat_id: int, file: SentFile) -> None:
        """Have a file here, or the reason why it is not taken. Raises: TelegramAway and the like, for what may pass."""
        async with self._of_chat.setdefault(chat_id, asyncio.Semaphore(_OF_ONE_CHAT)), self._at_once:
            try:
                async with self._downloads.file(file.file_id, file.size) as path, AsyncExitStack() as stack:
                    plain = await stack.enter_async_context(self._uploads.plain(path))
                    self._here[inbox_id] = _Fetched(plain, stack.pop_all())
            except BadUpload as bad:
                self._here[inbox_id] = bad

    @asynccontextmanager
    async def plain(self, inbox_id: int, file: SentFile) -> AsyncIterator[Plain]:
        """The decoded file of an update; it is there inside of the block. Raises: BadUpload; what `fetch` raises."""
        if inbox_id not in self._here:
            await self.fetch(inbox_id, 0, file)
        try:
            found = self._here[inbox_id]
            if isinstance(found, BadUpload):
                raise found
            yield found.plain
        finally:
            await self.drop(inbox_id)

    async def drop(self, inbox_id: int) -> None:
        """Remove what is here for an update."""
        found = self._here.pop(inbox_id, None)
        if isinstance(found, _Fetched):
            await found.held.aclose()

"""Files that people send: fetched from Telegram into a temporary file, counted while they come, from nowhere else."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.exceptions import TelegramBadRequest
from aiohttp import ClientError, ClientResponse, ClientTimeout

from storage.decode import LARGEST_FILE
from storage.errors import BadUpload

_CHUNK = 256 * 1024  # bytes


class TelegramAway(Exception):
    """The file could not be fetched just now; the next try may find it."""


@dataclass(frozen=True)
class Downloads:
    """Fetches files of one bot. limit_s: for one file; silent_s: until its next bytes."""

    bot: Bot
    limit_s: float = 60.0
    silent_s: float = 10.0

    @asynccontextmanager
    async def file(self, file_id: str, size: int | None = None) -> AsyncIterator[Path]:
        """Fetch a file; it is there inside of the block. size: what Telegram says, which nobody trusts for more than a refusal.

        Raises: BadUpload for one that is too large, too slow or gone; TelegramAway, or aiogram's errors, for what may pass.
        """
        if size is not None and size > LARGEST_FILE:
            raise BadUpload("too-heavy", {"limit": LARGEST_FILE, "value": size})
        with tempfile.TemporaryDirectory(prefix="kandinsky-upload-") as folder:
            place = Path(folder) / "file"  # its own name is nobody's business
            try:
                async with asyncio.timeout(self.limit_s):
                    with place.open("wb") as target:
                        await self._fetch(file_id, target)
            except TimeoutError:
                raise BadUpload("too-slow", {"limit": round(self.limit_s)}) from None
            yield place

    async def _fetch(self, file_id: str, target: BinaryIO) -> None:
        try:
            path = (await self.bot.get_file(file_id)).file_path
        except TelegramBadRequest as error:
            if "too big" in error.message.lower():
                raise BadUpload("too-heavy", {"limit": LARGEST_FILE, "value": LARGEST_FILE + 1}) from error
            raise BadUpload("gone") from error
        session = self.bot.session
        if path is None or not isinstance(session, AiohttpSession):
            raise BadUpload("gone")
        client = await session.create_session()
        patience = ClientTimeout(total=None, sock_connect=self.silent_s, sock_read=self.silent_s)
        try:
            # no redirects: whatever answers in Telegram's place must not send us to a machine of its choice
            async with client.get(
                session.api.file_url(self.bot.token, path), allow_redirects=False, timeout=patience
            ) as response:
                await _write(response, target)
        except TimeoutError:
            raise BadUpload("too-slow", {"limit": round(self.silent_s)}) from None
        except (ClientError, OSError) as error:
            raise TelegramAway(type(error).__name__) from None  # its text may hold the address, and that the token


async def _write(response: ClientResponse, target: BinaryIO) -> None:
    if response.status in (404, 410):  # Telegram promises a path for an hour
        raise BadUpload("gone")
    if response.status != 200:
        raise TelegramAway(f"status {response.status}")
    got = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        got += len(chunk)
        if got > LARGEST_FILE:
            raise BadUpload("too-heavy", {"limit": LARGEST_FILE, "value": got})
        await asyncio.to_thread(target.write, chunk)

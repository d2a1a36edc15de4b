"""A sandbox per test, a real aiogram bot that talks to it, and small pictures."""

import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from PIL import Image

from sandbox.person import Person
from sandbox.server import Sandbox

Png = Callable[..., bytes]


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


@asynccontextmanager
async def talking_to(box: Sandbox) -> AsyncIterator[Bot]:
    """A real bot that takes the sandbox for Telegram."""
    made = Bot(box.token, session=AiohttpSession(api=TelegramAPIServer.from_base(box.url)))
    await made.get_me()  # the first call opens the session
    yield made
    # close the connector directly: AiohttpSession.close() sleeps a quarter of a second
    if made.session._session is not None:
        await made.session._session.close()


@pytest.fixture
async def bot(box: Sandbox) -> AsyncIterator[Bot]:
    async with talking_to(box) as bot:
        yield bot


@pytest.fixture
async def anna(box: Sandbox) -> Person:
    """A person who has written to the bot once, so that the bot may write back."""
    person = box.person("Anna", "en", patience=5)
    await person.says("hello")
    return person


@pytest.fixture
def png() -> Png:
    def make(width: int = 64, height: int = 64, kind: str = "PNG", noise: bool = False) -> bytes:
        buffer = io.BytesIO()
        if noise:
            Image.frombytes("RGB", (width, height), os.urandom(width * height * 3)).save(buffer, kind, compress_level=0)
        else:
            Image.new("RGB", (width, height), "red").save(buffer, kind)
        return buffer.getvalue()

    return make

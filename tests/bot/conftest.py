"""A database of its own, a sandbox and a real bot for each test that asks for them."""

from collections.abc import AsyncIterator

import pytest
from aiogram import Bot
from pydantic import SecretStr

from bot.settings import JobSettings, TelegramSettings, read
from bot.telegram import make_bot
from bot.texts import Texts
from sandbox.person import Person
from sandbox.server import Sandbox
from tests.storage.made import BOT, database, database_url, migrated_file, store

__all__ = ["database", "database_url", "migrated_file", "store"]

TOKEN = f"{BOT}:TEST-token-that-opens-nothing-else-at-all"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the environment nor a `.env` of this machine decides a test."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for name in ("TELEGRAM_TOKEN", "TELEGRAM_API", "DATA_DIR", "DATABASE_URL", "BROKER_URL", "MEDIA_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def texts() -> Texts:
    return Texts()


@pytest.fixture
def settings() -> JobSettings:
    return read(JobSettings)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(token=TOKEN) as running:
        yield running


@pytest.fixture
async def bot(box: Sandbox) -> AsyncIterator[Bot]:
    made = make_bot(TelegramSettings(token=SecretStr(TOKEN), api=box.url))
    yield made
    # the connector directly: AiohttpSession.close() sleeps a quarter of a second
    if made.session._session is not None:  # type: ignore[attr-defined]
        await made.session._session.close()  # type: ignore[attr-defined]


@pytest.fixture
async def anna(box: Sandbox) -> Person:
    """A person who has written once, so that the bot may answer."""
    person = box.person("Anna", "en", patience=10)
    await person.says("hello")
    return person

"""A database of its own, a sandbox and a real bot for each test that asks for them."""

import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest import mock

import pytest
from aiogram import Bot
from pydantic import SecretStr

from bot.delivery import Deliverer
from bot.jobs import Jobs
from bot.limiter import Limiter
from bot.logs import hide
from bot.messages import Messages
from bot.settings import EVERY, JobSettings, TelegramSettings, read, setting_name
from bot.telegram import make_bot
from bot.texts import Texts
from sandbox.person import Person
from sandbox.server import Sandbox
from storage.database import Database
from storage.media import MediaStore
from tests.bot.house import House, make_house
from tests.bot.post import Post, nobody
from tests.bot.wishes import Bells, Wishes
from tests.storage.made import BOT, Store, database, database_url, migrated_file, store

__all__ = ["database", "database_url", "migrated_file", "store"]

_SHOWN = (
    "test_photos.py",
    "test_screens.py",
    "test_delivery_notices.py",
    "test_exports.py",
    "test_miniapp.py",
    "test_frame.py",
    "test_questions.py",
    "test_arrivals.py",
    "test_ownership.py",
)
TOKEN = f"{BOT}:TEST-token-that-opens-nothing-else-at-all"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither the environment nor a `.env` of this machine decides a test; what a command writes there goes with the test."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with mock.patch.dict(os.environ):
        for kind in EVERY:
            for name in kind.model_fields:
                os.environ.pop(setting_name(kind, name), None)
        yield


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """`set_up_logs` takes the whole process; give it back."""
    root = logging.getLogger()
    handlers, level, factory = root.handlers[:], root.level, logging.getLogRecordFactory()
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    root.handlers[:], root.level = handlers, level
    logging.setLogRecordFactory(factory)
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    hide([])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What people see is tried on SQLite, on PostgreSQL rarely; of bad input what it minds: NUL, surrogates, length, ids."""
    for item in items:
        if item.path.name in _SHOWN and "postgresql" in item.name:
            item.add_marker(pytest.mark.long)
        bad_input = item.path.name in ("test_bad_texts.py", "test_bad_presses.py") and "postgresql" in item.name
        if bad_input and not any(word in item.name for word in ("NUL", "surrogate", "half", "T4", "T24")):
            item.add_marker(pytest.mark.long)


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


@pytest.fixture
async def post(
    box: Sandbox, anna: Person, bot: Bot, database: Database, store: Store, texts: Texts, settings: JobSettings, tmp_path: Path
) -> Post:
    now = [1000.0]
    media = MediaStore(str(tmp_path / "pictures"))
    jobs = Jobs(database, settings, nobody)
    deliverer = Deliverer(database, bot, jobs, Messages(texts), media, Limiter(lambda: now[0]))
    return Post(box, anna, await store.user(anna.id, "en"), store, media, deliverer, now)


@pytest.fixture
async def house(
    box: Sandbox, anna: Person, bot: Bot, store: Store, database_url: str, texts: Texts, tmp_path: Path
) -> AsyncIterator[House]:
    made = make_house(box, anna, bot, store, await store.user(anna.id, "en"), database_url, texts, tmp_path / "data")
    yield made
    made.application._bell.close()
    await made.application._db.close()


@pytest.fixture
async def full_house(
    box: Sandbox, anna: Person, bot: Bot, store: Store, database_url: str, texts: Texts, tmp_path: Path
) -> AsyncIterator[House]:
    """A house whose family serves every kind of request; nobody draws them."""
    user = await store.user(anna.id, "en")
    made = make_house(box, anna, bot, store, user, database_url, texts, tmp_path / "data", "kandinsky-3.1")
    yield made
    made.application._bell.close()
    await made.application._db.close()


@pytest.fixture
def bells(database: Database) -> Bells:
    return Bells(database)


@pytest.fixture
def jobs(database: Database, settings: JobSettings, bells: Bells) -> Jobs:
    return Jobs(database, settings, bells)


@pytest.fixture
def wishes(store: Store) -> Wishes:
    return Wishes(store)

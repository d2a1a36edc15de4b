"""The bot process put together: webhook processes side by side, one pump, and its health."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from pydantic import SecretStr

from bot import metrics
from bot.app import Application
from bot.settings import (
    DrawingSettings,
    JobSettings,
    MiniAppSettings,
    OpsSettings,
    SettingsError,
    StorageSettings,
    WebhookSettings,
    WebSettings,
)
from bot.telegram import NO_SUCH_TOKEN
from sandbox import methods
from sandbox.person import Person
from sandbox.server import Sandbox
from storage.repositories.workers import LeaseRepository
from tests.servers import free_port
from tests.storage.made import BOT, Store

SECRET = "x" * 40
PATH = "/telegram/x7Qk"


@pytest.fixture
def webhook_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A sandbox that takes setWebhook, whatever its address."""
    calls: list[str] = []

    def set_webhook(world: Any, params: Any) -> bool:
        calls.append(params.string("url") or "")
        world.updates.drop_pending()  # no poller will fetch them
        return True

    monkeypatch.setitem(methods.METHODS, "setWebhook", set_webhook)
    monkeypatch.setitem(methods._BY_LOWER, "setwebhook", "setWebhook")
    return calls


@pytest.fixture
def make_application(bot: Bot, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Application]:
    monkeypatch.setattr(metrics, "_loops", {})
    storage = StorageSettings(data_dir=tmp_path / "data", database_url=database_url, broker_url=None, media_url=None)

    def make(port: int | None = None, url: str = f"https://example.org{PATH}", **more: Any) -> Application:
        hook = WebhookSettings(url=url, secret=SecretStr(SECRET)) if port else WebhookSettings()
        web = WebSettings(port=port) if port else WebSettings()
        return Application(
            bot, storage, JobSettings(leader_s=1.0), DrawingSettings(), hook, more.pop("web", web), OpsSettings(), **more
        )

    return make


@asynccontextmanager
async def running(application: Application) -> AsyncIterator[None]:
    task = asyncio.create_task(application.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def post(port: int, update: dict[str, Any]) -> int:
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"http://127.0.0.1:{port}{PATH}", json=update, headers=headers) as got,
    ):
        return got.status


async def test_two_processes_serve_one_webhook_and_each_update_is_handled_once(
    make_application: Callable[..., Application], box: Sandbox, anna: Person, store: Store, webhook_calls: list[str]
) -> None:
    ports = free_port(), free_port()
    async with contextlib.AsyncExitStack() as stack:
        for port in ports:
            await stack.enter_async_context(running(make_application(port)))
        await anna.until(lambda: len(webhook_calls) == 2, "both processes say where they are")
        message = box.world.updates.sent[-1]["message"]
        for number in range(10):
            update = {"update_id": number, "message": message | {"message_id": 100 + number, "text": "/cancel"}}
            statuses = await asyncio.gather(*(post(port, update) for port in ports))  # Telegram may come twice
            assert statuses == [200, 200]
        await anna.until(lambda: len([m for m in anna.chat if m.from_bot]) == 10, "ten answers")
    assert await store.sql("SELECT state, count(*) FROM inbox GROUP BY state") == [("done", 10)]
    assert webhook_calls == [f"https://example.org{PATH}"] * 2
    assert box.ledger.of("getUpdates") == []


async def test_telegram_itself_brings_what_is_said_also_what_was_said_before(
    make_application: Callable[..., Application], box: Sandbox, anna: Person, store: Store
) -> None:
    port = free_port()
    async with running(make_application(port, f"http://127.0.0.1:{port}{PATH}")):
        await anna.until(lambda: len(box.world.updates) == 0, "the first message comes")
        await anna.says("/cancel")
        await anna.sees_text("nothing to cancel")
    assert box.world.webhook.info()["url"] == f"http://127.0.0.1:{port}{PATH}"
    assert await store.sql("SELECT state, count(*) FROM inbox GROUP BY state") == [("done", 2)]
    async with running(make_application()):  # and back to polling: the webhook goes
        await anna.says("/cancel")
        await anna.sees_text("nothing to cancel")
    assert box.world.webhook.info()["url"] == ""


@pytest.mark.parametrize("hooked", [False, True], ids=["polling", "webhook"])
async def test_a_token_that_is_revoked_ends_the_process_with_one_sentence(
    make_application: Callable[..., Application], box: Sandbox, anna: Person, store: Store, webhook_calls: list[str], hooked: bool
) -> None:
    box.world.updates.drop_pending()  # Anna has said nothing that could be answered
    user = await store.user(anna.id)
    await store.job(user)
    task = asyncio.create_task(make_application(free_port() if hooked else None).run())
    await anna.until(lambda: any(message.from_bot for message in anna.chat), "its status")
    box.world.token = f"{BOT}:another-token-than-the-one-it-has"
    await store.job(user)
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(40):
            await task
    assert {str(error) for error in ended.value.exceptions} == {NO_SUCH_TOKEN}
    assert isinstance(ended.value.exceptions[0], SettingsError)
    assert await store.sql("SELECT state FROM delivery ORDER BY job_id") == [("sent",), ("pending",)]


async def test_a_process_that_works_is_well(make_application: Callable[..., Application], anna: Person) -> None:
    application = make_application()
    async with running(application):
        await anna.says("/cancel")
        await anna.sees_text("nothing to cancel")
        assert await application._ailments() == []
        assert {"poll", "pump", "deliver"} <= set(metrics._loops)
        await application._look_at_sql()
    assert not {"poll", "pump", "deliver", "sweep"} & set(metrics._loops)


async def test_a_database_that_is_away_is_an_ailment(bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_loops", {})
    url = "postgresql+asyncpg://me@127.0.0.1:1/none"
    storage = StorageSettings(data_dir=tmp_path, database_url=url, broker_url=None, media_url=None)
    (ailment,) = await Application(bot, storage, JobSettings(), DrawingSettings())._ailments()
    assert ailment.startswith("the database does not answer")


async def test_a_database_that_is_away_at_the_end_does_not_hide_why_it_ended(
    make_application: Callable[..., Application], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: Any) -> None:
        raise ConnectionRefusedError

    async def work() -> None:
        raise SettingsError("the reason")

    monkeypatch.setattr(LeaseRepository, "drop", away)
    with pytest.raises(SettingsError, match="the reason"):
        await make_application()._lead("sweep", work)
    (record,) = [record for record in caplog.records if "not given back" in record.getMessage()]
    assert not record.exc_info


async def test_a_database_that_says_nothing_costs_a_lease_and_not_the_patience(
    make_application: Callable[..., Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cannot renew must stop before the next one begins, also where the answer simply never comes."""

    async def silent(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(LeaseRepository, "renew", silent)
    began = time.monotonic()
    async with asyncio.timeout(5):
        assert await make_application()._renew("sweep:1", "me", began + 0.3) is None
    assert time.monotonic() - began > 0.2


@pytest.mark.parametrize("hooked", [False, True], ids=["polling", "webhook"])
async def test_the_mask_editor_is_served_by_the_bots_one_server(
    make_application: Callable[..., Application],
    webhook_calls: list[str],
    box: Sandbox,
    anna: Person,
    hooked: bool,
) -> None:
    settings, port = MiniAppSettings(url="https://example.org/editor"), free_port()
    application = make_application(port if hooked else None, web=WebSettings(port=port), editor=settings)
    async with running(application), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        await anna.until(lambda: bool(box.world.commands.get(None, "")), "the bot tell its commands")
        async with client.get("/editor/") as response:
            assert (response.status, response.content_type) == (200, "text/html")
        if hooked:
            assert await post(port, {"update_id": 1}) == 200

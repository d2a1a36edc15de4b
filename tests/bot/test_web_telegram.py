"""Telegram is told where the webhook is, or that there is none; what it refuses is one line."""

import asyncio
import json
from typing import Any

import pytest
from aiogram import Bot
from aiohttp import web
from pydantic import SecretStr

from bot.intake import Poller
from bot.settings import SettingsError, TelegramSettings, WebhookSettings, WebSettings
from bot.telegram import make_bot
from bot.web import Webhook
from sandbox.server import Sandbox
from storage.database import Database
from tests.storage.made import BOT

SECRET = "S3cret-" + "x" * 40
PATIENCE_S = 10.0


@pytest.fixture
def settings() -> WebhookSettings:
    return WebhookSettings(url="https://example.org/telegram/x7Qk", secret=SecretStr(SECRET))


class Telegram:
    """The two webhook methods of a Telegram, and what was asked of them."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._answers = list(answers)

    async def _call(self, request: Any) -> Any:
        self.asked.append((request.path.rpartition("/")[2], dict(await request.post())))
        answer = self._answers.pop(0) if self._answers else {"ok": True, "result": True}
        return web.json_response(answer, status=answer.get("error_code", 200))

    async def __aenter__(self) -> "Telegram":
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._call)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def _bot_of(telegram: Telegram) -> Bot:
    return make_bot(TelegramSettings(token=SecretStr(f"{BOT}:TEST-token-that-opens-nothing"), api=telegram.url))


async def _announce(telegram: Telegram, database: Database, settings: WebhookSettings) -> None:
    bot = _bot_of(telegram)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await Webhook(bot, database, settings, WebSettings(), asyncio.Event()).announce()
    finally:
        await bot.session._session.close()  # type: ignore[attr-defined]


async def test_telegram_is_told_where_and_with_which_secret(database: Database, settings: WebhookSettings) -> None:
    async with Telegram() as telegram:
        await _announce(telegram, database, settings)
    ((method, wish),) = telegram.asked
    assert method == "setWebhook"
    assert (wish["url"], wish["secret_token"]) == (settings.url, SECRET)
    assert json.loads(wish["allowed_updates"]) == ["message", "edited_message", "callback_query"]
    assert "drop_pending_updates" not in wish


async def test_telegrams_bad_moment_is_waited_out(database: Database, settings: WebhookSettings) -> None:
    bad = {"ok": False, "error_code": 502, "description": "Bad Gateway"}
    busy = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 0}}
    async with Telegram(bad, busy, {"ok": True, "result": True}) as telegram:
        await _announce(telegram, database, settings)
    assert len(telegram.asked) == 3


@pytest.mark.parametrize(
    ("code", "description", "named"),
    [
        (400, "Bad Request: bad webhook: HTTPS needed", "WEBHOOK_URL: .*HTTPS"),
        (401, "Unauthorized", "TELEGRAM_TOKEN"),
    ],
)
async def test_what_telegram_refuses_is_one_line(
    database: Database, settings: WebhookSettings, code: int, description: str, named: str
) -> None:
    async with Telegram({"ok": False, "error_code": code, "description": description}) as telegram:
        with pytest.raises(SettingsError, match=named):
            await _announce(telegram, database, settings)


def test_without_a_secret_there_is_no_webhook(bot: Bot, database: Database) -> None:
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET"):
        Webhook(bot, database, WebhookSettings.model_construct(url="https://x/y", secret=None), WebSettings(), asyncio.Event())


async def test_who_polls_removes_the_webhook_and_keeps_what_waits(box: Sandbox, bot: Bot, database: Database) -> None:
    person = box.person("Anna")
    await person.says("kept")
    arrived = asyncio.Event()
    polling = asyncio.create_task(Poller(bot, database, arrived).run())
    async with asyncio.timeout(PATIENCE_S):
        await arrived.wait()
    polling.cancel()
    assert [call.params for call in box.ledger.of("deleteWebhook")] == [{}]

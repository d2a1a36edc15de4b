"""A file comes whole and in time, or there is a reason; whoever answers in Telegram's place leads nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiogram import Bot
from aiohttp import web
from pydantic import SecretStr

from bot.downloads import Downloads, TelegramAway
from bot.settings import TelegramSettings
from bot.telegram import make_bot
from sandbox.person import Person
from sandbox.server import Sandbox
from storage.decode import LARGEST_FILE
from storage.errors import BadUpload
from tests.storage.made import BOT

TOKEN = f"{BOT}:TEST-token-that-no-error-may-show"
DATA = bytes(range(256)) * 2000


async def test_a_file_is_there_inside_of_the_block_alone(bot: Bot, anna: Person) -> None:
    sent = await anna.sends_document("../../etc/passwd\0.png", DATA)
    document = sent.raw["document"]
    async with Downloads(bot).file(document["file_id"], document["file_size"]) as place:
        assert place.read_bytes() == DATA
        assert place.name == "file"
    assert not place.parent.exists()


@pytest.mark.parametrize("said", [True, False])
async def test_a_file_that_is_too_large_is_not_fetched(bot: Bot, box: Sandbox, anna: Person, said: bool) -> None:
    sent = await anna.sends_document_of_size("large.png", LARGEST_FILE + 1)
    document = sent.raw["document"]
    with pytest.raises(BadUpload, match="too-heavy") as caught:
        async with Downloads(bot).file(document["file_id"], document["file_size"] if said else None):
            pass
    assert caught.value.values["limit"] == LARGEST_FILE


async def test_a_file_that_telegram_does_not_know_is_gone(bot: Bot, anna: Person) -> None:
    with pytest.raises(BadUpload, match="gone"):
        async with Downloads(bot).file("AgACAgIAAxkBAAIB"):
            pass


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def impostor() -> AsyncIterator[Callable[[Answer], Awaitable[Downloads]]]:
    """Make downloads from a server that knows getFile, and answers for the file as the test says."""
    runners: list[web.AppRunner] = []
    bots: list[Bot] = []

    async def get_file(request: web.Request) -> web.Response:
        return web.json_response({"ok": True, "result": {"file_id": "a", "file_unique_id": "b", "file_path": "photos/a.jpg"}})

    async def make(answer: Answer) -> Downloads:
        app = web.Application()
        app.router.add_route("*", "/bot{token}/getFile", get_file)
        app.router.add_get("/file/{rest:.*}", answer)
        app.router.add_get("/elsewhere", _elsewhere)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        bots.append(make_bot(TelegramSettings(token=SecretStr(TOKEN), api=f"http://127.0.0.1:{port}")))
        return Downloads(bots[-1], limit_s=5, silent_s=0.2)

    yield make
    for bot in bots:
        await bot.session.close()
    for runner in runners:
        await runner.cleanup()


visited: list[str] = []


async def _elsewhere(request: web.Request) -> web.Response:
    visited.append(request.path)
    return web.Response(body=b"secrets")


async def _expired(request: web.Request) -> web.Response:
    return web.Response(status=404)


async def _redirect(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/elsewhere"})


async def _down(request: web.Request) -> web.Response:
    return web.Response(status=502)


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half")
    assert request.transport is not None
    request.transport.abort()
    return response


async def _silent(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"x")
    await asyncio.Event().wait()
    return response


async def _endless(request: web.Request) -> web.StreamResponse:
    """Two hundred megabytes, or as many as are taken."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(200):
        await response.write(bytes(2**20))
    return response


@pytest.mark.parametrize(
    ("answer", "error", "word"),
    [
        (_expired, BadUpload, "gone"),
        (_redirect, TelegramAway, "302"),
        (_down, TelegramAway, "502"),
        (_cut, TelegramAway, "Error"),
        (_silent, BadUpload, "too-slow"),
        (_endless, BadUpload, "too-heavy"),
    ],
)
async def test_a_hostile_answer_is_one_clear_end(
    impostor: Callable[[Answer], Awaitable[Downloads]], answer: Answer, error: type[Exception], word: str
) -> None:
    visited.clear()
    downloads = await impostor(answer)
    with pytest.raises(error, match=word) as caught:
        async with downloads.file("a", 1024):
            pass
    assert TOKEN not in str(caught.value)
    assert visited == []

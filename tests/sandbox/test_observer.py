"""What a test in another process can wait for and order."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BufferedInputFile

from sandbox.person import Person
from sandbox.server import Sandbox


@pytest.fixture
async def http(box: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(box.url) as session:
        yield session


async def got(http: aiohttp.ClientSession, path: str, **params: str | int) -> tuple[int, dict | list]:
    async with http.get(path, params=params) as answer:
        return answer.status, await answer.json()


async def ordered(http: aiohttp.ClientSession, **body) -> int:
    async with http.post("/sandbox/faults", json=body) as answer:
        return answer.status


async def test_waiting_for_calls_of_a_method_and_of_a_chat(http: aiohttp.ClientSession, bot: Bot, anna: Person) -> None:
    waiting = asyncio.create_task(got(http, "/sandbox/wait", method="sendMessage", count=2))
    narrow = asyncio.create_task(got(http, "/sandbox/wait", method="sendMessage", after=1, chat_id=anna.id))
    await bot.send_message(anna.id, "1")
    await bot.send_message(anna.id, "2")
    assert [call["params"]["text"] for call in (await waiting)[1]] == ["1", "2"]
    assert [call["params"]["text"] for call in (await narrow)[1]] == ["2"]
    assert (await got(http, "/sandbox/wait", method="sendPhoto", timeout=0))[0] == 408
    assert len((await got(http, "/sandbox/ledger", method="sendMessage"))[1]) == 2
    assert len((await got(http, "/sandbox/ledger"))[1]) == 3  # with getMe


async def test_waiting_for_a_message(http: aiohttp.ClientSession, bot: Bot, anna: Person, png) -> None:
    waiting = asyncio.create_task(got(http, "/sandbox/wait/message", chat_id=anna.id, text="DONE", has="photo"))
    await bot.send_message(anna.id, "done soon")
    await bot.send_photo(anna.id, BufferedInputFile(png(), "p.png"), caption="it is done")
    status, event = await waiting
    assert (status, event["data"]["caption"]) == (200, "it is done")
    after = event["number"] + 1
    assert (await got(http, "/sandbox/wait/message", chat_id=anna.id, after=after, timeout=0))[0] == 408
    assert (await got(http, "/sandbox/wait/message", chat_id=1))[0] == 404


async def test_waiting_until_the_bot_has_every_update(http: aiohttp.ClientSession, bot: Bot, anna: Person) -> None:
    assert (await got(http, "/sandbox/wait/updates", timeout=0))[0] == 408
    waiting = asyncio.create_task(got(http, "/sandbox/wait/updates"))
    (update,) = await bot.get_updates(timeout=5)
    await bot.get_updates(offset=update.update_id + 1, timeout=0)
    assert await waiting == (200, {"pending": 0})


async def test_every_fault_can_be_ordered(http: aiohttp.ClientSession, box: Sandbox, bot: Bot, anna: Person) -> None:
    assert await ordered(http, kind="too_many_requests", method="getMe", retry_after=7) == 200
    assert box.faults.pending[0].value == 7
    assert await ordered(http, kind="hang", method="getFile", seconds=0.5, applied=True) == 200
    assert await ordered(http, kind="rates", seed=1, method=["sendMessage"], server_error=1, retry_after=[1, 2]) == 200
    assert await ordered(http, kind="update_rates", seed=1, duplicate=1) == 200
    assert await ordered(http, kind="replay_update", update_id=box.updates.sent[0]["update_id"]) == 200
    assert await ordered(http, kind="jump_update_id", by=5) == 200
    assert len(await bot.get_updates(timeout=5)) == 2
    async with http.delete("/sandbox/faults") as answer:
        assert await answer.json() == []
    assert await ordered(http, kind="refuse", method="sendMessage", description="Bad Request: TOPIC_CLOSED") == 200
    with pytest.raises(TelegramBadRequest, match="TOPIC_CLOSED"):
        await bot.send_message(anna.id, "x")
    for wrong in ({"kind": "earthquake"}, {"kind": "release"}, {"kind": "hang", "hours": 1}, {"kind": "replay_update"}):
        assert await ordered(http, **wrong) == 400


async def test_counts_and_violations(http: aiohttp.ClientSession, box: Sandbox, bot: Bot, anna: Person) -> None:
    await bot.send_message(anna.id, "x")
    box.faults.refuse("sendMessage")
    with pytest.raises(TelegramBadRequest):
        await bot.send_message(anna.id, "x")
    _, counts = await got(http, "/sandbox/counts")
    assert counts["accepted"] == {"getMe": 1, "sendMessage": 1}
    assert (counts["refused"], counts["violations"], counts["faults"]) == (1, 0, {"refusal": 1})
    assert await got(http, "/sandbox/violations") == (200, [])

"""The HTTP front: ways to pass parameters, refusals, faults, and the ledger that outlives them."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramNetworkError, TelegramRetryAfter, TelegramServerError

from sandbox.person import Person
from sandbox.server import Sandbox


async def call(box: Sandbox, method: str, token: str | None = None, **options) -> tuple[int, dict]:
    url = f"{box.url}/bot{token or box.token}/{method}"
    async with aiohttp.ClientSession() as session, session.post(url, **options) as answer:
        return answer.status, await answer.json()


async def test_parameters_come_in_every_form(box: Sandbox, anna: Person) -> None:
    markup = {"inline_keyboard": [[{"text": "b", "callback_data": "d"}]]}
    text = {"chat_id": str(anna.id), "text": "x", "reply_markup": json.dumps(markup)}
    for options in (
        {"params": text},
        {"data": text},
        {"json": {"chat_id": anna.id, "text": "x", "reply_markup": markup}},
        {"data": aiohttp.FormData(text, default_to_multipart=True)},
    ):
        status, body = await call(box, "sendMessage", **options)
        assert (status, body["ok"], body["result"]["text"]) == (200, True, "x")
        assert body["result"]["reply_markup"] == markup
    async with aiohttp.ClientSession() as session, session.get(f"{box.url}/bot{box.token}/GETME") as answer:
        assert (await answer.json())["result"]["id"] == 42


async def test_unknown_methods_and_tokens_are_refused_as_telegram_does(box: Sandbox) -> None:
    assert await call(box, "sendNothing") == (404, {"ok": False, "error_code": 404, "description": "Not Found"})
    unauthorized = {"ok": False, "error_code": 401, "description": "Unauthorized"}
    assert await call(box, "getMe", token="42:other") == (401, unauthorized)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{box.url}/file/bot{box.token}/photos/none.jpg") as answer:
            assert answer.status == 404
        async with session.get(f"{box.url}/file/bot42:other/photos/none.jpg") as answer:
            assert answer.status == 401


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, "can't parse request body"),
        ({"json": [1]}, "can't parse request body"),
        ({"json": {"text": "x"}}, "chat_id is empty"),
        ({"json": {"chat_id": "@nobody", "text": "x"}}, "chat not found"),
        ({"data": b"text=%ff", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, None),
    ],
)
async def test_broken_bodies_are_a_400(box: Sandbox, options: dict, error: str | None) -> None:
    status, body = await call(box, "sendMessage", **options)
    assert status == 400
    assert error is None or body["description"] == f"Bad Request: {error}"


async def test_429_names_the_pause_and_applies_nothing(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.too_many_requests("sendMessage", times=2, retry_after=3)
    for _ in range(2):
        with pytest.raises(TelegramRetryAfter) as caught:
            await bot.send_message(anna.id, "x")
        assert caught.value.retry_after == 3
    await bot.send_message(anna.id, "x")
    assert len(box.ledger.of("sendMessage")) == 1
    assert [c.error for c in box.ledger.refused] == ["Too Many Requests: retry after 3"] * 2


async def test_a_dropped_answer_is_still_applied_and_in_the_ledger(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.drop_after_applying("sendMessage")
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(anna.id, "once")
    (entry,) = box.ledger.of("sendMessage", chat_id=anna.id)
    assert (entry.answered, entry.message_id, entry.params["text"]) == (False, 2, "once")
    assert [m.text for m in anna.chat] == ["hello", "once"]
    await bot.send_message(anna.id, "twice")
    assert [c.answered for c in box.ledger.of("sendMessage")] == [False, True]


async def test_a_connection_cut_before_applies_nothing(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.drop_before_applying()
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(anna.id, "never")
    assert box.ledger.of("sendMessage") == []


async def test_server_errors_with_and_without_json(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.server_error("sendMessage", code=500)
    with pytest.raises(TelegramServerError):
        await bot.send_message(anna.id, "x")
    box.faults.server_error("sendMessage", code=502, html=True)
    async with aiohttp.ClientSession() as session, session.post(f"{box.url}/bot{box.token}/sendMessage") as answer:
        assert (answer.status, answer.content_type) == (502, "text/html")


async def test_a_hanging_call_goes_on_after_release(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.hang("sendMessage", applied=True)
    hanging = asyncio.create_task(bot.send_message(anna.id, "x"))
    await anna.sees_text("x")
    assert not hanging.done()
    box.faults.release()
    with pytest.raises(TelegramNetworkError):
        await hanging


async def test_updates_are_delivered_twice(box: Sandbox, bot: Bot, anna: Person) -> None:
    (first,) = await bot.get_updates(timeout=5)
    box.faults.duplicate_updates()
    await anna.says("double")
    (second,) = await bot.get_updates(offset=first.update_id + 1, timeout=5)
    (again,) = await bot.get_updates(offset=second.update_id + 1, timeout=5)
    assert again.update_id == second.update_id
    assert await bot.get_updates(offset=second.update_id + 1, timeout=0) == []


async def test_updates_are_delivered_out_of_order_and_long_after(box: Sandbox, bot: Bot, anna: Person) -> None:
    await anna.says("two")
    box.faults.reverse_updates()
    assert [u.message.text for u in await bot.get_updates(timeout=5)] == ["two", "hello"]
    first, second = await bot.get_updates(timeout=5)
    await bot.get_updates(offset=second.update_id + 1, timeout=0)
    box.world.updates.replay(first.update_id)
    assert [u.update_id for u in await bot.get_updates(offset=second.update_id + 1, timeout=5)] == [first.update_id]


async def test_a_fault_for_all_methods_spares_polling(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.too_many_requests()
    assert len(await bot.get_updates(timeout=5)) == 1
    with pytest.raises(TelegramRetryAfter):
        await bot.send_message(anna.id, "x")
    assert box.faults.pending == []


async def test_the_ledger_file_has_a_line_per_accepted_call(tmp_path: Path, png) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    async with Sandbox(ledger_path=path) as box:
        anna = box.person("Anna")
        await anna.says("x")
        form = aiohttp.FormData({"chat_id": str(anna.id), "photo": "attach://p"})
        form.add_field("p", png(), filename="p.png", content_type="image/png")
        status, _ = await call(box, "sendPhoto", data=form)
        assert status == 200
        await call(box, "sendMessage", json={"chat_id": anna.id, "text": ""})
        (line,) = path.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["method"], entry["message_id"], entry["answered"]) == ("sendPhoto", 2, True)
    assert entry["params"]["p"]["size"] == len(png())
    assert entry["wall_time"] > 1e9


async def test_the_sandbox_stops_at_once_with_open_polls(anna: Person, bot: Bot, box: Sandbox) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=30, offset=2**31))
    await anna.until(lambda: box.world.updates._poller == 1, "the poll begin")
    await asyncio.wait_for(box.stop(), 3)
    assert await poll == []

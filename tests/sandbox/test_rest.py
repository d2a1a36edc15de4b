"""The page, its files, and the events it listens to."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiogram import Bot
from aiogram.types import BufferedInputFile

from sandbox.person import Person
from sandbox.server import Sandbox


@pytest.fixture
async def http(box: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(box.url) as session:
        yield session


async def test_the_page_and_its_files_are_served(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as answer:
        page = await answer.text()
        assert answer.status == 200
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "http" not in page.replace("http://www.w3.org", "")  # nothing comes from elsewhere
    for name, kind in (("style.css", "text/css"), ("app.js", "text/javascript"), ("message.js", "text/javascript")):
        async with http.get(f"/{name}") as answer:
            assert (answer.status, answer.content_type) == (200, kind)
            assert "innerHTML" not in await answer.text()


async def test_other_sites_are_turned_away(http: aiohttp.ClientSession) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        async with http.get("/sandbox/state", headers=headers) as answer:
            assert answer.status == 403


async def posted(http: aiohttp.ClientSession, path: str, **options) -> dict:
    async with http.post(path, **options) as answer:
        return await answer.json()


async def test_a_person_acts_through_the_page(http: aiohttp.ClientSession, box: Sandbox, bot: Bot, png) -> None:
    person = await posted(http, "/sandbox/people", json={"name": " Вера ", "language_code": "ru"})
    assert person["name"] == "Вера"
    chat = f"/sandbox/chats/{person['id']}"
    first = await posted(http, f"{chat}/messages", json={"text": "привет"})
    await posted(http, f"{chat}/messages/{first['message_id']}/edit", json={"text": "пока"})
    await posted(http, f"{chat}/messages/{first['message_id']}/forward")
    form = aiohttp.FormData({"kind": "photo", "caption": "c", "reply_to": "1"})
    form.add_field("file", png(), filename="p.png")
    await posted(http, f"{chat}/messages", data=form)
    form = aiohttp.FormData({"kind": "document"}, quote_fields=False)  # browsers send names as they are
    form.add_field("file", b"x", filename="имя.txt", content_type="text/plain")
    await posted(http, f"{chat}/messages", data=form)
    await posted(http, f"{chat}/messages", data=aiohttp.FormData({"kind": "sticker"}, default_to_multipart=True))
    pressed = await posted(http, f"{chat}/messages/1/callback", json={"data": "d"})
    await posted(http, f"{chat}/block", json={"blocked": True})
    updates = await bot.get_updates(timeout=5)
    kinds = ["message", "edited_message", *["message"] * 4, "callback_query", "my_chat_member"]
    assert [u.event_type for u in updates] == kinds
    assert (updates[3].message.caption, updates[3].message.reply_to_message.message_id) == ("c", 1)
    assert updates[4].message.document.file_name == "имя.txt"
    async with http.get(chat) as answer:
        state = await answer.json()
    assert [m["message_id"] for m in state["messages"]] == [1, 2, 3, 4, 5]
    assert state["unanswered"] == [{"id": pressed["id"], "message_id": 1, "data": "d"}]
    async with http.delete(f"{chat}/messages/1") as answer:
        assert answer.status == 200
    assert [message.id for message in box.people[0].chat] == [2, 3, 4, 5]


@pytest.mark.parametrize("kind", ["photo", "document"])
async def test_several_files_make_an_album(http: aiohttp.ClientSession, anna: Person, png, kind: str) -> None:
    form = aiohttp.FormData({"kind": kind, "caption": "c"})
    for n in range(3):
        form.add_field("file", png(), filename=f"{n}.png", content_type="image/png")
    sent = await posted(http, f"/sandbox/chats/{anna.id}/messages", data=form)
    assert [message["message_id"] for message in sent] == [2, 3, 4]
    assert len({message["media_group_id"] for message in sent}) == 1
    assert [message.text for message in anna.chat[1:]] == (["c", "", ""] if kind == "photo" else ["", "", "c"])


async def test_wrong_requests_are_refused(http: aiohttp.ClientSession, anna: Person) -> None:
    chat = f"/sandbox/chats/{anna.id}"
    for path, body, status in (
        ("/sandbox/people", {"name": "", "language_code": "en"}, 400),
        ("/sandbox/people", {"name": "x", "language_code": "english"}, 400),
        ("/sandbox/chats/1/messages", {"text": "x"}, 404),
        (f"{chat}/messages/99/forward", {}, 404),
        (f"{chat}/messages", [1], 400),
    ):
        async with http.post(path, json=body) as answer:
            assert answer.status == status, path


async def test_only_pictures_are_shown_inline(http: aiohttp.ClientSession, bot: Bot, anna: Person, png) -> None:
    photo = await bot.send_photo(anna.id, BufferedInputFile(png(), "p.png"))
    html = await bot.send_document(anna.id, BufferedInputFile(b"<script>alert(1)</script>", "страница.html"))
    async with http.get(f"/sandbox/files/{photo.photo[-1].file_id}") as answer:
        assert (answer.content_type, await answer.read()) == ("image/png", png())
        assert "Content-Disposition" not in answer.headers
    async with http.get(f"/sandbox/files/{html.document.file_id}") as answer:
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''%D1")
    async with http.get("/sandbox/files/none") as answer:
        assert answer.status == 404


async def frames(answer: aiohttp.ClientResponse) -> AsyncIterator[dict]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


async def test_events_arrive_live_and_continue_after_a_break(http: aiohttp.ClientSession, bot: Bot, anna: Person) -> None:
    async with http.get("/sandbox/events") as answer:
        stream = frames(answer)
        assert "boot" in await anext(stream)
        await bot.send_message(anna.id, "live")
        event = await asyncio.wait_for(anext(stream), 2)
        assert (event["kind"], event["chat_id"], event["data"]["text"]) == ("message", anna.id, "live")
    await bot.send_message(anna.id, "missed")
    async with http.get("/sandbox/events", headers={"Last-Event-ID": str(event["number"] + 1)}) as answer:
        stream = frames(answer)
        await anext(stream)
        assert (await asyncio.wait_for(anext(stream), 2))["data"]["text"] == "missed"

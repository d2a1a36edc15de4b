"""The webhook against a hostile world: raw sockets, real server, nothing but 200, 4xx or 503."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiogram import Bot
from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import text

from bot.intake import MOST_WAITING
from bot.settings import SettingsError, WebhookSettings, WebSettings
from bot.web import LARGEST_BODY, BadBody, Patience, Webhook, read_update
from storage.database import Database
from tests.storage.made import Store

SECRET = "S3cret-" + "x" * 40
PATH = "/telegram/x7Qk"
SECRET_LINE = f"X-Telegram-Bot-Api-Secret-Token: {SECRET}".encode()
PATIENCE_S = 10.0


@dataclass
class Hook:
    """A served webhook, and a way to send it any bytes."""

    port: int
    store: Store
    arrived: asyncio.Event

    async def raw(self, *parts: bytes) -> int:
        """Send bytes as they are and return the status of the answer; 0 if the connection ends without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await _status(reader)
        except ConnectionError:
            return 0
        finally:
            writer.close()

    async def post(self, body: bytes, *lines: bytes, secret: bytes | None = SECRET_LINE, method: bytes = b"POST") -> int:
        headers = [b"Host: x", b"Content-Length: %d" % len(body), *lines, *([secret] if secret else [])]
        return await self.raw(method + b" " + PATH.encode() + b" HTTP/1.1\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + body)

    async def update(self, update: dict[str, Any]) -> int:
        return await self.post(json.dumps(update).encode())

    async def inbox(self) -> list[tuple[Any, ...]]:
        return await self.store.sql("SELECT update_id, chat_id, state FROM inbox ORDER BY id")


async def _status(reader: asyncio.StreamReader) -> int:
    async with asyncio.timeout(PATIENCE_S):
        line = await reader.readline()
    return int(line.split()[1]) if line else 0


def message(update_id: int, words: str = "a red circle", chat_id: int = 7, **changes: Any) -> dict[str, Any]:
    sender = {"id": chat_id, "is_bot": False, "first_name": "Anna"}
    chat = {"id": chat_id, "type": "private", "first_name": "Anna"}
    return {
        "update_id": update_id,
        "message": {"message_id": 1, "date": 1, "chat": chat, "from": sender, "text": words} | changes,
    }


@pytest.fixture
def settings() -> WebhookSettings:
    return WebhookSettings(url=f"https://example.org{PATH}", secret=SecretStr(SECRET))


@pytest.fixture
def make_hook(bot: Bot, database: Database, settings: WebhookSettings) -> Callable[..., Webhook]:
    def make(**patience: float) -> Webhook:
        listen = WebSettings.model_construct(host="127.0.0.1", port=0)
        return Webhook(bot, database, settings, listen, asyncio.Event(), Patience(**patience))

    return make


@pytest.fixture
async def hook(make_hook: Callable[..., Webhook], store: Store) -> AsyncIterator[Hook]:
    webhook = make_hook()
    async with webhook.listening() as port:
        yield Hook(port, store, webhook._arrived)


@pytest.fixture
async def hasty(make_hook: Callable[..., Webhook], store: Store) -> AsyncIterator[Hook]:
    """A webhook that waits a tenth of a second for anything."""
    webhook = make_hook(head_s=0.1, body_s=0.1)
    async with webhook.listening() as port:
        yield Hook(port, store, webhook._arrived)


async def test_an_update_is_stored_before_it_is_acknowledged(hook: Hook) -> None:
    assert await hook.update(message(5)) == 200
    assert await hook.inbox() == [(5, 7, "new")]
    assert hook.arrived.is_set()


SECRETS = {
    "W1 none": None,
    "W2 wrong": b"X-Telegram-Bot-Api-Secret-Token: " + b"y" * 47,
    "W2 empty": b"X-Telegram-Bot-Api-Secret-Token:",
    "W3 one more": SECRET_LINE + b"1",
    "W3 one less": SECRET_LINE[:-1],
    "W4 byte E9": SECRET_LINE[:-1] + b"\xe9",
    "W4 UTF-8": SECRET_LINE[:-1] + "é".encode(),
    "W5 two": SECRET_LINE + b"\r\n" + SECRET_LINE,
    "W5 right and wrong": SECRET_LINE + b"\r\nX-Telegram-Bot-Api-Secret-Token: no",
    "other name": SECRET_LINE.replace(b"Secret-Token", b"Token"),
}


@pytest.mark.parametrize("name", SECRETS)
async def test_without_the_secret_nothing_is_stored(hook: Hook, name: str) -> None:
    assert await hook.post(json.dumps(message(1)).encode(), secret=SECRETS[name]) == 401
    assert await hook.inbox() == []


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH"])
async def test_w6_updates_are_posted(hook: Hook, method: bytes) -> None:
    assert await hook.post(json.dumps(message(1)).encode(), method=method) == 405
    assert await hook.inbox() == []


async def test_there_is_nothing_at_another_path(hook: Hook) -> None:
    assert await hook.raw(b"POST /telegram HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n" + SECRET_LINE + b"\r\n\r\n{}") == 404


BODIES = {
    "empty": b"",
    "W7 cut": b"{",
    "W8 deep": b"[" * 100_000,
    "W8 deep objects": b'{"a":' * 100_000,
    "W8 deep inside": b'{"update_id": 1, "message": ' + b"[" * 990 + b"]" * 990 + b"}",
    "W9 list": b"[1]",
    "W9 text": b'"x"',
    "W9 null": b"null",
    "W9 number": b"1e999",
    "W9 number inside": b'{"update_id": 1, "message": {"date": 1e999}}',
    "W9 NaN": b'{"update_id": 1, "message": {"date": NaN}}',
    "W9 many digits": b'{"update_id": 1, "message": {"date": 1' + b"0" * 5000 + b"}}",
    "W10 none": b'{"message": {}}',
    "W10 text": b'{"update_id": "1"}',
    "W10 float": b'{"update_id": 1.0}',
    "W10 negative": b'{"update_id": -1}',
    "W10 2^63": b'{"update_id": 9223372036854775808}',
    "W10 true": b'{"update_id": true}',
    "W10 null": b'{"update_id": null}',
    "W12 twins": b'{"update_id": 1, "update_id": 2}',
    "W12 twins inside": b'{"update_id": 1, "message": {"a": 1, "a": 2}}',
    "W19 UTF-16": json.dumps(message(1)).encode("utf-16"),
    "W19 BOM": b"\xef\xbb\xbf" + json.dumps(message(1)).encode(),
    "W19 invalid": b'{"update_id": 1, "message": {"text": "\xff\xfe"}}',
    "W19 surrogate bytes": b'{"update_id": 1, "message": {"text": "\xed\xa0\x80"}}',
    "two documents": b'{"update_id": 1}{"update_id": 2}',
    "form": b"update_id=1",
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_is_no_update_is_refused_for_good(hook: Hook, name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert await hook.post(BODIES[name]) == 400
    assert await hook.inbox() == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_the_reader_alone_refuses_it_too(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_update(body)


@pytest.mark.parametrize("number", [0, 2**63 - 1])
async def test_the_smallest_and_the_largest_number_are_taken(hook: Hook, number: int) -> None:
    assert await hook.update(message(number)) == 200
    assert await hook.inbox() == [(number, 7, "new")]


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"x-gzip, identity", b"GZIP"])
async def test_w13_a_compressed_body_is_not_opened(hook: Hook, encoding: bytes) -> None:
    bomb = gzip.compress(b" " * 50_000_000 + b"{}")
    assert await hook.post(bomb, b"Content-Encoding: " + encoding) == 415


@pytest.mark.parametrize("size", [LARGEST_BODY + 1, 3_000_000, 100_000_000])
async def test_w14_a_body_too_large_is_refused_before_it_came(hook: Hook, size: int) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % (PATH.encode(), size)
    assert await hook.raw(head + SECRET_LINE + b"\r\n\r\n" + b"x" * 1000) == 413


async def test_w14_a_body_without_a_length_is_counted(hook: Hook) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" % PATH.encode()
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    assert await hook.raw(head + SECRET_LINE + b"\r\n\r\n", *[chunk] * 17) == 413


async def test_the_largest_body_is_taken(hook: Hook) -> None:
    update = message(1, "")
    update["message"]["text"] = "x" * (LARGEST_BODY - len(json.dumps(update)))
    assert len(json.dumps(update)) == LARGEST_BODY
    assert await hook.update(update) == 200


async def test_w15_a_body_that_does_not_come_times_out(hasty: Hook) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n" % PATH.encode()
    assert await hasty.raw(head + SECRET_LINE + b"\r\n\r\n{") == 408
    assert await hasty.inbox() == []


@pytest.mark.parametrize("head", [b"", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_w15_a_head_that_does_not_come_ends_the_connection(hasty: Hook, head: bytes) -> None:
    assert await hasty.raw(head) == 0


LIES = {
    "no number": b"zz\r\n{}\r\n0\r\n\r\n",
    "longer than it is": b"5\r\n{}\r\n0\r\n\r\n",
    "shorter than it is": b"1\r\n{}\r\n0\r\n\r\n",
    "negative": b"-1\r\n{}\r\n0\r\n\r\n",
    "huge": b"ffffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", LIES)
async def test_w16_a_chunk_that_lies_is_refused(hasty: Hook, name: str) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" % PATH.encode()
    assert await hasty.raw(head + SECRET_LINE + b"\r\n\r\n", LIES[name]) in (400, 408, 413)
    assert await hasty.inbox() == []


async def test_w16_two_lengths_are_refused(hook: Hook) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n" % PATH.encode()
    assert await hook.raw(head + SECRET_LINE + b"\r\n\r\n0\r\n\r\n") == 400


FORWARDED = {
    "spoofed": b"149.154.160.5",
    "garbage": b"\xff;;;,,,%00",
    "IPv6": b"2001:db8::1",
    "many": b", ".join([b"1.1.1.1"] * 500),
}


@pytest.mark.parametrize("name", FORWARDED)
async def test_w17_who_forwarded_it_changes_nothing(hook: Hook, name: str) -> None:
    line = b"X-Forwarded-For: " + FORWARDED[name]
    assert await hook.post(json.dumps(message(1)).encode(), line) == 200
    assert await hook.post(json.dumps(message(2)).encode(), line, secret=None) == 401


async def test_w17_a_header_too_long_is_refused(hook: Hook) -> None:
    line = b"X-Forwarded-For: " + b", ".join([b"1.1.1.1"] * 10_000)
    assert await hook.post(json.dumps(message(1)).encode(), line) in (400, 431)


async def test_w18_ten_thousand_entities_are_taken(hook: Hook) -> None:
    entities = [{"type": "bold", "offset": number, "length": 1} for number in range(10_000)]
    assert await hook.update(message(1, "x" * 10_000, entities=entities)) == 200


async def test_w20_of_one_number_the_first_content_stays(hook: Hook) -> None:
    assert await hook.update(message(1, "first")) == 200
    assert await hook.update(message(1, "second")) == 200
    ((payload,),) = await hook.store.sql("SELECT payload FROM inbox")
    assert "first" in payload


async def test_one_number_that_comes_many_times_at_once_is_stored_once(hook: Hook) -> None:
    statuses = await asyncio.gather(*(hook.update(message(1, str(number))) for number in range(20)))
    assert set(statuses) == {200}
    assert len(await hook.inbox()) == 1


STRANGE = {
    "chat is text": {"chat": "x"},
    "chat is a list": {"chat": [1]},
    "chat id is text": {"chat": {"id": "7"}},
    "chat id is huge": {"chat": {"id": 2**70}},
    "chat id is a float": {"chat": {"id": 1.5}},
    "no chat": {"chat": None},
}


@pytest.mark.parametrize("name", STRANGE)
async def test_an_update_with_a_strange_chat_is_stored(hook: Hook, name: str) -> None:
    update = message(1)
    update["message"] |= STRANGE[name] | {"from": None}
    assert await hook.update(update) == 200
    assert await hook.inbox() == [(1, 0, "new")]


async def test_one_connection_serves_many_updates(hook: Hook) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hook.port)
    for number in range(3):
        body = json.dumps(message(number)).encode()
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % (PATH.encode(), len(body))
        writer.write(head + SECRET_LINE + b"\r\n\r\n" + body)
        async with asyncio.timeout(PATIENCE_S):
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert [number for number, _, _ in await hook.inbox()] == [0, 1, 2]


@pytest.mark.errors_expected
async def test_while_the_database_is_away_telegram_is_asked_to_come_again(bot: Bot, settings: WebhookSettings) -> None:
    nowhere = Database("postgresql+asyncpg://kandinsky:canary@127.0.0.1:1/none")
    listen = WebSettings.model_construct(host="127.0.0.1", port=0)
    async with Webhook(bot, nowhere, settings, listen, asyncio.Event()).listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps(message(1)).encode()
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % (PATH.encode(), len(body))
        writer.write(head + SECRET_LINE + b"\r\n\r\n" + body)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    await nowhere.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5" in answer


async def test_a_database_that_hangs_is_away_too(make_hook: Callable[..., Webhook], store: Store) -> None:
    webhook = make_hook(store_s=0.1)
    async with webhook.listening() as port, store.database.begin() as session:
        hold = "LOCK TABLE inbox" if store.database.engine.dialect.name == "postgresql" else "DELETE FROM lease"
        await session.execute(text(hold))  # SQLite lets one transaction write, and this is it
        assert await Hook(port, store, asyncio.Event()).update(message(1)) == 503


async def test_a_chat_that_floods_is_cut_and_told_once(hook: Hook) -> None:
    user = await hook.store.user(7)
    for number in range(MOST_WAITING - 1):
        await hook.store.update(number, 7)
    statuses = [await hook.update(message(1000 + number)) for number in range(5)]
    assert statuses == [200] * 5
    assert await hook.store.number("SELECT count(*) FROM inbox") == MOST_WAITING
    assert await hook.store.sql("SELECT key, user_id, chat_id FROM notice") == [("fallback.flood", user.id, 7)]
    assert await hook.update(message(2000, chat_id=8)) == 200  # nobody else suffers
    assert (2000, 8, "new") in await hook.inbox()


async def test_a_chat_that_flooded_is_heard_again_once_it_was_handled(hook: Hook) -> None:
    for number in range(MOST_WAITING):
        await hook.store.update(number, 7)
    await hook.store.sql("UPDATE inbox SET state = 'done' WHERE update_id = 0")
    assert await hook.update(message(1000)) == 200
    assert (1000, 7, "new") in await hook.inbox()


async def test_a_port_that_is_taken_is_one_line(hook: Hook, bot: Bot, database: Database, settings: WebhookSettings) -> None:
    listen = WebSettings(host="127.0.0.1", port=hook.port)
    with pytest.raises(SettingsError, match="WEB_PORT"):
        async with Webhook(bot, database, settings, listen, asyncio.Event()).listening():
            pass


async def test_other_routes_stand_beside_the_webhook_on_one_port(make_hook: Callable[..., Webhook], store: Store) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="the editor")

    webhook = make_hook()
    async with webhook.listening([web.get("/editor/", page)]) as port:
        hook = Hook(port, store, webhook._arrived)
        assert await hook.raw(b"GET /editor/ HTTP/1.1\r\nHost: x\r\n\r\n") == 200
        assert await hook.raw(b"GET /editor HTTP/1.1\r\nHost: x\r\n\r\n") == 404
        assert await hook.update(message(5)) == 200
    assert await hook.inbox() == [(5, 7, "new")]

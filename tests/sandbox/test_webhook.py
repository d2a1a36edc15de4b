"""Updates pushed to the bot, as Telegram pushes them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramConflictError
from aiogram.types import Update
from aiohttp import web

from sandbox.changes import Changes
from sandbox.person import Person
from sandbox.server import Sandbox

Answer = Callable[[dict], web.Response]


@dataclass
class Receiver:
    """The bot's side of a webhook: notes what comes, answers as told, 200 by default."""

    url: str = ""
    updates: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    came: Changes = field(default_factory=Changes)

    async def has(self, under_way: int) -> None:
        async with asyncio.timeout(5):
            while self.under_way < under_way:
                await self.came.wait_until(None)

    async def receive(self, request: web.Request) -> web.Response:
        self.updates.append(await request.json())
        self.headers.append(dict(request.headers))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.came.fire()
        await self.gate.wait()
        self.under_way -= 1
        return self.answers.pop(0)(self.updates[-1]) if self.answers else web.Response()

    @property
    def texts(self) -> list[str]:
        return [update["message"]["text"] for update in self.updates if "message" in update]


@pytest.fixture
async def receiver(box: Sandbox) -> AsyncIterator[Receiver]:
    made = Receiver()
    made.gate.set()
    app = web.Application()
    app.router.add_post("/hook", made.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    box.webhook.delay_s = 0.002
    yield made
    made.gate.set()
    await box.webhook.delete()
    await runner.cleanup()


async def delivered(box: Sandbox, person: Person) -> None:
    await person.until(lambda: len(box.updates) == 0, "every update be confirmed")


async def test_an_update_arrives_with_the_secret_and_leaves_the_queue(
    box: Sandbox, bot: Bot, anna: Person, receiver: Receiver
) -> None:
    assert await bot.set_webhook(receiver.url, secret_token="a-Z_9")
    await delivered(box, anna)
    (update,) = receiver.updates
    assert Update.model_validate(update).message.text == "hello"
    assert receiver.headers[0]["X-Telegram-Bot-Api-Secret-Token"] == "a-Z_9"
    assert receiver.headers[0]["Content-Type"] == "application/json"
    info = await bot.get_webhook_info()
    assert (info.url, info.pending_update_count, info.max_connections) == (receiver.url, 0, 40)
    assert info.last_error_message is None
    assert len(box.webhook.seconds) == 1


@pytest.mark.parametrize(
    ("url", "secret", "error"),
    [
        ("http://example.org/hook", None, "bad webhook: An HTTPS URL must be provided for webhook"),
        ("https://example.org:8080/", None, "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"),
        ("https://127.0.0.1/hook", None, "bad webhook: IP address 127.0.0.1 is reserved"),
        ("https://example.org/", None, "bad webhook: Failed to resolve host: Name or service not known"),
        ("http:///", None, "invalid webhook URL specified"),
        ("http://127.0.0.1:1/", "with space", "secret token contains unallowed characters"),
        ("http://127.0.0.1:1/", "секрет", "secret token contains unallowed characters"),
        ("http://127.0.0.1:1/", "a" * 257, "secret token is too long"),
    ],
)
async def test_addresses_and_secrets_telegram_refuses(bot: Bot, url: str, secret: str | None, error: str) -> None:
    with pytest.raises(TelegramBadRequest) as caught:
        await bot.set_webhook(url, secret_token=secret)
    assert caught.value.message == f"Bad Request: {error}"
    assert (await bot.get_webhook_info()).url == ""


async def test_polling_and_a_webhook_exclude_each_other(box: Sandbox, bot: Bot, anna: Person, receiver: Receiver) -> None:
    await bot.get_updates(offset=-1)
    first = box.updates.sent[0]["update_id"]
    poll = asyncio.create_task(bot.get_updates(offset=first + 1, timeout=30))
    await anna.until(lambda: box.updates._poller == 2, "the poll begin")
    await bot.set_webhook(receiver.url)
    with pytest.raises(TelegramConflictError, match="terminated by setWebhook request"):
        await poll
    with pytest.raises(TelegramConflictError, match="can't use getUpdates method while webhook is active; use deleteWebhook"):
        await bot.get_updates()
    assert await bot.delete_webhook()
    await anna.says("polled")
    assert [u.message.text for u in await bot.get_updates(offset=first + 1, timeout=5)] == ["polled"]


async def test_what_is_not_confirmed_comes_again_and_the_error_is_told(
    box: Sandbox, bot: Bot, anna: Person, receiver: Receiver
) -> None:
    receiver.answers = [lambda _: web.Response(status=500)] * 3
    await bot.set_webhook(receiver.url)
    await delivered(box, anna)
    assert receiver.texts == ["hello"] * 4
    info = await bot.get_webhook_info()
    assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
    assert info.last_error_date is not None


async def test_a_chat_waits_for_its_own_first_update_and_no_other_chat_does(
    box: Sandbox, bot: Bot, anna: Person, receiver: Receiver
) -> None:
    receiver.gate.clear()
    await bot.set_webhook(receiver.url)
    await anna.says("second")
    boris = box.person("Boris")
    await boris.says("other chat")
    await anna.presses_data("a press", 1)
    await receiver.has(under_way=3)  # Anna's first message, her press, and Boris
    receiver.gate.set()
    await delivered(box, anna)
    assert receiver.most_under_way == 3
    assert receiver.texts.index("hello") < receiver.texts.index("second")
    assert len(receiver.updates) == 4


async def test_max_connections_is_a_limit(box: Sandbox, bot: Bot, receiver: Receiver) -> None:
    receiver.gate.clear()
    await bot.set_webhook(receiver.url, max_connections=2)
    people = [box.person(f"P{n}") for n in range(6)]
    for person in people:
        await person.says("x")
    await receiver.has(under_way=2)
    receiver.gate.set()
    await delivered(box, people[0])
    assert (receiver.most_under_way, len(receiver.updates)) == (2, 6)


async def test_retry_after_is_honoured(box: Sandbox, bot: Bot, anna: Person, receiver: Receiver) -> None:
    receiver.answers = [lambda _: web.Response(status=503, headers={"Retry-After": "1"})]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await bot.set_webhook(receiver.url)
    await delivered(box, anna)
    assert loop.time() - began >= 1


async def test_a_silent_bot_and_one_that_is_not_there(box: Sandbox, bot: Bot, anna: Person, receiver: Receiver) -> None:
    box.webhook.patience_s = 0.02
    receiver.gate.clear()
    await bot.set_webhook(receiver.url)
    await anna.until(lambda: box.webhook.info().get("last_error_message") == "Read timeout expired", "a timeout")
    receiver.gate.set()
    box.webhook.patience_s = 5
    await delivered(box, anna)
    await bot.set_webhook("http://127.0.0.1:9/hook")
    await anna.says("into the void")
    await anna.until(lambda: box.webhook.info().get("last_error_message") == "Connection refused", "a refusal")
    assert (await bot.get_webhook_info()).pending_update_count == 1


async def test_what_a_deleted_webhook_owes_is_polled(box: Sandbox, bot: Bot, anna: Person) -> None:
    await bot.set_webhook("http://127.0.0.1:9/hook")
    await anna.says("two")
    assert await bot.delete_webhook()
    assert [u.message.text for u in await bot.get_updates(timeout=5)] == ["hello", "two"]
    await bot.set_webhook("http://127.0.0.1:9/hook", drop_pending_updates=True)
    assert (await bot.get_webhook_info()).pending_update_count == 0


async def test_setting_the_same_webhook_again_disturbs_nothing(box: Sandbox, bot: Bot, anna: Person, receiver: Receiver) -> None:
    receiver.gate.clear()
    await bot.set_webhook(receiver.url, secret_token="s")
    await receiver.has(under_way=1)
    await bot.set_webhook(receiver.url, secret_token="s", allowed_updates=["message"])
    receiver.gate.set()
    await delivered(box, anna)
    assert receiver.texts == ["hello"]
    assert (await bot.get_webhook_info()).allowed_updates == ["message"]


async def test_a_call_in_the_confirmation_is_made(box: Sandbox, bot: Bot, anna: Person, receiver: Receiver) -> None:
    def reply(update: dict) -> web.Response:
        chat_id = update["message"]["chat"]["id"]
        return web.json_response({"method": "sendMessage", "chat_id": chat_id, "text": "by return"})

    receiver.answers = [reply, lambda _: web.Response(text="{no json"), lambda _: web.json_response({"method": "getMe"})]
    await bot.set_webhook(receiver.url)
    assert (await anna.sees_text("by return")).from_bot
    await anna.says("two")
    await anna.says("three")
    await delivered(box, anna)
    assert len(box.ledger.of("sendMessage")) == 1


async def test_duplicates_late_and_old_updates_come_over_a_webhook_too(
    box: Sandbox, bot: Bot, anna: Person, receiver: Receiver
) -> None:
    await bot.set_webhook(receiver.url)
    await delivered(box, anna)
    box.faults.duplicate_updates()
    await anna.says("double")
    await delivered(box, anna)
    box.updates.replay(receiver.updates[0]["update_id"])
    await delivered(box, anna)
    assert receiver.texts == ["hello", "double", "double", "hello"]


async def test_the_page_tells_the_state_of_the_webhook(box: Sandbox, bot: Bot, anna: Person, receiver: Receiver) -> None:
    await bot.set_webhook(receiver.url)
    await delivered(box, anna)
    async with aiohttp.ClientSession() as session, session.get(f"{box.url}/sandbox/counts") as answer:
        counts = json.loads(await answer.text())
    assert counts["webhook"] == {"tries": 1, "confirmed": 1}
    assert counts["updates"] == {"sent": 1, "pending": 0}

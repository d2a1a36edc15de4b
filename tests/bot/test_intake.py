"""Updates come in: stored first, handled in order per chat, set aside when they cannot be handled."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiogram import Bot, Dispatcher, Router
from aiogram.types import CallbackQuery, Message
from pydantic import SecretStr

from bot.frame import ActorMiddleware, answering
from bot.intake import Poller, Pump, chat_of
from bot.settings import SettingsError, TelegramSettings
from bot.telegram import make_bot
from bot.texts import Texts
from handlers.ports import Toast
from sandbox.person import Person
from sandbox.server import Sandbox
from storage.database import Database
from storage.schema import migrate
from tests.storage.made import BOT, Store

PATIENCE_S = 10


@dataclass
class Heard:
    """What the handlers got; a text may make them fail, or wait until the test opens the gate."""

    texts: list[str] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    inside: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, text: str) -> None:
        if text.startswith("wait"):
            self.inside.set()
            await self.gate.wait()
        async with self.came:
            self.texts.append(text)
            self.came.notify_all()
        if text.startswith("fail"):
            raise RuntimeError("a handler that cannot")

    async def until(self, *texts: str) -> None:
        async with asyncio.timeout(PATIENCE_S), self.came:
            await self.came.wait_for(lambda: all(text in self.texts for text in texts))


@dataclass
class Intake:
    bot: Bot
    store: Store
    heard: Heard
    poller: Poller
    pump: Pump
    arrived: asyncio.Event

    @asynccontextmanager
    async def running(self, *, poll: bool = True, pump: bool = True) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.poller.run())] * poll + [asyncio.create_task(self.pump.run())] * pump
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def inbox(self) -> list[tuple[Any, ...]]:
        return await self.store.sql("SELECT state, attempts FROM inbox ORDER BY id")


def make_intake(bot: Bot, database: Database, texts: Texts) -> Intake:
    heard, router, arrived = Heard(), Router(), asyncio.Event()

    @router.message()
    async def message(message: Message) -> None:
        await heard.hear(message.text or "")

    @router.edited_message()
    async def edited(message: Message) -> None:
        await heard.hear(f"edited: {message.text}")

    @router.callback_query()
    async def press(query: CallbackQuery) -> Toast | None:
        await heard.hear(f"{query.data}")
        return Toast("toast.file") if query.data == "toast" else None

    dispatcher = Dispatcher(disable_fsm=True)
    dispatcher.include_router(router)
    dispatcher.update.outer_middleware(ActorMiddleware(database, bot.id))
    poller = Poller(bot, database, arrived)
    pump = Pump(bot, dispatcher, database, arrived, answering(bot, texts, database))
    return Intake(bot, Store(database), heard, poller, pump, arrived)


@pytest.fixture
def intake(bot: Bot, database: Database, texts: Texts) -> Intake:
    return make_intake(bot, database, texts)


@pytest.fixture
def anna(box: Sandbox) -> Person:
    """Anna has not written yet: every update here is the test's own."""
    return box.person("Anna", "en", patience=PATIENCE_S)


async def test_what_is_said_reaches_the_handlers_and_is_done(intake: Intake, anna: Person) -> None:
    async with intake.running():
        await anna.says("hello")
        await intake.heard.until("hello")
    assert await intake.inbox() == [("done", 0)]


async def test_a_chat_is_heard_in_its_order(intake: Intake, anna: Person) -> None:
    said = [f"{number}" for number in range(20)]
    for text in said:
        await anna.says(text)
    async with intake.running():
        await intake.heard.until(said[-1])
    assert intake.heard.texts == said


async def test_updates_that_come_newest_first_are_heard_in_their_order(box: Sandbox, intake: Intake, anna: Person) -> None:
    box.faults.reverse_updates()
    said = [f"{number}" for number in range(5)]
    for text in said:
        await anna.says(text)
    async with intake.running():
        await intake.heard.until(*said)
    assert intake.heard.texts == said


async def test_a_slow_chat_does_not_hold_up_another(box: Sandbox, intake: Intake, anna: Person) -> None:
    boris = box.person("Boris")
    async with intake.running():
        await anna.says("wait")
        await anna.says("after")
        await boris.says("quick")
        await intake.heard.until("quick")
        assert intake.heard.texts == ["quick"]
        intake.heard.gate.set()
        await intake.heard.until("wait", "after")
    assert intake.heard.texts == ["quick", "wait", "after"]


async def test_an_update_that_comes_twice_is_heard_once(box: Sandbox, intake: Intake, anna: Person) -> None:
    box.faults.duplicate_updates(2)
    async with intake.running():
        for text in ("once", "twice", "end"):
            await anna.says(text)
        await intake.heard.until("end")
        await anna.until(lambda: len(box.world.updates) == 0, "every copy be confirmed")
    assert intake.heard.texts == ["once", "twice", "end"]


async def test_an_update_replayed_later_is_not_heard_again(box: Sandbox, intake: Intake, anna: Person) -> None:
    async with intake.running():
        await anna.says("once")
        await intake.heard.until("once")
        box.world.updates.replay(box.world.updates.sent[0]["update_id"])
        await anna.says("end")
        await intake.heard.until("end")
    assert intake.heard.texts == ["once", "end"]


async def test_nothing_is_confirmed_before_it_is_stored(
    box: Sandbox, bot: Bot, texts: Texts, tmp_path: Path, anna: Person
) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'late.db'}")  # without tables, nothing can be stored
    intake = make_intake(bot, database, texts)
    await anna.says("kept")
    async with intake.running(pump=False):
        await anna.until(lambda: box.world.updates._poller >= 3, "several polls")
        assert len(box.world.updates) == 1
        await migrate(database)
        async with asyncio.timeout(PATIENCE_S):
            await intake.arrived.wait()
        assert await intake.inbox() == [("new", 0)]
        await anna.until(lambda: len(box.world.updates) == 0, "the update be confirmed")
    await database.close()


async def test_what_was_stored_before_a_crash_is_handled_after_it(intake: Intake, anna: Person) -> None:
    await anna.says("before")
    async with intake.running(pump=False), asyncio.timeout(PATIENCE_S):
        await intake.arrived.wait()
    async with intake.running(poll=False):
        await intake.heard.until("before")


async def test_polling_goes_on_after_telegrams_bad_moments(box: Sandbox, intake: Intake, anna: Person) -> None:
    box.faults.server_error("getUpdates", html=True)
    box.faults.drop_before_applying("getUpdates")
    async with intake.running():
        await anna.says("hello")
        await intake.heard.until("hello")


async def test_a_wrong_token_stops_the_poller_with_the_next_step(box: Sandbox, database: Database) -> None:
    bot = make_bot(TelegramSettings(token=SecretStr(f"{BOT}:another-token-than-the-right-one"), api=box.url))
    with pytest.raises(SettingsError, match=r"TELEGRAM_TOKEN: .*@BotFather"):
        await Poller(bot, database, asyncio.Event()).run()
    await bot.session._session.close()  # type: ignore[attr-defined]


async def test_a_handler_that_fails_is_tried_again_later(intake: Intake, anna: Person) -> None:
    async with intake.running():
        await anna.says("fail")
        await intake.heard.until("fail")
    assert await intake.inbox() == [("new", 1)]
    assert await intake.store.number("SELECT next_at - received_at FROM inbox") == pytest.approx(1, abs=0.9)


async def _hopeless(box: Sandbox, intake: Intake, anna: Person) -> None:
    """Store an update that has had all its tries but one."""
    said = await anna.says("fail")
    box.world.updates.drop_pending()
    payload = {"update_id": 1, "message": said.raw}
    await intake.store.update(1, anna.id, json.dumps(payload))
    await intake.store.sql("UPDATE inbox SET attempts = 4")


async def test_the_fifth_failure_sets_an_update_aside_with_one_word(
    box: Sandbox, intake: Intake, anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    await _hopeless(box, intake, anna)
    with caplog.at_level(logging.ERROR):
        async with intake.running(poll=False):
            await intake.heard.until("fail")
    ((state, error, payload),) = await intake.store.sql("SELECT state, error, payload FROM inbox")
    assert state == "poison"
    assert "fail" in payload
    ((key, params),) = await intake.store.sql("SELECT key, params FROM notice")
    code = json.loads(params)["code"]
    assert (key, error) == ("fallback.poison", f"{code} RuntimeError")
    assert code in caplog.text


async def test_a_chat_goes_on_after_an_update_was_set_aside(box: Sandbox, intake: Intake, anna: Person) -> None:
    await _hopeless(box, intake, anna)
    async with intake.running():
        await intake.heard.until("fail")
        await anna.says("next")
        await intake.heard.until("next")
    assert [state for state, _ in await intake.inbox()] == ["poison", "done"]


async def test_other_chats_go_on_while_one_is_tried_again(box: Sandbox, intake: Intake, anna: Person) -> None:
    boris = box.person("Boris")
    async with intake.running():
        await anna.says("fail")
        await intake.heard.until("fail")
        await anna.says("after")
        await boris.says("hello")
        await intake.heard.until("hello")
    assert "after" not in intake.heard.texts


async def test_what_is_no_update_is_set_aside_at_once_without_a_traceback(
    intake: Intake, anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    await intake.store.user(anna.id)
    await intake.store.update(1, anna.id, '{"update_id": 1, "message": {"date": "never"}}')
    with caplog.at_level(logging.ERROR):
        async with intake.running():
            await anna.says("next")
            await intake.heard.until("next")
    assert [state for state, _ in await intake.inbox()] == ["poison", "done"]
    assert await intake.store.sql("SELECT key FROM notice") == [("fallback.poison",)]
    assert not [record for record in caplog.records if record.exc_info]


async def test_an_edited_message_comes_too(intake: Intake, anna: Person) -> None:
    said = await anna.says("first")
    async with intake.running():
        await intake.heard.until("first")
        await anna.edits(said.id, "second")
        await intake.heard.until("edited: second")


async def _message_with_button(intake: Intake, anna: Person) -> None:
    await anna.says("hello")
    await intake.bot.send_message(anna.id, "press")


@pytest.mark.parametrize(("data", "text"), [("toast", "Sending the file…"), ("silent", "")])
async def test_every_press_is_answered(intake: Intake, anna: Person, data: str, text: str) -> None:
    await _message_with_button(intake, anna)
    async with intake.running():
        answer = await (await anna.presses_data(data)).answered()
    assert (answer.text, answer.show_alert) == (text, False)


async def test_a_press_that_fails_is_answered_with_a_word(intake: Intake, anna: Person) -> None:
    await _message_with_button(intake, anna)
    async with intake.running():
        answer = await (await anna.presses_data("fail")).answered()
    assert answer.text.startswith("That did not work")
    assert answer.show_alert


async def test_a_press_on_a_message_that_is_gone_is_answered(intake: Intake, anna: Person) -> None:
    await _message_with_button(intake, anna)
    async with intake.running():
        assert (await (await anna.presses_data("toast", message_id=999)).answered()).text


async def test_an_update_of_nobody_is_done_without_a_word(intake: Intake, anna: Person) -> None:
    post = {"message_id": 1, "date": 1, "chat": {"id": -100, "type": "channel", "title": "News"}, "text": "hello"}
    await intake.store.update(1, -100, json.dumps({"update_id": 1, "message": post}))
    async with intake.running():
        await anna.says("end")
        await intake.heard.until("end")
    assert intake.heard.texts == ["end"]
    assert await intake.inbox() == [("done", 0)] * 2


async def test_a_message_being_handled_when_the_bot_stops_is_finished(intake: Intake, anna: Person) -> None:
    async with intake.running():
        await anna.says("wait")
        async with asyncio.timeout(PATIENCE_S):
            await intake.heard.inside.wait()
        asyncio.get_running_loop().call_soon(intake.heard.gate.set)
    assert intake.heard.texts == ["wait"]
    assert await intake.inbox() == [("done", 0)]


async def test_a_message_that_takes_too_long_to_finish_is_left_to_who_comes_next(
    intake: Intake, anna: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.intake._LAST_S", 0.05)
    async with intake.running():
        await anna.says("wait")
        async with asyncio.timeout(PATIENCE_S):
            await intake.heard.inside.wait()
    intake.heard.gate.set()
    await asyncio.sleep(0.05)
    assert intake.heard.texts == []
    assert await intake.inbox() == [("new", 0)]


@pytest.mark.parametrize(
    ("update", "chat_id"),
    [
        ({"update_id": 1, "message": {"message_id": 1, "chat": {"id": 7}, "from": {"id": 8}}}, 7),
        ({"update_id": 1, "edited_message": {"chat": {"id": -7}}}, -7),
        ({"update_id": 1, "callback_query": {"from": {"id": 8}, "message": {"chat": {"id": 7}}}}, 7),
        ({"update_id": 1, "callback_query": {"from": {"id": 8}, "inline_message_id": "x"}}, 8),
        ({"update_id": 1, "my_chat_member": {"chat": {"id": 7}, "from": {"id": 8}}}, 7),
        ({"update_id": 1, "poll": {"id": "x"}}, 0),
        ({"update_id": 1}, 0),
    ],
)
def test_the_chat_of_an_update_is_found(update: dict[str, Any], chat_id: int) -> None:
    assert chat_of(update) == chat_id

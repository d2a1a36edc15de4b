"""aiogram's dialogs in SQL: they survive restarts, end by themselves, and cost nothing where there are none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import StorageKey
from sqlalchemy import event

from bot.dialogs import Dialogs
from sandbox.person import Person
from storage.database import Database
from storage.repositories.dialogs import DialogRepository
from tests.bot.house import House
from tests.storage.made import BOT, Store


class Toy(StatesGroup):
    asked = State()
    answered = State()


@pytest.fixture
async def dialogs(database: Database) -> AsyncIterator[Dialogs]:
    made = Dialogs(database, BOT)
    yield made
    await made.close()


def _context(dialogs: Dialogs, person: int = 1, chat: int | None = None) -> FSMContext:
    return FSMContext(dialogs, StorageKey(BOT, chat or person, person))


@contextmanager
def _statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def listen(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", listen)
    yield seen
    event.remove(database.engine.sync_engine, "before_cursor_execute", listen)


async def test_state_and_data_are_kept_and_end_together(dialogs: Dialogs, store: Store) -> None:
    context = _context(dialogs)
    assert (await context.get_state(), await context.get_data()) == (None, {})
    await context.set_state(Toy.asked)
    await context.update_data(words="ёж", number=3)
    assert (await context.get_state(), await context.get_data()) == ("Toy:asked", {"words": "ёж", "number": 3})
    await context.set_state(Toy.answered)
    assert (await context.get_state(), await context.get_data()) == ("Toy:answered", {"words": "ёж", "number": 3})
    await context.clear()
    assert (await context.get_state(), await context.get_data()) == (None, {})
    assert await store.sql("SELECT * FROM dialog") == []


async def test_data_without_a_state_is_kept(dialogs: Dialogs) -> None:
    context = _context(dialogs)
    await context.set_data({"x": 1})
    assert (await context.get_state(), await context.get_data()) == (None, {"x": 1})


async def test_people_and_chats_have_dialogs_of_their_own(dialogs: Dialogs) -> None:
    await _context(dialogs, 1).set_state(Toy.asked)
    assert await _context(dialogs, 2).get_state() is None
    assert await _context(dialogs, 1, chat=-100).get_state() is None


async def test_a_dialog_survives_a_restart(dialogs: Dialogs, database: Database) -> None:
    await _context(dialogs).set_state(Toy.asked)
    assert await _context(Dialogs(database, BOT)).get_state() == "Toy:asked"
    assert await _context(Dialogs(database, BOT + 1)).get_state() is None


async def test_where_no_dialog_is_open_sql_is_not_asked(dialogs: Dialogs, database: Database) -> None:
    await _context(dialogs, 1).set_state(Toy.asked)
    with _statements(database) as seen:
        for person in range(2, 50):
            assert await _context(dialogs, person).get_state() is None
            await _context(dialogs, person).clear()
    assert seen == []


async def test_a_process_that_takes_over_sees_what_the_other_one_opened(dialogs: Dialogs, database: Database) -> None:
    other = Dialogs(database, BOT)
    assert await _context(dialogs).get_state() is None
    await _context(other).set_state(Toy.asked)
    dialogs.look_again()
    assert await _context(dialogs).get_state() == "Toy:asked"


async def test_an_expired_dialog_is_over_and_forgotten(dialogs: Dialogs, store: Store) -> None:
    context = _context(dialogs)
    await context.set_state(Toy.asked)
    await store.sql("UPDATE dialog SET expires_at = expires_at - 3600")
    assert await context.get_state() is None
    await dialogs.forget_expired()
    assert await store.sql("SELECT * FROM dialog") == []
    await context.set_state(Toy.asked)
    assert await context.get_state() == "Toy:asked"


async def test_what_is_opened_while_others_look_is_not_overlooked(dialogs: Dialogs) -> None:
    """Right after a start many chats look at once which dialogs are open."""
    first = [_context(dialogs, person).get_state() for person in range(2, 30)]
    await asyncio.gather(*first, _context(dialogs, 1).set_state(Toy.asked))
    assert await _context(dialogs, 1).get_state() == "Toy:asked"


async def test_a_question_is_asked_if_and_only_if_its_answer_will_be_known(
    house: House, anna: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise OSError("database is locked")

    await anna.presses_data("v1f")
    press = house.last()
    with monkeypatch.context() as broken:
        broken.setattr(DialogRepository, "put", away)
        await house.gets(press)
    assert house.said() == []
    assert [state for state, *_ in await house.inbox()] == ["new"]  # and tried again
    await house.store.sql("UPDATE inbox SET next_at = 0")
    await house.gets()
    assert ["What shall I look for" in said.text for said in house.said()] == [True]
    await anna.says("red star")
    await house.gets(house.last())
    assert await house.store.sql("SELECT key FROM notice ORDER BY id") == [("history.ask",), ("history.not-drawn-yet",)]
    assert await house.jobs() == 0

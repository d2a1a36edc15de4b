"""How transactions begin and end."""

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from storage.database import Database, db_now
from tests.storage.made import Store

_ADD_ONE = "UPDATE worker SET seen_at = seen_at + 1 WHERE id = 'w'"


async def _worker_row(store: Store) -> None:
    await store.sql("INSERT INTO worker VALUES ('w', 'f', ',l,', 'cpu', 'idle', 0)")


async def _read_then_write(database: Database, times: int) -> None:
    for _ in range(times):
        async with database.begin() as session:
            seen = await session.scalar(text("SELECT seen_at FROM worker WHERE id = 'w'"))
            await session.execute(text("UPDATE worker SET seen_at = :seen WHERE id = 'w'"), {"seen": seen + 1})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_two_that_read_then_write_never_meet_a_locked_database(store: Store, database_url: str) -> None:
    await _worker_row(store)
    other = Database(database_url)
    await asyncio.gather(_read_then_write(store.database, 20), _read_then_write(other, 20))
    await other.close()
    assert await store.number("SELECT seen_at FROM worker") == 40


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_writing_transaction_holds_the_lock_from_its_first_read(database: Database, database_url: str) -> None:
    beside = sqlite3.connect(Path(database_url.removeprefix("sqlite+aiosqlite:///")), timeout=0, isolation_level=None)
    async with database.begin() as session:
        await session.scalar(text("SELECT count(*) FROM job"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            beside.execute("BEGIN IMMEDIATE")
    beside.execute("BEGIN IMMEDIATE")
    beside.close()


async def test_reading_waits_for_no_writer_and_sees_one_moment(store: Store) -> None:
    await _worker_row(store)
    async with store.database.read() as reading:
        assert await reading.scalar(text("SELECT seen_at FROM worker")) == 0
        await store.sql(_ADD_ONE)
        assert await reading.scalar(text("SELECT seen_at FROM worker")) == 0
    assert await store.number("SELECT seen_at FROM worker") == 1


async def test_what_is_written_while_reading_is_not_kept(store: Store) -> None:
    await _worker_row(store)
    async with store.database.read() as reading:
        await reading.execute(text(_ADD_ONE))
    assert await store.number("SELECT seen_at FROM worker") == 0


async def test_an_exception_takes_everything_back(store: Store) -> None:
    await _worker_row(store)

    async def write_and_fail() -> None:
        async with store.database.begin() as session:
            await session.execute(text(_ADD_ONE))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await write_and_fail()
    assert await store.number("SELECT seen_at FROM worker") == 0


async def test_a_cancelled_transaction_is_taken_back_and_leaves_the_database_free(store: Store) -> None:
    await _worker_row(store)
    inside = asyncio.Event()

    async def write() -> None:
        async with store.database.begin() as session:
            await session.execute(text(_ADD_ONE))
            inside.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(write())
    await inside.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await store.sql(_ADD_ONE)
    assert await store.number("SELECT seen_at FROM worker") == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 5000), ("foreign_keys", 1)]
)
async def test_sqlite_is_set_up_on_every_connection(database: Database, pragma: str, value: object) -> None:
    async with database.begin() as first, database.read() as second:  # two at once: two connections of the pool
        for session in (first, second):
            assert await session.scalar(text(f"PRAGMA {pragma}")) == value


async def test_a_row_that_points_nowhere_is_refused(store: Store) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await store.sql("INSERT INTO telegram_file VALUES (1, 2, 'photo', 'a', 'b')")


async def test_the_database_clock_counts_seconds_since_1970(database: Database) -> None:
    async with database.read() as session:
        now = await session.scalar(select(db_now()))
    assert now == pytest.approx(time.time(), abs=5)


async def test_a_database_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(OperationalError):
        async with database.begin() as session:
            await session.scalar(text("SELECT 1"))
    await database.close()

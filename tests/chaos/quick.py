"""SQLite in memory, in this thread and by a clock of its own: thousands of short lives, one transaction at a time."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import Database
from storage.schema import migrate

T = TypeVar("T")


class WriteFailed(OSError):
    """The database does not take a write, as a full disk would not."""


failing: ContextVar[int] = ContextVar("failing", default=0)  # so many of this task's next writing transactions fail

_DAWN = 1_700_000_000.0  # seconds since 1970 when every life begins


class _Cursor(sqlite3.Cursor):
    """What SQLAlchemy's asyncio side asks of a cursor beside the standard."""

    async def _async_soft_close(self) -> None:
        """All rows are here already."""


class _Connection(sqlite3.Connection):
    def cursor(self, *how: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(_Cursor)


class QuickDatabase(Database):
    """The real `Database` on one connection of the standard library's, which answers at once instead of from a thread.

    Its clock is `now`, and stands still unless it is moved: `julianday`, which `db_now` asks, is replaced.
    """

    def __init__(self) -> None:
        super().__init__("sqlite+aiosqlite://")
        self.now = _DAWN
        self._turn = asyncio.Lock()
        self._sqlite = sqlite3.connect(":memory:", check_same_thread=False, factory=_Connection)
        self._sqlite.create_function("julianday", 1, lambda _: self.now / 86400 + 2440587.5)
        event.listen(self.engine.sync_engine, "do_connect", lambda *how: self._sqlite)
        self._empty = b""

    @classmethod
    async def made(cls) -> "QuickDatabase":
        """Make a migrated one, whose contents `reset` brings back."""
        database = cls()
        await migrate(database)
        database._empty = database._sqlite.serialize()
        return database

    def reset(self) -> None:
        """Forget all rows, whatever transaction an ended event loop has left open."""
        self.now, self._turn = _DAWN, asyncio.Lock()
        self._sqlite.rollback()
        self._sqlite.deserialize(self._empty)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        async with self._turn:
            if failing.get():
                failing.set(failing.get() - 1)
                raise WriteFailed("disk is full")
            async with super().begin() as session:
                yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        async with self._turn, super().read() as session:
            yield session

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[AsyncSession]:
        """Between two transactions: all share one connection, and this statement must belong to none of them."""
        async with self._turn, super().alone() as session:
            yield session

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement beside everything, between two transactions."""
        return list(self._sqlite.execute(statement, values))

    @property
    def changes(self) -> int:
        """How many rows were ever written: what has not changed need not be looked at again."""
        return int(self._sqlite.total_changes)


class AtOnce(ThreadPoolExecutor):
    """Runs what it is given in the caller's thread: no thread starts, and nothing runs in an order of its own."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done

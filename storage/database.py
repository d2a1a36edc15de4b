"""Opening the database: the one place that knows how SQLite and PostgreSQL differ when connecting."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, Connection, Float, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from storage.address import for_asyncpg
from storage.errors import NoDatabase

_READ_ONLY = "kandinsky_read_only"
ALONE = "kandinsky_alone"  # execution option of connections whose statements are each a transaction
_POSTGRESQL: dict[str, Any] = {
    "pool_size": 8,  # of one process; more would wait for each other in the database instead of here
    "max_overflow": 0,  # one more than the pool keeps would be opened, taught every statement, and closed again
}
_ARGUMENTS: dict[str, Any] = {
    "prepared_statement_cache_size": 500,  # a list of another length is another statement
    "timeout": 10,  # seconds to connect
}


class db_now(GenericFunction[float]):
    """Seconds since 1970 on the database's clock, so that a worker's wrong clock changes nothing."""

    type = Float(53)
    inherit_cache = True


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(db_now, "postgresql")
def _postgresql_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


class Database:
    """Sessions for writing (`begin`) and for reading (`read`).

    On SQLite every writing transaction is `BEGIN IMMEDIATE`: a deferred one that reads first fails at once with
    "database is locked" when another process wrote in between, and no timeout helps.
    """

    def __init__(self, url: str) -> None:
        try:
            address, options = _options(make_url(url))
            self.engine: AsyncEngine = create_async_engine(
                address,
                hide_parameters=True,  # people's words belong in no log
                **options,
            )
        except (ArgumentError, ModuleNotFoundError) as error:
            raise NoDatabase(f"DATABASE_URL: {error}") from None
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
        one_moment = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        # SQLite's driver is in that state anyway, and SQLAlchemy would take it out again
        no_transaction = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
        self._alone = self.engine.execution_options(**{ALONE: True}, **no_transaction)
        self._reading = self.engine.execution_options(**{_READ_ONLY: True}, **one_moment)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """One writing transaction: committed at the end of the block, rolled back by any exception."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """One consistent read; nothing written through it is kept."""
        async with AsyncSession(self._reading, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[AsyncSession]:
        """For one statement, or several that are whole each by itself: a third of the way that `begin` and `read` go."""
        async with AsyncSession(self._alone, expire_on_commit=False) as session:
            yield session

    async def close(self) -> None:
        await self.engine.dispose()


def _options(url: URL) -> tuple[URL, dict[str, Any]]:
    if url.drivername != "postgresql+asyncpg":
        return url, {}
    url, arguments = for_asyncpg(url)
    return url, {**_POSTGRESQL, "connect_args": {**_ARGUMENTS, **arguments}}


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(ALONE, False):
        return
    read_only = options.get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

"""One PostgreSQL database for many tests: emptied after each in a millisecond, where a copy of the template takes seventy."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]

from tests.servers import TEMPLATE, Postgres

T = TypeVar("T")

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
_SHAPE = """
    SELECT md5(string_agg(named, ' ' ORDER BY named)) FROM (
        SELECT 'version ' || version_num AS named FROM alembic_version
        UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ) AS everything"""
_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_FROM_ONE = "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence"


class ReusedDatabase:
    """A migrated database of a server. Not for two tests at once."""

    def __init__(self, server: Postgres) -> None:
        self._server, self._loop = server, asyncio.new_event_loop()
        self._made: tuple[str, asyncpg.Connection] | None = None

    def empty(self) -> str:
        """The address of the database, without rows and with every sequence at its start."""
        if self._made is None:
            name = self._server.fresh(TEMPLATE)
            address = self._server.url(name).replace("+asyncpg", "")
            connection = self._run(asyncpg.connect(address))
            self._made = name, connection
            self._shape = self._run(connection.fetchval(_SHAPE))
            tables = [str(row[0]) for row in self._run(connection.fetch(_TABLES))]
            deletes = [f'DELETE FROM "{table}"' for table in tables]  # noqa: S608
            self._clean = "; ".join(["SET session_replication_role = replica", *deletes])
        return self._server.url(self._made[0])

    def used(self) -> None:
        """A test has ended; what it left is deleted. Where it left a connection or another schema, the database goes, too."""
        if self._made is None:
            return
        connection = self._made[1]
        if self._run(connection.fetchval(_OTHERS)) or self._run(connection.fetchval(_SHAPE)) != self._shape:
            self.drop()
            return
        self._run(connection.execute(f"{self._clean}; {_FROM_ONE}"))

    def drop(self) -> None:
        if self._made is not None:
            (name, connection), self._made = self._made, None
            self._run(connection.close())
            self._server.drop(name)

    def close(self) -> None:
        self.drop()
        self._loop.close()

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(doing)

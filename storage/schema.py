"""Bringing a database to this code's revision, and refusing one that is not."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from storage.errors import NoDatabase, OldSchema

_MIGRATIONS = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> str:
    """Bring the schema to the newest revision, in one transaction; return that revision.

    Raises: OldSchema when the database has been used by a newer version.
    """

    def upgrade(connection: Connection) -> None:
        _check_known(MigrationContext.configure(connection).get_current_revision())
        command.upgrade(_config(connection), "head")

    async with _connected(database, "Is its folder there, and yours to write?") as connection, connection.begin():
        await connection.run_sync(upgrade)
    return newest_revision()


@asynccontextmanager
async def _connected(database: Database, local_hint: str) -> AsyncIterator[AsyncConnection]:
    """A connection, or `NoDatabase` with what to mend: each driver has errors of its own for a server that is not there."""
    sqlite_file = database.engine.url.database if database.engine.dialect.name == "sqlite" else None
    try:
        if sqlite_file:
            sqlite3.connect(sqlite_file).close()  # when this fails in aiosqlite, its thread outlives our event loop
        connection = await database.engine.connect()
    except Exception as error:
        hint = local_hint if sqlite_file else "Is the server running, and are address and password right?"
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise NoDatabase(f"DATABASE_URL: the database cannot be opened ({cause or type(error).__name__}). {hint}") from error
    try:
        yield connection
    finally:
        await connection.close()


def newest_revision() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise OldSchema("This installation has no migrations; install it again.")
    return head


def _check_known(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise OldSchema(
            f"The database is at revision {revision}, which this version does not know. "
            "Install the newer version again, or restore a backup from before the update."
        )


async def check_schema(database: Database) -> None:
    """Raise `OldSchema` unless the database is at this code's revision."""
    try:
        async with _connected(database, "Run: kandinsky-bot migrate") as connection:
            current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    except (DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise NoDatabase(f"DATABASE_URL: the database cannot be read ({cause}). Run: kandinsky-bot doctor") from error
    await asyncio.to_thread(_check_known, current)
    newest = await asyncio.to_thread(newest_revision)
    if current != newest:
        raise OldSchema(f"The database is at revision {current or 'none'}, this code needs {newest}. Run: kandinsky-bot migrate")

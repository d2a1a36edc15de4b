"""Bringing a database to this code's revision, and refusing one that is not."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from storage.database import Database
from storage.errors import NoDatabase, OldSchema

_MIGRATIONS = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> str:
    """Bring the schema to the newest revision, in one transaction; return that revision."""

    def upgrade(connection: Connection) -> None:
        command.upgrade(_config(connection), "head")

    async with database.engine.begin() as connection:
        await connection.run_sync(upgrade)
    return newest_revision()


def newest_revision() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise OldSchema("This installation has no migrations; install it again.")
    return head


async def check_schema(database: Database) -> None:
    """Raise `OldSchema` unless the database is at this code's revision."""
    try:
        async with database.engine.connect() as connection:
            current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    except (DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise NoDatabase(f"DATABASE_URL: the database cannot be opened ({cause}). Run: kandinsky-bot migrate") from error
    newest = await asyncio.to_thread(newest_revision)
    if current != newest:
        raise OldSchema(f"The database is at revision {current or 'none'}, this code needs {newest}. Run: kandinsky-bot migrate")

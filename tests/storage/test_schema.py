"""The migrations and the tables say the same; the database guards what has ended."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable

from storage.database import Database
from storage.domain import TERMINAL, InboxState, JobState, WorkerState
from storage.errors import OldSchema
from storage.post import SendState
from storage.schema import check_schema, migrate, newest_revision
from storage.tables import Base
from tests.storage.made import Store


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def _constraints(connection: Connection) -> dict[str, set[str]]:
    """What `compare_metadata` does not look at: checks, and the names of unique constraints and foreign keys."""
    found = inspect(connection)
    return {
        table: {f"{check['name']}: {check['sqltext']}" for check in found.get_check_constraints(table)}
        | {f"{unique['name']}" for unique in found.get_unique_constraints(table)}
        | {f"{key['name']}" for key in found.get_foreign_keys(table)}
        for table in found.get_table_names()
        if table != "alembic_version"
    }


async def test_migrations_build_exactly_what_the_tables_say(database: Database) -> None:
    async with database.engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


async def test_migrations_build_every_constraint_of_the_tables(database: Database, empty_url: str) -> None:
    from_tables = Database(empty_url)
    async with from_tables.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        wanted = await connection.run_sync(_constraints)
    await from_tables.close()
    async with database.engine.connect() as connection:
        assert await connection.run_sync(_constraints) == wanted


async def test_migrating_again_changes_nothing(database: Database) -> None:
    assert await migrate(database) == newest_revision()
    await check_schema(database)


async def test_an_empty_database_is_refused_with_the_next_step(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(OldSchema, match=r"revision none, .* kandinsky-bot migrate"):
        await check_schema(database)
    await database.close()


async def test_an_old_schema_is_refused_with_the_next_step(database: Database, store: Store) -> None:
    await store.sql("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(OldSchema, match=rf"revision 0001, this code needs {newest_revision()}. Run: kandinsky-bot migrate"):
        await check_schema(database)


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'half.db'}")
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE telegram_file (picture_id INTEGER)")  # the last one a migration makes
    with pytest.raises(Exception, match="telegram_file"):
        await migrate(database)
    async with database.engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert tables == ["telegram_file"]
    await database.close()


@pytest.mark.parametrize("ended", sorted(TERMINAL))
@pytest.mark.parametrize("way_out", [state for state in JobState if state != JobState.RUNNING])
async def test_no_way_leads_out_of_a_terminal_state(store: Store, ended: JobState, way_out: JobState) -> None:
    job = await store.job(await store.user())
    await store.sql("UPDATE job SET state = :state WHERE id = :id", state=ended, id=job.id)
    if way_out == ended:
        await store.sql("UPDATE job SET state = :state WHERE id = :id", state=way_out, id=job.id)
    else:
        with pytest.raises(IntegrityError, match="a finished job does not change"):
            await store.sql("UPDATE job SET state = :state WHERE id = :id", state=way_out, id=job.id)
    assert (await store.get(job)).state == ended


async def test_a_lease_belongs_to_running_jobs_alone(store: Store) -> None:
    job = await store.job(await store.user())
    with pytest.raises(IntegrityError, match="ck_job_lease"):
        await store.sql("UPDATE job SET state = 'running' WHERE id = :id", id=job.id)
    with pytest.raises(IntegrityError, match="ck_job_lease"):
        await store.sql("UPDATE job SET lease_until = 1 WHERE id = :id", id=job.id)


def test_postgresql_can_write_every_table() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in Base.metadata.sorted_tables:
        ddl = str(CreateTable(table).compile(dialect=dialect))
        assert "FLOAT " not in ddl.replace("FLOAT(53)", "")  # four bytes are too few for a time
        for index in table.indexes:
            CreateIndex(index).compile(dialect=dialect)


def test_names_fit_into_postgresql() -> None:
    """PostgreSQL cuts longer names, and two of them may then be one."""
    for table in Base.metadata.tables.values():
        names = [index.name for index in table.indexes] + [constraint.name for constraint in table.constraints]
        assert max(len(str(name)) for name in [table.name, *table.columns.keys(), *names]) <= 63


def test_states_fit_into_their_columns() -> None:
    """SQLite does not mind a long text in a short column; PostgreSQL does."""
    states = {"job": JobState, "delivery": SendState, "notice": SendState, "inbox": InboxState, "worker": WorkerState}
    for table, values in states.items():
        length = Base.metadata.tables[table].columns["state"].type.length  # type: ignore[attr-defined]
        assert max(len(value) for value in values) <= length


def test_the_migrations_are_one_line_of_revisions(tmp_path: Path) -> None:
    """Two heads would make `upgrade head` fail on the first deploy."""
    assert asyncio.run(_fresh(tmp_path)) == newest_revision()


async def _fresh(folder: Path) -> str:
    database = Database(f"sqlite+aiosqlite:///{folder / 'fresh.db'}")
    try:
        return await migrate(database)
    finally:
        await database.close()


async def test_a_database_of_a_newer_version_is_one_sentence(store: Store) -> None:
    database = store.database
    async with database.begin() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    for look in (migrate, check_schema):
        with pytest.raises(OldSchema, match="revision 0099, which this version does not know"):
            await look(database)

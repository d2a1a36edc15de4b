"""Pictures from before the history get the words that a search compares."""

from pathlib import Path

from alembic import command
from sqlalchemy import text

from storage.database import Database
from storage.repositories.history import searchable
from storage.schema import _config, migrate
from tests.storage.made import Store

PROMPTS = {1: "A Red Star", 2: "Зелёный круг"}
JOB = (
    "INSERT INTO job (id, public_id, bot_id, user_id, chat_id, kind, family, lane, params, seed, dedupe_key, state, attempt, "
    "crash_count, fence, step, steps, cancel_requested, deadline_at, rung_at, created_at) VALUES (:id, :id, 1, 1, 1, 'k', 'f', "
    "'l', :params, 1, :id, 'queued', 0, 0, 0, 0, 0, false, 0, 0, 0)"
)
PICTURE = (
    "INSERT INTO picture (id, public_id, user_id, job_id, ordinal, media_id, seed, width, height, operation, favourite, "
    "created_at) VALUES (:id, :id, 1, :id, 0, 'm', 1, 1, 1, 'k', false, 0)"
)


def _prompt(number: int) -> str:
    return PROMPTS.get(number, f"picture {number}")


async def test_older_pictures_can_be_searched(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'old.db'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), "0001"))
    store = Store(database)
    await store.sql(
        'INSERT INTO "user" (id, bot_id, telegram_id, language, settings, running, last_served_at, created_at) '
        "VALUES (1, 1, 1, 'en', '{}', 0, 0, 0)"
    )
    numbers = range(1, 1203)  # more than the migration takes at a time
    jobs = [{"id": number, "params": f'{{"prompt":"{_prompt(number)}"}}'} for number in numbers]
    async with database.begin() as session:
        await session.execute(text(JOB), jobs)
        await session.execute(text(PICTURE), jobs)
    assert await migrate(database) >= "0002"
    words = dict(await store.sql("SELECT id, words FROM picture"))
    assert len(words) == 1202
    assert all(words[number] == searchable(_prompt(number)) for number in numbers)
    await database.close()

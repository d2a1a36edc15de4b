"""Pictures from before names get some: one person's all differ, and are what a new picture would be called."""

from pathlib import Path

from alembic import command
from sqlalchemy import text

from storage.database import Database
from storage.names import whole_name
from storage.schema import _config, migrate
from tests.storage.made import Store

PICTURE = (
    "INSERT INTO picture (id, public_id, user_id, ordinal, media_id, seed, width, height, operation, favourite, created_at) "
    "VALUES (:id, :public, :user, 0, 'm', 1, 1, 1, 'upload', false, 0)"
)


async def test_older_pictures_have_names(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'old.db'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), "0007"))
    store = Store(database)
    for user in (1, 2):
        await store.sql(
            'INSERT INTO "user" (id, bot_id, telegram_id, language, settings, running, last_served_at, created_at) '
            "VALUES (:user, 1, :user, 'en', '{}', 0, 0, 0)",
            user=user,
        )
    rows = [{"id": number, "public": f"picture{number}", "user": 1 + number % 2} for number in range(1, 1400)]
    async with database.begin() as session:
        await session.execute(text(PICTURE), rows)
    assert await migrate(database) >= "0009"
    found = await store.sql("SELECT user_id, public_id, name FROM picture")
    assert len({(user, name) for user, _, name in found}) == len(rows)
    assert all(whole_name(public).startswith(name) and len(name) >= 4 for _, public, name in found)
    await database.close()

"""The whole line for tests: sandbox, bot and worker, as they always are, on a database of their own."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from bot.app import Application
from bot.demo import demo_storage
from bot.settings import DrawingSettings, JobSettings, StorageSettings, TelegramSettings
from bot.supervise import Child, Supervisor
from bot.telegram import make_bot
from sandbox.server import Sandbox
from storage.database import Database
from storage.schema import migrate

TOKEN = "4242:TEST-token-that-opens-nothing-else-at-all"
QUICK = {
    "JOB_LEASE_S": "3", "JOB_RENEW_S": "1", "JOB_SWEEP_S": "0.3", "JOB_RERING_S": "1", "JOB_LEADER_S": "1.5",
    "JOB_PREVIEW_S": "0",  # the first photo that a person sees is the result
}  # fmt: skip


@dataclass
class Line:
    sandbox: Sandbox
    storage: StorageSettings
    environment: dict[str, str]
    children: dict[str, Child] = field(default_factory=dict)

    async def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Look into the database, beside the bot."""
        database = Database(self.storage.database)
        try:
            async with database.read() as session:
                return [tuple(row) for row in await session.execute(text(statement))]
        finally:
            await database.close()

    async def settled(self) -> None:
        """Wait until SQL has every job at its end: the chat shows a picture a moment before that is written down."""
        while await self.sql("SELECT 1 FROM job WHERE state IN ('queued', 'running', 'rendered')"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def children_running(self, *commands: str) -> AsyncIterator[None]:
        """Run `run` and `worker` as processes that are started again when they die."""
        self.children = {command: Child(command, (command,), self.environment) for command in commands}
        supervisor = asyncio.create_task(Supervisor(list(self.children.values()), self.storage, stop_s=3).run())
        try:
            yield
        finally:
            supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervisor

    @asynccontextmanager
    async def bot_running(self) -> AsyncIterator[None]:
        """Run the bot in this process, where its errors are seen at once."""
        settings = {name.removeprefix("JOB_").lower(): value for name, value in QUICK.items()}
        telegram = TelegramSettings(token=self.sandbox.token, api=self.sandbox.url)
        drawing = DrawingSettings(beautify="never")  # so that a scenario's words are drawn as they are, unless it chooses
        application = Application(make_bot(telegram), self.storage, JobSettings(**settings), drawing)
        running = asyncio.create_task(application.run())
        try:
            yield
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


@asynccontextmanager
async def new_line(folder: Path, **servers: str) -> AsyncIterator[Line]:
    """Make a sandbox and a migrated database; nothing runs yet. `servers` are addresses in place of the embedded parts."""
    storage = demo_storage(folder).model_copy(update=servers)
    database = Database(storage.database)
    await migrate(database)
    await database.close()
    async with Sandbox(token=TOKEN) as sandbox:
        environment = {
            **QUICK,
            "TELEGRAM_TOKEN": TOKEN,
            "TELEGRAM_API": sandbox.url,
            "DATA_DIR": str(folder),
            "DATABASE_URL": storage.database,
            "BROKER_URL": storage.broker,
            "MEDIA_URL": storage.media,
            "DRAW_BEAUTIFY": "never",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])),
        }
        yield Line(sandbox, storage, environment)

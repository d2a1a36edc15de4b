"""The bot without its loops: the test hands it raw updates, and moves handling and delivery on."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiogram import Bot

from bot.app import Application
from bot.frame import answering
from bot.intake import Pump, entry_of, take_in
from bot.limiter import Limiter
from bot.settings import DrawingSettings, JobSettings, StorageSettings
from bot.texts import Texts
from sandbox.person import Person
from sandbox.server import Sandbox
from sandbox.shown import Shown
from storage.media import MediaStore
from tests.bot.post import Post
from tests.storage.made import BOT, Store


@dataclass
class House:
    """What the whole bot process is, standing still; the sandbox is its Telegram."""

    box: Sandbox
    anna: Person
    store: Store
    post: Post
    application: Application
    pump: Pump
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1000))

    def last(self) -> dict[str, Any]:
        """The newest update that the sandbox has for the bot, whole."""
        return dict(self.box.world.updates.sent[-1])

    async def gets(self, *events: dict[str, Any]) -> None:
        """Take in updates as Telegram wrote them, under numbers of their own; handle them, and deliver what is owed."""
        entries = [entry_of({**event, "update_id": next(self._numbers)}) for event in events]
        async with self.application._db.begin() as session:
            await take_in(session, BOT, entries)
        while True:
            self.pump._arrived.clear()
            await self.pump._start_due()
            if not self.pump._tasks and not self.pump._arrived.is_set():
                break
            await asyncio.gather(*self.pump._tasks)
        await self.post.turns(3)

    async def inbox(self) -> list[tuple[Any, ...]]:
        return await self.store.sql("SELECT state, attempts, error FROM inbox ORDER BY id")

    async def jobs(self) -> int:
        return int(await self.store.number("SELECT count(*) FROM job"))

    def said(self) -> list[Shown]:
        """What the bot has said in Anna's chat."""
        return self.post.said

    def answer(self) -> dict[str, Any] | None:
        """What answered the newest press."""
        return list(self.box.world.presses.values())[-1].answer


def make_house(
    box: Sandbox,
    anna: Person,
    bot: Bot,
    store: Store,
    user: Any,
    database_url: str,
    texts: Texts,
    folder: Path,
    family: str = "kandinsky-nano",
) -> House:
    storage = StorageSettings(data_dir=folder, database_url=database_url, broker_url=None, media_url=None)
    application = Application(bot, storage, JobSettings(), DrawingSettings(family=family))
    now = [1000.0]
    application._deliverer.limiter = Limiter(lambda: now[0])
    application._deliverer._outbox._lease = None  # nobody stands by, and no loop runs that would hold it
    post = Post(box, anna, user, store, MediaStore(storage.media), application._deliverer, now)
    pump = Pump(
        bot,
        application._dispatcher,
        application._db,
        asyncio.Event(),
        answering(bot, texts, application._db),
        arrivals=application._arrivals,
    )
    return House(box, anna, store, post, application, pump)

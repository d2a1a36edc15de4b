"""One person's chat with everything that delivers to it, moved on by the test."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from bot.delivery import Deliverer
from bot.limiter import Limiter
from sandbox.person import Person
from sandbox.server import Sandbox
from sandbox.shown import Shown
from storage.domain import Job, JobState, NewPicture, User
from storage.media import MediaStore
from storage.post import NewNotice, SendState
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import DeliveryRepository, NoticeRepository
from storage.repositories.pictures import PictureRepository
from tests.storage.made import BOT, Store

COLOURS = ("red", "lime", "blue", "black")


def _png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def nobody(queue: str, times: int) -> None:
    """No worker listens for bells here."""


@dataclass
class Post:
    """One person's chat, the database, and a deliverer that the test moves on."""

    box: Sandbox
    person: Person
    user: User
    store: Store
    media: MediaStore
    deliverer: Deliverer
    now: list[float]

    async def turn(self, wait_s: float = 100.0) -> None:
        """Let `wait_s` pass for the limiter and for every retry, then send what is due, and wait until it is done."""
        self.now[0] += wait_s
        for table in ("delivery", "notice"):
            await self.store.sql(f"UPDATE {table} SET next_at = next_at - :wait", wait=wait_s)  # noqa: S608
        await self.store.sql("UPDATE pause SET until = until - :wait", wait=wait_s)
        await self.deliverer.tick()
        while self.deliverer._tasks:
            await asyncio.gather(*self.deliverer._tasks)

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await self.turn()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver as the bot does, by its own clock."""
        task = asyncio.create_task(self.deliverer.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def hand_over(self) -> None:
        """Let another process deliver from here on, which knows what is in SQL and nothing else."""
        self.deliverer = replace(self.deliverer, limiter=Limiter(lambda: self.now[0]))
        await self.deliverer.take_over()

    async def drawn(self, count: int = 4, **changes: Any) -> Job:
        """Queue a job and draw it at once: its status and its result are owed."""
        return await self.draw(await self.store.job(self.user, count, **changes))

    async def draw(self, job: Job) -> Job:
        running = await self.store.claimed()
        assert running.id == job.id
        count = int((await self.store.quota(job))["reserve"])
        media_ids = [self.media.put(_png(colour), ".png") for colour in COLOURS[:count]]
        pictures = [NewPicture(number, media_id, 7 + number, 128, 128) for number, media_id in enumerate(media_ids)]
        async with self.store.database.begin() as session:
            await JobRepository(session).rendered(running, "toy", media_ids[0].partition(".")[0])
            await PictureRepository(session).add_results(running, pictures)
        return await self.store.get(job)

    async def delivered(self, count: int = 4) -> Job:
        job = await self.drawn(count)
        await self.turns(2)
        job = await self.store.get(job)
        assert job.state == JobState.DELIVERED
        return job

    async def mark(self, job: Job, ordinal: int, state: SendState) -> None:
        async with self.store.database.begin() as session:
            await DeliveryRepository(session).mark(job.id, ordinal, state)

    async def owe(self, **changes: Any) -> None:
        values = {"bot_id": BOT, "chat_id": self.person.id, "user_id": self.user.id, "dedupe_key": "toy", "params": {}}
        async with self.store.database.begin() as session:
            await NoticeRepository(session).add(NewNotice(**(values | changes)))  # type: ignore[arg-type]

    @property
    def said(self) -> list[Shown]:
        return [message for message in self.person.chat if message.from_bot]

    @property
    def photos(self) -> list[Shown]:
        return [message for message in self.said if message.has_photo]

    async def states(self) -> list[str]:
        return [str(state) for (state,) in await self.store.sql("SELECT state FROM delivery ORDER BY job_id, ordinal")]

    async def notice_states(self) -> list[str]:
        return [str(state) for (state,) in await self.store.sql("SELECT state FROM notice ORDER BY id")]

    def breaks(self, write: str, times: int = 1) -> None:
        """Let the next `times` of one of the deliverer's writes fail as a database does."""
        outbox = self.deliverer._outbox
        real, left = getattr(outbox, write), iter(range(times))

        async def broken(*args: Any, **kwargs: Any) -> Any:
            if next(left, None) is not None:
                raise OSError("database is locked")
            return await real(*args, **kwargs)

        setattr(outbox, write, broken)

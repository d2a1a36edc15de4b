"""The whole bot around one quick database: intake, workers and deliverer, each moved on by the test."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from aiogram import Bot, Dispatcher
from aiogram.types import Update

from bot import jobs as use_cases
from bot.delivery import Deliverer
from bot.frame import Desk
from bot.intake import Pump
from bot.jobs import Jobs
from bot.limiter import Limiter
from bot.messages import Messages
from bot.settings import JobSettings, read
from engine.requests import TextToImage
from handlers.ports import Actor
from storage.domain import Job, NewPicture, Refused
from storage.errors import LostLease
from storage.media import MediaStore
from storage.repositories.inbox import InboxRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.users import UserRepository
from tests.chaos.chats import Plain, Telegram
from tests.chaos.quick import QuickDatabase
from tests.storage.made import BOT, FAMILY, LANES, PROMPT

STEPS = 4

_FIRST_IN_A_CHAT = """SELECT 1 FROM inbox WHERE next_at <= :now
AND id IN (SELECT min(id) FROM inbox WHERE state = 'new' GROUP BY chat_id)"""

_BEING_SENT = """SELECT 'result', job.public_id FROM delivery JOIN job ON job.id = job_id
WHERE delivery.state = 'sending' AND ordinal = 1
UNION ALL SELECT key, job.public_id FROM notice JOIN job ON job.id = job_id WHERE notice.state = 'sending'"""


class HandlerBroke(RuntimeError):
    """A handler failed, as it does when the database blinks."""


@dataclass
class Hand:
    """A worker: what it draws, as far as it knows."""

    name: str
    job: Job | None = None
    step: int = 0


@dataclass
class House:
    """Use cases and repositories are the real ones; handlers and the render child are told in a few lines."""

    database: QuickDatabase
    media: MediaStore
    settings: JobSettings = field(default_factory=lambda: read(JobSettings))
    bells: Counter[str] = field(default_factory=Counter)
    hands: tuple[Hand, ...] = field(default_factory=lambda: (Hand("w1"), Hand("w2")))
    zombies: list[tuple[Job, int]] = field(default_factory=list)  # what dead or late workers still believe to draw
    accepted: dict[str, str] = field(default_factory=dict)  # dedupe key -> public id, as the person was told
    updates: list[dict[str, Any]] = field(default_factory=list)  # everything that Telegram has sent
    failing: int = 0  # so many of the next updates make their handler fail,
    failing_late: bool = False  # ... before it has done its work, or after
    wrong: list[str] = field(default_factory=list)  # what no step may bring about
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(500))

    def __post_init__(self) -> None:
        self.telegram = Telegram()
        self.telegram.on_kill = self._kill
        self.jobs = Jobs(self.database, self.settings, self._ring)
        self._desk = Desk(self.database, lambda: None)
        dispatcher = cast(Dispatcher, self)  # the pump calls `feed_update` alone
        self._pump = Pump(cast(Bot, self.telegram), dispatcher, self.database, asyncio.Event(), self._answer)
        self._spoken = 0.0
        self.deliverer = self._new_deliverer()

    async def _ring(self, queue: str, times: int) -> None:
        self.bells[queue] += times

    async def _answer(self, update: Update, toast: Any) -> None:
        """Callback answers are none of this test's business."""

    # Updates

    async def arrive(self, update: dict[str, Any], update_id: int | None = None) -> None:
        """Telegram sends an update; the same `update_id` again is the same update."""
        update = {**update, "update_id": update_id or next(self._numbers)}
        self.updates.append(update)
        event = update.get("message") or update["callback_query"]
        if update_id is None:  # somebody who writes has not blocked the bot
            self.telegram.blocked.discard(event["from"]["id"])
        async with self.database.begin() as session:
            await InboxRepository(session).add(BOT, [(update["update_id"], event["from"]["id"], json.dumps(update))])

    async def pump(self) -> None:
        """Handle everything that waits, retries included."""
        self.database.sql("UPDATE inbox SET next_at = 0 WHERE state = 'new'")
        while self.database.sql(_FIRST_IN_A_CHAT, now=self.database.now):
            await self._pump._start_due()
            await asyncio.gather(*self._pump._tasks)

    async def feed_update(self, bot: Bot, update: Update, inbox_id: int) -> None:
        """What the dispatcher with its handlers does, or half of it."""
        fails, self.failing = self.failing > 0, max(0, self.failing - 1)
        if fails and not self.failing_late:
            raise HandlerBroke
        await self._handle(update, inbox_id)
        if fails:
            raise HandlerBroke

    async def _handle(self, update: Update, inbox_id: int) -> None:
        query = update.callback_query
        person, message = (query.from_user, query.message) if query else (update.message.from_user, update.message)  # type: ignore[union-attr]
        assert person
        assert message
        async with self.database.begin() as session:
            user = await UserRepository(session).ensure(BOT, person.id, "en")
        actor = Actor(user, message.chat.id, message.message_id, inbox_id, update.update_id)
        action, _, what = (query.data if query else update.message.text or "").partition(":")  # type: ignore[union-attr]
        try:
            if action == "cancel":
                await self._cancel(actor, what)
            else:
                await self._submit(actor, "again" if query else None, flash=what == "flash")
        except Refused as refused:
            await self._desk.say(actor, refused.code, refused.values)

    async def _submit(self, actor: Actor, action: str | None, flash: bool) -> None:
        wish = actor.wish(action)
        expected = self._expected(actor, wish.key if action is None else None, wish.button)
        try:
            done = await self.jobs.submit(wish, TextToImage(PROMPT, seed=7, num_images_per_prompt=1, flash=flash))
        except Refused as refused:
            if expected != "refused":
                self.wrong.append(f"{wish.key} was refused, not {expected}")
            return await self._desk.say(actor, refused.code, refused.values)
        if expected != ("new" if done.created else "known"):
            self.wrong.append(f"{wish.key} is a {'new' if done.created else 'known'} job, not {expected}")
        if self.accepted.setdefault(done.job.dedupe_key, done.job.public_id) != done.job.public_id:
            self.wrong.append(f"{wish.key} became two jobs")

    def _expected(self, actor: Actor, key: str | None, button: str | None) -> str:
        """What a wish must come to: a known job, a new one, or a refusal."""
        known = key in self.accepted
        if button is not None:
            rows = self.database.sql(
                "SELECT 1 FROM job WHERE button = :button AND (state IN ('queued', 'running', 'rendered')"
                " OR finished_at > (SELECT received_at FROM inbox WHERE id = :inbox))",
                button=button,
                inbox=actor.inbox_id,
            )
            known = bool(rows)
        if known:
            return "known"
        active = "SELECT count(*) FROM job WHERE user_id = :user AND state IN ('queued', 'running')"
        ((count,),) = self.database.sql(active, user=actor.user.id)
        return "refused" if count >= self.settings.max_active else "new"

    async def _cancel(self, actor: Actor, public_id: str) -> None:
        before = await self.jobs.cancel(actor.user, public_id, actor.inbox_id, actor.message_id)
        ((state, wanted),) = self.database.sql("SELECT state, cancel_requested FROM job WHERE public_id = :id", id=public_id)
        if (before.state == "queued" and state != "cancelled") or (before.state == "running" and not wanted):
            self.wrong.append(f"cancelled {before.state} job is {state}")

    # Workers

    async def claim(self, hand: Hand) -> None:
        """Answer a bell."""
        queue = next(name for name, count in self.bells.items() if count)
        self.bells[queue] -= 1
        self.seen(hand)
        waiting = self.database.sql("SELECT 1 FROM job WHERE state = 'queued' AND NOT cancel_requested")
        hand.job, hand.step = await use_cases.claim(self.database, self.settings, hand.name, FAMILY, LANES), 0
        if (hand.job is None) == bool(waiting) or (hand.job is not None and hand.job.cancel_requested):
            self.wrong.append(f"claimed {hand.job} of {len(waiting)} jobs")

    def seen(self, hand: Hand) -> None:
        """Keep the worker's row, as its heartbeat thread does."""
        values = {"id": hand.name, "family": FAMILY, "lanes": f",{','.join(LANES)},", "now": self.database.now}
        self.database.sql("INSERT OR REPLACE INTO worker VALUES (:id, :family, :lanes, 'cpu', 'idle', :now)", **values)

    async def lose(self, hand: Hand, why: str, crashed: bool) -> None:
        """The worker's process ends; its parent gives its job back. The process may have been slower to die than that."""
        if hand.job is not None:
            self.zombies.append((hand.job, hand.step))
        hand.job = None
        await self.jobs.release(hand.name, why, crashed)

    async def work(self, hand: Hand, act: str) -> None:
        """Do one thing with what is in hand, and let go of what has ended."""
        if hand.job is None:
            return
        if act == "step":
            hand.step = min(STEPS, hand.step + 1)
        job, accepted = hand.job, await self.act(hand.job, hand.step, act)
        if act not in ("step", "beat") or not accepted:
            hand.job = None
            self.zombies.append((job, hand.step))
            await self._ring_if_waiting()

    async def act(self, job: Job, step: int, act: str) -> bool:
        """Write as a worker that believes to draw this job; whether it was taken must be as the fence says."""
        mine = "SELECT count(*) FROM job WHERE id = :id AND state = 'running' AND fence = :fence"
        ((holds,),) = self.database.sql(mine, id=job.id, fence=job.fence)
        changes = self.database.sql("SELECT count(*) FROM audit")
        try:
            await getattr(self, f"_{act}")(job, step)
            accepted = act in ("step", "beat") or self.database.sql("SELECT count(*) FROM audit") != changes
        except LostLease:
            accepted = False
        if accepted != bool(holds):
            self.wrong.append(f"{act} of job {job.id} with fence {job.fence} was {'taken' if accepted else 'refused'}")
        return accepted

    async def _beat(self, job: Job, step: int, lease_s: float | None = 30.0) -> None:
        async with self.database.begin() as session:
            await JobRepository(session).heartbeat(job, "step", step, STEPS, lease_s)

    async def _step(self, job: Job, step: int) -> None:
        await self._beat(job, step, None)

    async def _drawn(self, job: Job, step: int) -> None:
        media_id = self.media.put(job.public_id.encode(), ".png")
        async with self.database.begin() as session:
            unwanted = await JobRepository(session).wants_cancel(job)
            if not unwanted:
                await JobRepository(session).rendered(job, "toy", media_id.partition(".")[0])
                await PictureRepository(session).add_results(job, [NewPicture(0, media_id, 7, 64, 64)])
        if unwanted:
            await use_cases.stop_cancelled(self.database, job, step, STEPS)

    async def _stopped(self, job: Job, step: int) -> None:
        async with self.database.read() as session:
            unwanted = await JobRepository(session).wants_cancel(job)
        if unwanted:
            await use_cases.stop_cancelled(self.database, job, step, STEPS)
        else:
            await self._drawn(job, step)

    async def _failed(self, job: Job, step: int) -> None:
        await use_cases.stop_failed(self.database, job, "oom")

    async def _broke(self, job: Job, step: int) -> None:
        if job.crash_count:
            await use_cases.stop_failed(self.database, job, "engine")
        else:
            await self._give_back(job, self.settings.max_crashes)

    async def _full(self, job: Job, step: int) -> None:
        await self._give_back(job, None)

    async def _give_back(self, job: Job, max_crashes: int | None) -> None:
        async with self.database.begin() as session:
            await use_cases.give_back(session, job, "by a worker", max_crashes)

    async def _ring_if_waiting(self) -> None:
        async with self.database.read() as session:
            for family, lane, _, _ in (await JobRepository(session).waiting())[:1]:
                await self._ring(f"{family}.{lane}", 1)

    # Delivery

    def _new_deliverer(self) -> Deliverer:
        limiter, messages = Limiter(lambda: self._spoken), cast(Messages, Plain())
        return Deliverer(self.database, cast(Bot, self.telegram), self.jobs, messages, self.media, limiter)

    def _kill(self) -> None:
        for task in self.deliverer._tasks:
            task.cancel()

    async def deliver(self, ticks: int) -> None:
        """Let every retry be due, and send."""
        for _ in range(ticks):
            self._spoken += 100.0
            for table in ("delivery", "notice"):
                self.database.sql(f"UPDATE {table} SET next_at = 0 WHERE state IN ('pending', 'unknown')")  # noqa: S608
            await self.deliverer.tick()
            while self.deliverer._tasks:
                await asyncio.gather(*self.deliverer._tasks, return_exceptions=True)
            if self.telegram.killed:
                self.telegram.killed = False
                self.telegram.unsure.update(self.database.sql(_BEING_SENT))
                await self.restart()

    async def restart(self) -> None:
        """Another process delivers from here on."""
        self.deliverer = self._new_deliverer()
        await self.deliverer.take_over()


def _where(person: int) -> dict[str, Any]:
    sender = {"id": person, "is_bot": False, "first_name": "P"}
    return {"chat": {"id": person, "type": "private"}, "from": sender}


def message(person: int, message_id: int, flash: bool) -> dict[str, Any]:
    """A wish, typed."""
    text = f"draw:{'flash' if flash else 'base'}"
    return {"message": {"message_id": message_id, "date": 1, "text": text, **_where(person)}}


def press(person: int, message_id: int, data: str) -> dict[str, Any]:
    """A press of the button that says `data`."""
    where = _where(person)
    message = {"message_id": message_id, "date": 1, "chat": where["chat"]}
    query = {"id": "1", "chat_instance": "1", "data": data, "from": where["from"], "message": message}
    return {"callback_query": query}

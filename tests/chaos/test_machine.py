"""The job machine under every order of faults that Hypothesis finds: real use cases, real SQL, a scripted Telegram.

Beside the invariants, an outside model: what was acknowledged, and what each chat shows in the end.
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from storage.errors import NotFound
from storage.media import MediaStore
from storage.repositories.users import UserRepository
from tests.chaos.chats import End
from tests.chaos.events import EVENTS
from tests.chaos.house import Hand, House, message, press
from tests.chaos.invariants import broken
from tests.chaos.quick import AtOnce, QuickDatabase
from tests.storage.made import BOT

T = TypeVar("T")

_OWED = """SELECT (SELECT count(*) FROM notice WHERE state NOT IN ('sent', 'failed'))
+ (SELECT count(*) FROM delivery WHERE state IN ('pending', 'sending') OR (state = 'unknown' AND ordinal = 1))"""
_LATE = "SELECT count(*) FROM job WHERE error_class = 'deadline'"
_POISON = "SELECT public_id FROM job WHERE crash_count >= 3 AND state IN ('queued', 'running')"
_UNFINISHED = """SELECT (SELECT count(*) FROM job WHERE state IN ('queued', 'running', 'rendered'))
+ (SELECT count(*) FROM inbox WHERE state = 'new')"""

MAX_ACTIVE = 3
_ROUNDS = 20  # of healing; a handful is enough for what 50 steps can leave behind


class Machine(RuleBasedStateMachine):
    def __init__(self, database: QuickDatabase) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(AtOnce())
        database.reset()
        self.database, self.media = database, MediaStore("memory://chaos")
        self.media._fs.store.clear()
        self.house = House(database, self.media)
        self.seen_changes = -1
        self.jobs: list[tuple[int, str]] = []  # (person, public id), oldest first

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def begins(self) -> None:
        for hand in self.house.hands:
            self.house.seen(hand)
        self.run(self.house.jobs.sweep())  # a bot sweeps when it starts

    @rule(event=EVENTS)
    def happens(self, event: tuple[Any, ...]) -> None:
        name, *how = event
        self.run(getattr(self, f"_{name}")(*how))

    # A good day

    async def _hears(self, update: dict[str, Any], update_id: int | None = None) -> None:
        await self.house.arrive(update, update_id)
        await self.house.pump()

    async def _writes(self, person: int, flash: bool) -> None:
        await self._hears(message(person, self.house.telegram.new_id(), flash))

    async def _presses(self, person: int, button: int) -> None:
        await self._hears(press(person, button, "again:flash"))

    async def _works(self, hand: int, act: str) -> None:
        worker = self.house.hands[hand]
        await self._claims(worker)
        await self.house.work(worker, act)

    async def _draw_all(self) -> None:
        """Each worker finishes what it draws, or what waits for it."""
        await self._claims(*self.house.hands)
        for hand in self.house.hands:
            await self.house.work(hand, "stopped")

    async def _claims(self, *workers: Hand) -> None:
        for worker in workers:
            if worker.job is None and +self.house.bells:
                await self.house.claim(worker)

    async def _delivers(self, ticks: int) -> None:
        await self.house.deliver(ticks)

    async def _sweeps(self, seconds: float, healthy: bool = True) -> None:
        """Let time go by; healthy workers hold on to what they draw."""
        self.database.now += seconds
        if healthy:
            for hand in self.house.hands:
                self.house.seen(hand)
                await self.house.work(hand, "beat")
        await self.house.jobs.sweep()

    # What people and Telegram may do at any time

    async def _telegram_repeats(self, pick: int, same: bool) -> None:
        for update in one(self.house.updates, pick):
            await self._hears(update, update["update_id"] if same else None)

    async def _update_waits(self, person: int, pressed: bool) -> None:
        """What it asks for may be over before it is looked at."""
        if pressed:
            await self._presses(person, 1)
            await self.house.arrive(press(person, 1, "again:flash"))
        else:
            await self.house.arrive(message(person, self.house.telegram.new_id(), True))
        await self._draw_all()
        await self.house.deliver(2)

    async def _handlers_fail(self, times: int, late: bool) -> None:
        self.house.failing, self.house.failing_late = times, late

    async def _cancels(self, pick: int) -> None:
        for person, job in one(self.jobs, pick):
            await self._cancel(person, job)

    async def _cancels_drawing(self, pick: int, act: str) -> None:
        """... and the worker, which does not know yet, does something with it; if it gives it back, nobody takes it."""
        for hand in await self._drawing(pick):
            assert hand.job
            await self._cancel(hand.job.chat_id, hand.job.public_id)
            await self.house.work(hand, act)
            await self._claims(*self.house.hands)

    async def _cancel(self, person: int, job: str) -> None:
        chat = self.house.telegram.chats.get(person, {})
        under = [message_id for message_id, message in chat.items() if message.key == "status" and message.job == job]
        await self._hears(press(person, under[0] if under else 3, f"cancel:{job}"))

    async def _stranger_cancels(self, pick: int) -> None:
        for _, job in one(self.jobs, pick):
            async with self.database.begin() as session:
                stranger = await UserRepository(session).ensure(BOT, 999, "en")
            before = self.database.changes
            with pytest.raises(NotFound):
                await self.house.jobs.cancel(stranger, job, 0)
            assert self.database.changes == before

    async def _blocks(self, person: int) -> None:
        self.house.telegram.blocked.add(person)

    async def _deletes_a_message(self, pick: int) -> None:
        messages = sorted((message_id, chat) for chat, message_id, _ in self.house.telegram.shown())
        for message_id, chat in one(messages, pick):
            self.house.telegram.delete(chat, message_id)

    # What may befall workers

    async def _drawing(self, pick: int) -> Sequence[Hand]:
        """One worker that draws; what waits is claimed first."""
        await self._claims(*self.house.hands)
        return one([hand for hand in self.house.hands if hand.job], pick)

    async def _drawing_fails(self, pick: int, act: str) -> None:
        for hand in await self._drawing(pick):
            await self.house.work(hand, act)

    async def _zombie_writes(self, pick: int, act: str) -> None:
        for job, step in one(self.house.zombies, pick):
            await self.house.act(job, step, act)

    async def _process_ends(self, pick: int, crashed: bool) -> None:
        for hand in await self._drawing(pick):
            await self.house.lose(hand, "render child lost" if crashed else "drained", crashed)

    async def _lease_ends(self, pick: int, act: str) -> None:
        """A worker that stood still for long finds that its job has been given to another; or that it was finished."""
        for hand in await self._drawing(pick):
            assert hand.job
            ends = "UPDATE job SET lease_until = :now - 1 WHERE state = 'running' AND id = :job"
            self.database.sql(ends, now=self.database.now, job=hand.job.id)
            await self.house.jobs.sweep()
            assert not self.database.sql("SELECT 1 FROM job WHERE state = 'running' AND id = :job", job=hand.job.id)
            await self._claims(*self.house.hands)
            await self.house.work(hand, act)

    # What may befall the bot

    async def _was_away(self, workers_too: bool) -> None:
        self.house.failing = 0  # else updates from before would still be retried an hour later
        late = self.database.sql(_LATE)
        await self._sweeps(3600.0, healthy=not workers_too)
        assert self.database.sql(_LATE) == late, "while the bot is away nobody's time runs out"
        await self.house.pump()
        await self.house.restart()

    async def _deadline_passes(self, pick: int, status_gone: bool, ends: list[End]) -> None:
        for _, job in one(self.jobs, pick):
            self.database.sql("UPDATE job SET deadline_at = :now - 1 WHERE public_id = :id", now=self.database.now, id=job)
            await self.house.jobs.sweep()
            ((state,),) = self.database.sql("SELECT state FROM job WHERE public_id = :id", id=job)
            assert state not in ("queued", "running")
        await self._fail_to_deliver(status_gone, ends)

    async def _broker_forgets(self, workers_too: bool) -> None:
        self.house.bells.clear()
        if workers_too:
            self.database.sql("UPDATE worker SET seen_at = 0")

    async def _telegram_fails(self, ends: list[End]) -> None:
        self.house.telegram.ends = ends

    async def _results_fail(self, status_gone: bool, ends: list[End]) -> None:
        await self._draw_all()
        await self._fail_to_deliver(status_gone, ends)

    async def _fail_to_deliver(self, status_gone: bool, ends: list[End]) -> None:
        """Telegram fails just when jobs have ended, and where their statuses stood there may be nothing any more."""
        telegram = self.house.telegram
        for chat, message_id, shown in list(telegram.shown()):
            if status_gone and shown.key == "status":
                telegram.delete(chat, message_id)
        telegram.ends = ends
        await self.house.deliver(2)

    # What holds after every step

    @invariant()
    def holds(self) -> None:
        assert self.house.wrong == []
        if self.database.changes != self.seen_changes:
            self.seen_changes = self.database.changes
            self.jobs = self.database.sql(
                'SELECT telegram_id, job.public_id FROM job JOIN "user" ON "user".id = job.user_id ORDER BY job.id'
            )
            seen = self.house.telegram.results()
            lines = self.run(broken(self.database, max_active=MAX_ACTIVE, drained=False, results_seen=seen))
            assert not lines, lines
            assert not self.database.sql(_POISON), "a job has killed three workers, and may kill another"
        assert all(count == 1 for count in self.house.telegram.statuses.values() if count)
        self.database.now += 0.1

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.run(self._heal())
                self._judge()
        finally:
            self.loop.close()

    async def _heal(self) -> None:
        """No more faults: what was begun comes to its end, by bells alone."""
        house = self.house
        house.bells.clear()
        house.telegram.ends, house.failing = [], 0
        for _ in range(_ROUNDS):
            await house.pump()
            await self._sweeps(house.settings.rering_s + 1)
            for _ in range(_ROUNDS):
                await self._draw_all()
            for _ in range(_ROUNDS):
                if self.database.sql(_OWED) != [(0,)]:
                    await house.deliver(1)
            if self.database.sql(_UNFINISHED) == [(0,)]:
                return

    def _judge(self) -> None:
        """Compare what was acknowledged, what SQL says, and what the chats show."""
        telegram = self.house.telegram
        seen = telegram.results()
        lines = self.run(broken(self.database, max_active=MAX_ACTIVE, results_seen=seen, media=self.media))
        assert not lines, lines
        rows = self.database.sql("SELECT public_id, dedupe_key, state, error_class, chat_id, id FROM job")
        assert {key: job for job, key, *_ in rows} == self.house.accepted, "lost, or unexpected"
        lost = self.database.sql("SELECT job_id FROM delivery WHERE ordinal = 0 AND state = 'unknown'")
        shown: dict[str, list[tuple[int, str]]] = {job: [] for job, *_ in rows}
        copies: Counter[str] = Counter()
        for chat, _, one_shown in telegram.shown():
            if one_shown.job != "-":
                shown[one_shown.job].append((chat, one_shown.key))
            copies[one_shown.job] += one_shown.photo and one_shown.again
        for job, _, state, error, chat, number in rows:
            keys = Counter(key for _, key in shown[job])
            assert {where for where, _ in shown[job]} <= {chat}, "shown to somebody else"
            assert copies[job] <= telegram.unsure["result", job], "more copies than lost answers"
            if state == "delivered":
                assert "result" in keys or ("result", job) in telegram.deleted, "lost"
                assert "status" not in keys or (number,) in lost, "a picture beside its status"
                assert not {"job.failed", "job.cancelled"} & keys.keys(), "a picture and its failure"
            else:
                assert "result" not in keys or error == "undeliverable", "unexpected"
                self._judge_end(job, number, f"job.{state}", keys)
                told = f"job.{state}" in keys and (number,) not in lost
                assert "status" not in keys or not told, "a last word beside its status"

    def _judge_end(self, job: str, number: int, key: str, keys: Counter[str]) -> None:
        """Whoever waited for a job that ended without a picture has read so, or could not be told."""
        telegram = self.house.telegram
        assert keys[key] <= 1 + telegram.unsure[key, job], "said more often than answers were lost"
        notice = self.database.sql("SELECT state FROM notice WHERE job_id = :job AND key = :key", job=number, key=key)
        if notice == [("sent",)]:
            assert key in keys or (key, job) in telegram.deleted, "lost"
        elif notice:
            reasons = telegram.unsure[key, job] > 1 or telegram.spoilt[job] or telegram.refused_as_blocked[job]
            assert reasons, f"given up without a reason: {notice}"
        else:
            ((why,),) = self.database.sql("SELECT why FROM audit WHERE job_id = :job ORDER BY id DESC LIMIT 1", job=number)
            assert why == "blocked by the person" or (why == "undeliverable" and telegram.refused_as_blocked[job])


def one(things: Sequence[T], pick: int) -> Sequence[T]:
    """One of these, counted from the newest; none if there are none."""
    return [things[-1 - pick % len(things)]] if things else []


@pytest.fixture(scope="module")
def database() -> Iterator[QuickDatabase]:
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete(QuickDatabase.made())
    loop.close()


@pytest.fixture
def no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are their job's name here; progress is shown at every look."""
    monkeypatch.setattr("bot.views.as_photo", lambda data: data)
    monkeypatch.setattr("bot.news._PROGRESS_S", 0.0)


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Errors that the bot logged and that nobody meant."""
    found: list[str] = []

    class Meant(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if "WriteFailed" not in text and "HandlerBroke" not in text:
                found.append(text)

    log, handler = logging.getLogger("bot"), Meant()
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "handlers", [handler])
    log.setLevel(logging.ERROR)
    yield found
    log.setLevel(logging.NOTSET)


def _run(database: QuickDatabase, examples: int, steps: int) -> None:
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),  # to explain what it found would take longer than to find it
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(partial(Machine, database), settings=how)  # type: ignore[arg-type]


@pytest.mark.timeout(600)  # half a minute of computing, on a machine that may have other work
def test_no_order_of_faults_loses_doubles_or_overcharges(database: QuickDatabase, no_pixels: None, errors: list[str]) -> None:
    _run(database, examples=100, steps=12)
    assert errors == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_thousands_of_longer_orders_of_faults(database: QuickDatabase, no_pixels: None, errors: list[str]) -> None:
    _run(database, examples=5000, steps=30)
    assert errors == []

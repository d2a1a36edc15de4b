"""What can be done with a job: submit, cancel, release, sweep."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.jobs import Jobs, claim, size_of, stop_cancelled, stop_failed
from bot.settings import JobSettings
from engine.requests import RequestError, TextToImage
from storage.database import Database
from storage.domain import Job, JobState, Refused, Timing, User, Wish, WorkerState
from storage.errors import NotFound
from storage.repositories.jobs import JobRepository
from storage.repositories.workers import TimingRepository, WorkerRepository
from tests.storage.made import FAMILY, LANES, PROMPT, Store

REQUEST = TextToImage(PROMPT, seed=7)
FLASH = f"{FAMILY}.flash"


@dataclass
class Bells:
    """Writes down what was rung, and how many jobs SQL had at that moment, seen from another connection."""

    database: Database
    rung: list[tuple[str, int]] = field(default_factory=list)
    jobs_seen: list[int] = field(default_factory=list)

    async def __call__(self, queue: str, times: int) -> None:
        async with self.database.read() as session:
            waiting = await JobRepository(session).waiting()
        self.rung.append((queue, times))
        self.jobs_seen.append(sum(count for _, _, count, _ in waiting))


@pytest.fixture
def bells(database: Database) -> Bells:
    return Bells(database)


@pytest.fixture
def jobs(database: Database, settings: JobSettings, bells: Bells) -> Jobs:
    return Jobs(database, settings, bells)


@dataclass
class Wishes:
    """Makes messages and presses, each with an inbox row of its own."""

    store: Store
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def message(self, user: User, message_id: int | None = None) -> Wish:
        number = next(self._numbers)
        inbox_id = await self.store.update(number, user.telegram_id)
        return Wish(user, user.telegram_id, inbox_id, f"m:{user.telegram_id}:{message_id or number}", message_id or number)

    async def press(self, user: User, action: str = "again") -> Wish:
        button = f"cb:{user.telegram_id}:1:{action}"
        return replace(await self.message(user), key=button, button=button)


@pytest.fixture
def wishes(store: Store) -> Wishes:
    return Wishes(store)


async def _inbox(store: Store) -> dict[int, str]:
    return dict(await store.sql("SELECT id, state FROM inbox"))


async def _notices(store: Store) -> list[str]:
    return [str(key) for (key,) in await store.sql("SELECT key FROM notice ORDER BY id")]


async def _worker(store: Store, worker_id: str = "w1", lanes: tuple[str, ...] = LANES) -> None:
    async with store.database.begin() as session:
        await WorkerRepository(session).seen(worker_id, FAMILY, lanes, "cpu", WorkerState.IDLE)


async def _silence(store: Store) -> None:
    """Let all bells be long past."""
    await store.sql("UPDATE job SET rung_at = rung_at - 3600")


# Submit


async def test_a_wish_is_stored_whole_before_its_bell_rings(store: Store, jobs: Jobs, bells: Bells, wishes: Wishes) -> None:
    wish = await wishes.message(await store.user())
    submitted = await jobs.submit(wish, REQUEST)
    assert submitted.created
    assert bells.rung == [(FLASH, 1)]
    assert bells.jobs_seen == [1]
    assert await _inbox(store) == {wish.inbox_id: "done"}
    assert await store.quota(submitted.job) == {"reserve": 4}
    assert await store.sql("SELECT ordinal, state FROM delivery") == [(0, "pending")]


async def test_a_request_that_the_family_refuses_stores_nothing(store: Store, jobs: Jobs, bells: Bells, wishes: Wishes) -> None:
    wish = await wishes.message(await store.user())
    with pytest.raises(RequestError):
        await jobs.submit(wish, replace(REQUEST, prompt="a cat at a computer"))
    assert await _inbox(store) == {wish.inbox_id: "new"}
    assert await store.number("SELECT count(*) FROM job") == 0
    assert bells.rung == []


async def test_the_same_message_twice_is_one_job(store: Store, jobs: Jobs, bells: Bells, wishes: Wishes) -> None:
    user = await store.user()
    first = await jobs.submit(await wishes.message(user, 5), REQUEST)
    again = await jobs.submit(await wishes.message(user, 5), REQUEST)
    assert (first.created, again.created) == (True, False)
    assert first.job.id == again.job.id
    assert set((await _inbox(store)).values()) == {"done"}
    assert len(bells.rung) == 1


async def test_the_same_message_at_the_same_moment_is_one_job(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user = await store.user()
    both = [await wishes.message(user, 5), await wishes.message(user, 5)]
    done = await asyncio.gather(*(jobs.submit(wish, REQUEST) for wish in both))
    assert sorted(each.created for each in done) == [False, True]


async def test_ten_presses_while_one_runs_are_one_job(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user = await store.user()
    presses = [await wishes.press(user) for _ in range(10)]
    done = await asyncio.gather(*(jobs.submit(wish, REQUEST) for wish in presses))
    assert len({each.job.id for each in done}) == 1
    assert [each.created for each in done].count(True) == 1


@pytest.mark.parametrize("stage", ["queued", "running", "rendered"])
async def test_a_press_collapses_into_the_job_until_that_has_ended(store: Store, jobs: Jobs, wishes: Wishes, stage: str) -> None:
    user = await store.user()
    first = await jobs.submit(await wishes.press(user), REQUEST)
    if stage != "queued":
        running = await store.claimed()
        if stage == "rendered":
            await store.rendered(running)
    assert not (await jobs.submit(await wishes.press(user), REQUEST)).created
    await store.finish(await store.get(first.job), JobState.FAILED, refund=True)
    later = await jobs.submit(await wishes.press(user), REQUEST)
    assert later.created
    assert later.job.id != first.job.id


async def test_two_buttons_are_two_wishes(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user = await store.user()
    first = await jobs.submit(await wishes.press(user, "again"), REQUEST)
    second = await jobs.submit(await wishes.press(user, "same"), REQUEST)
    assert first.created
    assert second.created


async def test_the_fourth_active_job_is_refused_with_the_limit_and_stores_nothing(
    store: Store, jobs: Jobs, wishes: Wishes
) -> None:
    user = await store.user()
    for _ in range(3):
        await jobs.submit(await wishes.message(user), REQUEST)
    await store.claimed()  # one that is drawn counts, too
    wish = await wishes.message(user)
    with pytest.raises(Refused) as refused:
        await jobs.submit(wish, REQUEST)
    assert (refused.value.code, refused.value.values) == ("refused.queue-full", {"limit": 3, "value": 3})
    assert (await _inbox(store))[wish.inbox_id] == "new"
    assert (await jobs.submit(await wishes.message(await store.user()), REQUEST)).created


async def test_a_drawn_job_makes_room_for_the_next(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user = await store.user()
    for _ in range(3):
        await jobs.submit(await wishes.message(user), REQUEST)
    await store.rendered(await store.claimed())
    assert (await jobs.submit(await wishes.message(user), REQUEST)).created


async def test_ten_messages_at_once_never_pass_the_limit(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user = await store.user()
    many = [await wishes.message(user) for _ in range(10)]
    done = await asyncio.gather(*(jobs.submit(wish, REQUEST) for wish in many), return_exceptions=True)
    assert sum(isinstance(each, Refused) for each in done) == 7
    assert len(await jobs.active(user)) == 3


async def test_the_days_limit_counts_pictures_and_gives_refunds_back(
    store: Store, database: Database, settings: JobSettings, bells: Bells, wishes: Wishes
) -> None:
    jobs = Jobs(database, settings.model_copy(update={"per_day": 5}), bells)
    user = await store.user()
    first = await jobs.submit(await wishes.message(user), REQUEST)
    with pytest.raises(Refused) as refused:
        await jobs.submit(await wishes.message(user), REQUEST)
    assert (refused.value.code, refused.value.values) == ("refused.per-day", {"limit": 5, "value": 4})
    assert (await jobs.submit(await wishes.message(user), replace(REQUEST, num_images_per_prompt=1))).created
    await store.finish(first.job, JobState.CANCELLED, refund=True)
    assert (await jobs.submit(await wishes.message(user), REQUEST)).created


async def test_the_deadline_grows_with_the_measured_time(store: Store, database: Database, jobs: Jobs, wishes: Wishes) -> None:
    user = await store.user()
    quick = (await jobs.submit(await wishes.message(user), REQUEST)).job
    async with database.begin() as session:
        await TimingRepository(session).put(FAMILY, "flash", size_of(quick), Timing(500, 1000))
    slow = (await jobs.submit(await wishes.message(user), REQUEST)).job
    waits = dict(await store.sql("SELECT id, deadline_at - created_at FROM job"))
    assert waits == {quick.id: pytest.approx(900), slow.id: pytest.approx(3000)}


async def test_the_status_line_gets_place_workers_and_time(store: Store, database: Database, jobs: Jobs, wishes: Wishes) -> None:
    await _worker(store)
    job = (await jobs.submit(await wishes.message(await store.user()), REQUEST)).job
    async with database.begin() as session:
        await TimingRepository(session).put(FAMILY, "flash", size_of(job), Timing(2, 3))
    view, timing = await jobs.queue_view(job)
    assert (view.place, view.workers, timing) == (1, 1, Timing(2, 3))


# Cancel


async def _submitted(store: Store, jobs: Jobs, wishes: Wishes) -> tuple[User, Job]:
    user = await store.user()
    return user, (await jobs.submit(await wishes.message(user), REQUEST)).job


async def test_a_waiting_job_is_cancelled_at_once(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user, job = await _submitted(store, jobs, wishes)
    wish = await wishes.press(user, "cancel")
    _, stopped = await jobs.cancel(user, job.public_id, wish.inbox_id)
    assert stopped
    assert (await store.get(job)).state == JobState.CANCELLED
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await _notices(store) == ["job.cancelled"]
    assert (await _inbox(store))[wish.inbox_id] == "done"


async def test_a_drawing_is_asked_to_stop(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user, job = await _submitted(store, jobs, wishes)
    await store.claimed()
    _, stopped = await jobs.cancel(user, job.public_id, (await wishes.press(user)).inbox_id)
    assert stopped
    now = await store.get(job)
    assert (now.state, now.cancel_requested) == (JobState.RUNNING, True)
    assert await _notices(store) == []


@pytest.mark.parametrize("ended", ["rendered", "cancelled"])
async def test_it_is_too_late_to_cancel_what_has_ended(store: Store, jobs: Jobs, wishes: Wishes, ended: str) -> None:
    user, job = await _submitted(store, jobs, wishes)
    running = await store.claimed()
    if ended == "rendered":
        await store.rendered(running)
    else:
        await store.finish(running, JobState.CANCELLED, refund=True)
    before = await store.get(job)
    wish = await wishes.press(user)
    _, stopped = await jobs.cancel(user, job.public_id, wish.inbox_id)
    assert not stopped
    assert await store.get(job) == before
    assert (await _inbox(store))[wish.inbox_id] == "done"


async def test_nobody_cancels_somebody_elses_job(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    _, job = await _submitted(store, jobs, wishes)
    other = await store.user()
    with pytest.raises(NotFound):
        await jobs.cancel(other, job.public_id, (await wishes.press(other)).inbox_id)
    assert (await store.get(job)).state == JobState.QUEUED


async def test_cancelling_twice_is_cancelling_once(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user, job = await _submitted(store, jobs, wishes)
    results = [await jobs.cancel(user, job.public_id, (await wishes.press(user)).inbox_id) for _ in range(2)]
    assert [stopped for _, stopped in results] == [True, False]
    assert await _notices(store) == ["job.cancelled"]


@pytest.mark.parametrize(("step", "steps", "entry"), [(1, 4, "refund"), (2, 4, "commit"), (3, 4, "commit"), (0, 0, "refund")])
async def test_a_stopped_drawing_costs_nothing_before_half(
    store: Store, database: Database, step: int, steps: int, entry: str
) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    await stop_cancelled(database, job, step, steps)
    assert await store.quota(job) == {"reserve": 4, entry: 4}
    assert (await store.get(job)).state == JobState.CANCELLED
    assert await _notices(store) == ["job.cancelled"]


async def test_a_drawing_that_cannot_succeed_ends_with_a_refund_and_a_word(store: Store, database: Database) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    await stop_failed(database, job, "oom")
    await stop_failed(database, job, "oom")  # somebody else has it by now: nothing happens
    assert (await store.get(job)).error_class == "oom"
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await _notices(store) == ["job.failed"]


async def test_a_claim_holds_the_lease_of_the_settings(store: Store, database: Database, settings: JobSettings) -> None:
    await store.job(await store.user())
    job = await claim(database, settings.model_copy(update={"lease_s": 3}), "w1", FAMILY, LANES)
    assert job is not None
    assert await store.number("SELECT lease_until - started_at FROM job") == pytest.approx(3, abs=0.01)


# Release


async def test_a_dead_workers_job_goes_back_at_once_and_is_rung_for(store: Store, jobs: Jobs, bells: Bells) -> None:
    user = await store.user()
    mine, other = await store.job(user), await store.job(user)
    await store.claimed("dead")
    await store.claimed("alive")
    await jobs.release("dead", "render child lost", crashed=True)
    assert ((await store.get(mine)).state, (await store.get(mine)).crash_count) == (JobState.QUEUED, 1)
    assert (await store.get(other)).state == JobState.RUNNING
    assert bells.rung == [(FLASH, 1)]


async def test_a_drained_workers_job_goes_back_without_blame(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    await store.claimed("w1")
    await jobs.release("w1", "drained", crashed=False)
    now = await store.get(job)
    assert (now.state, now.attempt, now.crash_count) == (JobState.QUEUED, 0, 0)


async def test_releasing_a_worker_without_a_job_does_nothing(store: Store, jobs: Jobs, bells: Bells) -> None:
    await store.job(await store.user())
    await jobs.release("w1", "drained", crashed=False)
    assert bells.rung == []


async def test_a_lost_drawing_that_should_stop_is_cancelled(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    running = await store.claimed("w1")
    async with store.database.begin() as session:
        await JobRepository(session).request_cancel(running)
    await jobs.release("w1", "render child lost", crashed=True)
    assert (await store.get(job)).state == JobState.CANCELLED
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await _notices(store) == ["job.cancelled"]


# Sweep


async def _lose(store: Store, jobs: Jobs) -> None:
    """Let the next job's worker die, and the sweep see it."""
    await store.claimed()
    await store.sql("UPDATE job SET lease_until = 1 WHERE state = 'running'")
    await jobs.sweep()


async def test_a_job_whose_lease_ended_waits_again(store: Store, jobs: Jobs, bells: Bells) -> None:
    await _worker(store)
    job = await store.job(await store.user())
    await _lose(store, jobs)
    now = await store.get(job)
    assert (now.state, now.crash_count) == (JobState.QUEUED, 1)
    assert bells.rung == [(FLASH, 1)]
    assert await _notices(store) == []


async def test_the_third_crash_is_the_last_with_a_refund_and_one_word(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    for _ in range(3):
        await _lose(store, jobs)
    await jobs.sweep()
    now = await store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "poison")
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await store.sql("SELECT key, params FROM notice") == [
        ("job.failed", f'{{"job": "{job.public_id}", "error": "poison"}}')
    ]


async def test_a_cancelled_drawing_whose_worker_died_is_cancelled(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    running = await store.claimed()
    async with store.database.begin() as session:
        await JobRepository(session).request_cancel(running)
    await store.sql("UPDATE job SET lease_until = 1")
    await jobs.sweep()
    assert (await store.get(job)).state == JobState.CANCELLED


async def test_a_cancelled_drawing_that_its_worker_gave_back_is_cancelled(store: Store, jobs: Jobs) -> None:
    """A worker that gives a job back for a fresh try may not know yet that nobody wants it."""
    job = await store.job(await store.user())
    running = await store.claimed()
    async with store.database.begin() as session:
        await JobRepository(session).request_cancel(running)
        await JobRepository(session).requeue(running, "error RuntimeError", crashed=True)
    await jobs.sweep()
    assert (await store.get(job)).state == JobState.CANCELLED
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await _notices(store) == ["job.cancelled"]


@pytest.mark.parametrize("running", [False, True])
async def test_a_job_past_its_deadline_fails_with_a_refund_and_a_word(store: Store, jobs: Jobs, running: bool) -> None:
    job = await store.job(await store.user())
    await _worker(store)
    if running:
        await store.claimed()
    await store.sql("UPDATE job SET deadline_at = 1")
    await jobs.sweep()
    await jobs.sweep()
    now = await store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "deadline")
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await _notices(store) == ["job.failed"]


@pytest.mark.parametrize(("queued", "workers", "rings"), [(1, 1, 1), (2, 1, 2), (5, 1, 2), (5, 2, 4)])
async def test_bells_ring_for_the_work_and_the_workers_there_are(
    store: Store, jobs: Jobs, bells: Bells, queued: int, workers: int, rings: int
) -> None:
    for _ in range(queued):
        await store.job(await store.user())
    for number in range(workers):
        await _worker(store, f"w{number}")
    await _silence(store)
    await jobs.sweep()
    assert bells.rung == [(FLASH, rings)]


async def test_bells_do_not_ring_again_before_their_time(store: Store, jobs: Jobs, bells: Bells) -> None:
    await store.job(await store.user())
    await _worker(store)
    await jobs.sweep()
    assert bells.rung == []
    await _silence(store)
    await jobs.sweep()
    await jobs.sweep()
    assert bells.rung == [(FLASH, 1)]


async def test_each_queue_has_its_bell(store: Store, jobs: Jobs, bells: Bells) -> None:
    user = await store.user()
    await store.job(user)
    await store.job(user, lane="base")
    await _worker(store)
    await _silence(store)
    await jobs.sweep()
    assert sorted(bells.rung) == [(f"{FAMILY}.base", 1), (FLASH, 1)]


async def test_without_workers_no_bell_rings_and_the_deadline_stands_still(store: Store, jobs: Jobs, bells: Bells) -> None:
    await store.job(await store.user())
    await _worker(store, lanes=("base",))
    await _silence(store)
    await jobs.sweep()
    before: Any = await store.number("SELECT deadline_at FROM job")
    await _away(store, 5)
    await jobs.sweep()
    assert bells.rung == []
    assert await store.number("SELECT deadline_at FROM job") == pytest.approx(before + 5, abs=2)


async def test_time_while_the_bot_was_away_is_nobodys(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    await _worker(store)
    await jobs.sweep()
    before: Any = await store.number("SELECT deadline_at FROM job")
    await _away(store, 7200)
    await store.sql("UPDATE job SET deadline_at = deadline_at - 7200")
    await jobs.sweep()
    assert (await store.get(job)).state == JobState.QUEUED
    assert await store.number("SELECT deadline_at FROM job") == pytest.approx(before, abs=2)


async def test_with_workers_the_deadline_comes_nearer(store: Store, jobs: Jobs) -> None:
    await store.job(await store.user())
    await _worker(store)
    before: Any = await store.number("SELECT deadline_at FROM job")
    await jobs.sweep()
    assert await store.number("SELECT deadline_at FROM job") == before


async def _away(store: Store, seconds: float) -> None:
    """Make the last sweep be that long ago."""
    await store.sql(f"UPDATE lease SET until = until - {seconds} WHERE name = 'swept'")  # noqa: S608


async def test_a_swept_house_rings_nothing(jobs: Jobs, bells: Bells) -> None:
    await jobs.sweep()
    assert bells.rung == []

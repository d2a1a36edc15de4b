"""How a job ends or goes back without its person: stopped, released, swept."""

import asyncio
import logging
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot import jobs as bot_jobs
from bot.jobs import Jobs, claim, stop_cancelled, stop_failed
from bot.settings import JobSettings
from storage.database import Database
from storage.domain import Job, JobState
from storage.repositories.jobs import JobRepository
from storage.tables import JobRow
from tests.bot.wishes import FLASH, Bells, away, notices, silence, somebody_waits, worker
from tests.storage.made import FAMILY, LANES, Store


@pytest.mark.parametrize(("step", "steps", "entry"), [(1, 4, "refund"), (2, 4, "commit"), (3, 4, "commit"), (0, 0, "refund")])
async def test_a_stopped_drawing_costs_nothing_before_half(
    store: Store, database: Database, step: int, steps: int, entry: str
) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    await stop_cancelled(database, job, step, steps)
    assert await store.quota(job) == {"reserve": 4, entry: 4}
    assert (await store.get(job)).state == JobState.CANCELLED
    assert await notices(store) == ["job.cancelled"]


async def test_a_drawing_that_cannot_succeed_ends_with_a_refund_and_a_word(store: Store, database: Database) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    await stop_failed(database, job, "oom")
    await stop_failed(database, job, "oom")  # somebody else has it by now: nothing happens
    assert (await store.get(job)).error_class == "oom"
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await notices(store) == ["job.failed"]


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


async def test_the_third_worker_that_dies_of_a_job_is_its_last(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    for _ in range(3):
        await store.claimed("dead")
        await jobs.release("dead", "render child lost", crashed=True)
    now = await store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "poison")
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await notices(store) == ["job.failed"]


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
    assert await notices(store) == ["job.cancelled"]


# Sweep


async def _lose(store: Store, jobs: Jobs) -> None:
    """Let the next job's worker die, and the sweep see it."""
    await store.claimed()
    await store.sql("UPDATE job SET lease_until = 1 WHERE state = 'running'")
    await jobs.sweep()


async def test_a_job_whose_lease_ended_waits_again(store: Store, jobs: Jobs, bells: Bells) -> None:
    await worker(store)
    job = await store.job(await store.user())
    await _lose(store, jobs)
    now = await store.get(job)
    assert (now.state, now.crash_count) == (JobState.QUEUED, 1)
    assert bells.rung == [(FLASH, 1)]
    assert await notices(store) == []


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
    assert await notices(store) == ["job.cancelled"]


@pytest.mark.parametrize("running", [False, True])
async def test_a_job_past_its_deadline_fails_with_a_refund_and_a_word(store: Store, jobs: Jobs, running: bool) -> None:
    job = await store.job(await store.user())
    await worker(store)
    if running:
        await store.claimed()
    await store.sql("UPDATE job SET deadline_at = 1")
    await jobs.sweep()
    await jobs.sweep()
    now = await store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "deadline")
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await notices(store) == ["job.failed"]


@pytest.mark.parametrize(("queued", "workers", "rings"), [(1, 1, 1), (2, 1, 2), (5, 1, 2), (5, 2, 4)])
async def test_bells_ring_for_the_work_and_the_workers_there_are(
    store: Store, jobs: Jobs, bells: Bells, queued: int, workers: int, rings: int
) -> None:
    for _ in range(queued):
        await store.job(await store.user())
    for number in range(workers):
        await worker(store, f"w{number}")
    await silence(store)
    await jobs.sweep()
    assert bells.rung == [(FLASH, rings)]


async def test_bells_do_not_ring_again_before_their_time(store: Store, jobs: Jobs, bells: Bells) -> None:
    await store.job(await store.user())
    await worker(store)
    await jobs.sweep()
    assert bells.rung == []
    await silence(store)
    await jobs.sweep()
    await jobs.sweep()
    assert bells.rung == [(FLASH, 1)]


async def test_each_queue_has_its_bell(store: Store, jobs: Jobs, bells: Bells) -> None:
    user = await store.user()
    await store.job(user)
    await store.job(user, lane="base")
    await worker(store)
    await silence(store)
    await jobs.sweep()
    assert sorted(bells.rung) == [(f"{FAMILY}.base", 1), (FLASH, 1)]


async def test_without_workers_no_bell_rings_and_the_deadline_stands_still(store: Store, jobs: Jobs, bells: Bells) -> None:
    await store.job(await store.user())
    await worker(store, lanes=("base",))
    await silence(store)
    await jobs.sweep()
    before: Any = await store.number("SELECT deadline_at FROM job")
    await away(store, 5)
    await jobs.sweep()
    assert bells.rung == []
    assert await store.number("SELECT deadline_at FROM job") == pytest.approx(before + 5, abs=2)


async def test_time_while_the_bot_was_away_is_nobodys(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    await worker(store)
    await jobs.sweep()
    before: Any = await store.number("SELECT deadline_at FROM job")
    await away(store, 7200)
    await store.sql("UPDATE job SET deadline_at = deadline_at - 7200")
    await jobs.sweep()
    assert (await store.get(job)).state == JobState.QUEUED
    assert await store.number("SELECT deadline_at FROM job") == pytest.approx(before, abs=2)


async def test_a_job_that_ran_when_the_machine_was_switched_off_is_drawn_again(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    await worker(store)
    await jobs.sweep()
    await store.claimed()
    await away(store, 1200)
    await store.sql("UPDATE job SET deadline_at = deadline_at - 1200, lease_until = lease_until - 1200")
    await jobs.sweep()
    now = await store.get(job)
    assert (now.state, now.crash_count) == (JobState.QUEUED, 1)
    assert await store.quota(job) == {"reserve": 4}
    assert await notices(store) == []


async def test_a_job_that_runs_while_the_bot_alone_was_away_goes_on(store: Store, jobs: Jobs) -> None:
    job = await store.job(await store.user())
    await worker(store)
    await jobs.sweep()
    await store.claimed()
    await away(store, 1200)
    await store.sql("UPDATE job SET deadline_at = deadline_at - 1200")
    await jobs.sweep()
    assert (await store.get(job)).state == JobState.RUNNING


async def test_with_workers_the_deadline_comes_nearer(store: Store, jobs: Jobs) -> None:
    await store.job(await store.user())
    await worker(store)
    before: Any = await store.number("SELECT deadline_at FROM job")
    await jobs.sweep()
    assert await store.number("SELECT deadline_at FROM job") == before


async def test_a_lease_that_is_renewed_at_the_last_moment_keeps_its_job(
    store: Store, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await store.job(await store.user())
    await store.claimed()
    await store.sql("UPDATE job SET lease_until = 1")
    lost = JobRepository.lost

    async def renewed_after_the_look(self: JobRepository, only: int | None = None) -> list[Job]:
        found = await lost(self, only)
        if only is None:
            await store.sql("UPDATE job SET lease_until = deadline_at")
        return found

    monkeypatch.setattr(JobRepository, "lost", renewed_after_the_look)
    await jobs.sweep()
    now = await store.get(job)
    assert (now.state, now.crash_count) == (JobState.RUNNING, 0)


async def test_a_job_that_cannot_be_ended_holds_up_no_other(
    store: Store, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await store.job(await store.user()), await store.job(await store.user())
    await worker(store)
    await store.sql("UPDATE job SET deadline_at = 1")
    fail = bot_jobs.fail

    async def broken(session: AsyncSession, job: Job, error_class: str) -> None:
        await fail(session, job, error_class)
        if job.id == bad.id:
            raise ValueError("a row that cannot be")

    monkeypatch.setattr(bot_jobs, "fail", broken)
    with caplog.at_level(logging.CRITICAL):
        await jobs.sweep()
    assert [(await store.get(job)).state for job in (bad, good)] == [JobState.QUEUED, JobState.FAILED]
    assert await store.quota(bad) == {"reserve": 4}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_sweep_waits_for_nobody_who_waits_for_it(store: Store, jobs: Jobs) -> None:
    """Whoever ends a drawing takes the job's row and then the person's; so does the sweep, and lets go before the next."""
    user = await store.user()
    running = [await store.job(user) for _ in range(2)]
    for _ in running:
        await store.claimed()
    await worker(store)
    await store.sql("UPDATE job SET deadline_at = 1")
    async with store.database.begin() as session:
        await session.execute(select(JobRow.id).where(JobRow.id == running[1].id).with_for_update())
        sweep = asyncio.create_task(jobs.sweep())
        await somebody_waits(store)
        await session.execute(text('UPDATE "user" SET running = running'))
    await sweep
    assert {(await store.get(job)).error_class for job in running} == {"deadline"}


async def test_a_swept_house_rings_nothing(jobs: Jobs, bells: Bells) -> None:
    await jobs.sweep()
    assert bells.rung == []

"""Jobs and their transitions: fair claims, fences, leases, places, quota."""

import pytest

from storage.domain import TERMINAL, Job, JobState, User
from storage.errors import LostLease, NotFound
from storage.repositories.jobs import JobRepository
from tests.storage.made import FAMILY, Store


async def _running(store: Store, user: User) -> int:
    return int(await store.number('SELECT running FROM "user" WHERE id = :id', id=user.id))


async def test_a_new_job_owes_a_status_holds_quota_and_is_in_the_audit(store: Store) -> None:
    job = await store.job(await store.user(), amount=3)
    assert job.state == JobState.QUEUED
    assert await store.sql("SELECT ordinal, state FROM delivery") == [(0, "pending")]
    assert await store.quota(job) == {"reserve": 3}
    assert await store.audit(job) == [(None, "queued", 0)]


async def test_public_ids_tell_nothing_of_the_number(store: Store) -> None:
    user = await store.user()
    first, second = await store.job(user), await store.job(user)
    assert len(first.public_id) == len(second.public_id) == 16
    assert first.public_id != second.public_id


async def test_somebody_elses_job_is_as_absent_as_none(store: Store) -> None:
    owner, other = await store.user(), await store.user()
    job = await store.job(owner)
    async with store.database.read() as session:
        jobs = JobRepository(session)
        assert await jobs.owned(job.public_id, owner.id) == job
        with pytest.raises(NotFound) as not_theirs:
            await jobs.owned(job.public_id, other.id)
        with pytest.raises(NotFound) as not_there:
            await jobs.owned("no-such-job-here", other.id)
    assert not_theirs.value.code == not_there.value.code == "refused.not-found"


async def test_an_unknown_job_is_not_found(store: Store) -> None:
    async with store.database.read() as session:
        with pytest.raises(NotFound):
            await JobRepository(session).get(1)


async def test_one_with_five_jobs_does_not_keep_others_waiting(store: Store) -> None:
    busy = await store.user()
    five = [await store.job(busy) for _ in range(5)]
    others = [await store.user() for _ in range(3)]
    single = [await store.job(user) for user in others]
    claimed = []
    for _ in range(8):
        job = await store.claimed()
        await store.rendered(job)
        claimed.append(job.id)
    assert claimed == [five[0].id, *(job.id for job in single), *(job.id for job in five[1:])]


async def test_who_has_fewest_drawings_running_is_next(store: Store) -> None:
    first, second = await store.user(), await store.user()
    jobs = [await store.job(user) for user in (first, first, second, second)]
    claimed = [(await store.claimed(f"w{number}")).id for number in range(4)]
    assert claimed == [jobs[0].id, jobs[2].id, jobs[1].id, jobs[3].id]


async def test_what_a_dead_worker_gave_back_waits_for_no_second_round(store: Store) -> None:
    broken_off = await store.job(await store.user())
    claimed = await store.claimed()
    for _ in range(3):
        await store.job(await store.user())
    async with store.database.begin() as session:
        await JobRepository(session).requeue(claimed, "worker lost", crashed=True)
    assert (await store.claimed()).id == broken_off.id


async def test_a_persons_own_jobs_are_claimed_in_order(store: Store) -> None:
    user = await store.user()
    jobs = [await store.job(user) for _ in range(3)]
    assert [(await store.claimed()).id for _ in jobs] == [job.id for job in jobs]


async def test_only_loaded_lanes_are_claimed(store: Store) -> None:
    user = await store.user()
    await store.job(user, lane="upscale")
    await store.job(user, family="kandinsky-3.1")
    base = await store.job(user, lane="base")
    assert await store.claim(lanes=("flash",)) is None
    claimed = await store.claim(lanes=("flash", "base"))
    assert claimed is not None
    assert claimed.id == base.id
    assert await store.claim(lanes=("flash", "base")) is None


async def test_nothing_to_claim_is_no_error(store: Store) -> None:
    assert await store.claim() is None
    assert await store.claim(lanes=()) is None


async def test_a_cancelled_job_is_never_claimed(store: Store) -> None:
    user = await store.user()
    ended, asked = await store.job(user), await store.job(user)
    await store.finish(ended, JobState.CANCELLED, refund=True)
    async with store.database.begin() as session:
        await JobRepository(session).request_cancel(asked)
    assert await store.claim() is None


async def test_a_claim_takes_fence_attempt_and_lease(store: Store) -> None:
    await store.job(await store.user())
    job = await store.claimed("w7")
    assert (job.state, job.fence, job.attempt, job.worker_id) == (JobState.RUNNING, 1, 1, "w7")
    assert await store.number("SELECT lease_until - started_at FROM job") == pytest.approx(30, abs=0.01)


async def test_two_workers_never_claim_the_same_job(store: Store) -> None:
    user = await store.user()
    await store.job(user)
    assert await store.claim("w1") is not None
    assert await store.claim("w2") is None


async def _taken_over(store: Store) -> tuple[Job, Job]:
    """One job as the worker that lost it knows it, and as the one that has it now."""
    await store.job(await store.user())
    stale = await store.claimed("w1")
    async with store.database.begin() as session:
        await JobRepository(session).requeue(stale, "worker lost", crashed=True)
    return stale, await store.claimed("w2")


async def _write(store: Store, stale: Job, what: str) -> None:
    async with store.database.begin() as session:
        jobs = JobRepository(session)
        if what == "rendered":
            await jobs.rendered(stale, "toy", "00" * 32)
        elif what == "requeue":
            await jobs.requeue(stale, "late", crashed=True)
        elif what == "finish":
            await jobs.finish(stale, JobState.FAILED, "late", refund=True)
        else:
            await jobs.heartbeat(stale, "step", 1, 4, 30)


@pytest.mark.parametrize("write", ["rendered", "requeue", "finish", "heartbeat"])
@pytest.mark.parametrize("meanwhile", ["taken over", "requeued", "cancelled"])
async def test_a_stale_worker_changes_nothing(store: Store, write: str, meanwhile: str) -> None:
    await store.job(await store.user())
    stale = await store.claimed("w1")
    async with store.database.begin() as session:
        if meanwhile == "cancelled":
            await JobRepository(session).finish(stale, JobState.CANCELLED, "cancelled", refund=True)
        else:
            await JobRepository(session).requeue(stale, "worker lost", crashed=True)
    if meanwhile == "taken over":
        await store.claimed("w2")
    before = await store.get(stale), await store.audit(stale), await store.quota(stale)
    with pytest.raises(LostLease):
        await _write(store, stale, write)
    assert (await store.get(stale), await store.audit(stale), await store.quota(stale)) == before


async def test_a_worker_learns_that_its_job_was_taken(store: Store) -> None:
    stale, fresh = await _taken_over(store)
    async with store.database.read() as session:
        assert await JobRepository(session).wants_cancel(stale)
        assert not await JobRepository(session).wants_cancel(fresh)


async def test_a_heartbeat_renews_the_lease_and_shows_progress(store: Store) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    await store.sql("UPDATE job SET lease_until = 1")
    async with store.database.begin() as session:
        assert not await JobRepository(session).heartbeat(job, "step", 3, 4, lease_s=30)
        assert await JobRepository(session).lost() == []
    now = await store.get(job)
    assert (now.stage, now.step, now.steps) == ("step", 3, 4)


async def test_progress_alone_does_not_renew_the_lease(store: Store) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    await store.sql("UPDATE job SET lease_until = 1")
    async with store.database.begin() as session:
        await JobRepository(session).heartbeat(job, "step", 3, 4, lease_s=None)
        assert [lost.id for lost in await JobRepository(session).lost()] == [job.id]


async def test_a_heartbeat_brings_the_wish_to_cancel(store: Store) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    async with store.database.begin() as session:
        jobs = JobRepository(session)
        await jobs.request_cancel(job)
        assert await jobs.wants_cancel(job)
        assert await jobs.heartbeat(job, "step", 3, 4, lease_s=30)


async def test_only_ended_leases_are_lost(store: Store) -> None:
    user = await store.user()
    for _ in range(3):
        await store.job(user)
    lost, alive = await store.claimed(), await store.claimed()
    await store.sql("UPDATE job SET lease_until = 1 WHERE id = :id", id=lost.id)
    async with store.database.read() as session:
        assert [job.id for job in await JobRepository(session).lost()] == [lost.id]
        assert [job.id for job in await JobRepository(session).running_on("w1")] == [lost.id, alive.id]


async def test_jobs_that_nobody_has_drawn_in_time_are_overdue(store: Store) -> None:
    user = await store.user()
    jobs = [await store.job(user) for _ in range(4)]
    running, drawn = await store.claimed(), await store.claimed()
    await store.rendered(drawn)
    await store.sql("UPDATE job SET deadline_at = 1 WHERE id <> :id", id=jobs[3].id)
    async with store.database.read() as session:
        assert [job.id for job in await JobRepository(session).overdue()] == [running.id, jobs[2].id]


async def test_deadlines_move_for_unfinished_jobs_of_one_queue(store: Store) -> None:
    user = await store.user()
    drawn, running = await store.job(user), await store.job(user)
    waiting, other = await store.job(user), await store.job(user, lane="base")
    for _ in range(2):
        await store.claim(lanes=("flash",))
    await store.rendered(await store.get(drawn))
    await store.sql("UPDATE job SET deadline_at = 100")
    async with store.database.begin() as session:
        await JobRepository(session).extend_deadlines(2, FAMILY, "flash")
    assert await store.sql("SELECT id, deadline_at FROM job ORDER BY id") == [
        (drawn.id, 100),
        (running.id, 102),
        (waiting.id, 102),
        (other.id, 100),
    ]


async def test_a_crash_counts_and_a_drain_does_not(store: Store) -> None:
    await store.job(await store.user())
    for crashed in (True, False):
        job = await store.claimed()
        async with store.database.begin() as session:
            await JobRepository(session).requeue(job, "why", crashed=crashed)
    now = await store.get(job)
    assert (now.state, now.attempt, now.crash_count, now.worker_id, now.step) == (JobState.QUEUED, 1, 1, None, 0)


@pytest.mark.parametrize("to", sorted(TERMINAL))
@pytest.mark.parametrize("refund", [True, False])
async def test_the_quota_is_settled_once(store: Store, to: JobState, refund: bool) -> None:
    job = await store.job(await store.user(), amount=3)
    await store.finish(job, to, refund)
    with pytest.raises(LostLease):
        await store.finish(job, to, not refund)
    assert await store.quota(job) == {"reserve": 3, "refund" if refund else "commit": 3}


async def test_the_audit_has_every_transition_with_a_rising_fence(store: Store) -> None:
    job, stale = None, None
    await store.job(await store.user())
    for _ in range(2):
        stale = await store.claimed()
        async with store.database.begin() as session:
            await JobRepository(session).requeue(stale, "worker lost", crashed=True)
    job = await store.rendered(await store.claimed())
    await store.finish(job, JobState.DELIVERED)
    assert await store.audit(job) == [
        (None, "queued", 0),
        ("queued", "running", 1),
        ("running", "queued", 1),
        ("queued", "running", 2),
        ("running", "queued", 2),
        ("queued", "running", 3),
        ("running", "rendered", 3),
        ("rendered", "delivered", 3),
    ]


@pytest.mark.parametrize("end", ["rendered", "requeued", "failed", "cancelled"])
async def test_a_person_has_no_drawing_running_after_it_ended(store: Store, end: str) -> None:
    user = await store.user()
    await store.job(user)
    job = await store.claimed()
    assert await _running(store, user) == 1
    if end == "rendered":
        await store.rendered(job)
    elif end == "requeued":
        async with store.database.begin() as session:
            await JobRepository(session).requeue(job, "drained", crashed=False)
    else:
        await store.finish(job, JobState(end), refund=True)
    assert await _running(store, user) == 0


async def test_cancelling_a_waiting_job_leaves_the_count_of_drawings(store: Store) -> None:
    user = await store.user()
    waiting = await store.job(user)
    await store.finish(waiting, JobState.CANCELLED, refund=True)
    assert await _running(store, user) == 0


async def test_waiting_names_each_queue_with_its_silence(store: Store) -> None:
    user = await store.user()
    for lane in ("flash", "flash", "base"):
        await store.job(user, lane=lane)
    await store.sql("UPDATE job SET rung_at = rung_at - 60 WHERE lane = 'flash'")
    async with store.database.begin() as session:
        waiting = {lane: (count, age) for _, lane, count, age in await JobRepository(session).waiting()}
        await JobRepository(session).rung(FAMILY, "flash")
        after = {lane: age for _, lane, _, age in await JobRepository(session).waiting()}
    assert {lane: count for lane, (count, _) in waiting.items()} == {"flash": 2, "base": 1}
    assert {lane: age for lane, (_, age) in waiting.items()} == pytest.approx({"flash": 60, "base": 0}, abs=2)
    assert after["flash"] == pytest.approx(0, abs=2)


async def test_a_job_given_back_is_rung_for_at_once(store: Store) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    async with store.database.begin() as session:
        await JobRepository(session).requeue(job, "worker lost", crashed=True)
        ((_, _, count, age),) = await JobRepository(session).waiting()
    assert count == 1
    assert age > 3600


async def test_only_ended_jobs_of_a_button_are_counted(store: Store) -> None:
    user = await store.user()
    jobs = [await store.job(user, button="cb:again") for _ in range(3)]
    await store.job(user, button="cb:other")
    await store.finish(jobs[0], JobState.CANCELLED, refund=True)
    await store.rendered(await store.claimed())
    async with store.database.read() as session:
        assert await JobRepository(session).finished_of_button("cb:again") == 1


async def test_seconds_from_claim_to_picture_are_measured_newest_first(store: Store) -> None:
    user = await store.user()
    jobs = [await store.job(user) for _ in range(3)]
    for _ in range(2):
        await store.rendered(await store.claimed())
    await store.sql("UPDATE job SET rendered_at = started_at + id WHERE rendered_at IS NOT NULL")
    async with store.database.read() as session:
        recent = await JobRepository(session).recent_seconds(FAMILY, "flash")
    assert [seconds for _, seconds in recent] == [pytest.approx(jobs[1].id), pytest.approx(jobs[0].id)]


async def test_statuses_are_kept_up_to_date_until_the_drawing_ends(store: Store) -> None:
    user = await store.user()
    waiting, silent, ended = [await store.job(user) for _ in range(3)]
    async with store.database.begin() as session:
        jobs = JobRepository(session)
        for job in (waiting, ended):
            await jobs.set_status_message(job.id, 10 + job.id)
    await store.finish(ended, JobState.CANCELLED, refund=True)
    async with store.database.read() as session:
        watched = await JobRepository(session).unfinished_with_status(user.bot_id)
    assert [job.id for job in watched] == [waiting.id]
    assert silent.status_message_id is None

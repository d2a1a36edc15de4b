"""What a person can do with a job: submit, cancel."""

import asyncio
from dataclasses import replace

import pytest

from bot.jobs import Jobs
from bot.settings import JobSettings
from bot.timings import size_of
from engine.requests import RequestError
from storage.database import Database
from storage.domain import Job, JobState, Refused, User
from storage.errors import NotFound
from storage.queue_state import Timing
from storage.repositories.jobs import JobRepository
from storage.repositories.workers import TimingRepository
from tests.bot.wishes import FLASH, REQUEST, Bells, Wishes, inbox, notices, somebody_waits, worker
from tests.storage.made import FAMILY, LANES, Store

# Submit


async def test_a_wish_is_stored_whole_before_its_bell_rings(store: Store, jobs: Jobs, bells: Bells, wishes: Wishes) -> None:
    wish = await wishes.message(await store.user())
    submitted = await jobs.submit(wish, REQUEST)
    assert submitted.created
    assert bells.rung == [(FLASH, 1)]
    assert bells.jobs_seen == [1]
    assert await inbox(store) == {wish.inbox_id: "done"}
    assert await store.quota(submitted.job) == {"reserve": 4}
    assert await store.sql("SELECT ordinal, state FROM delivery") == [(0, "pending")]


async def test_a_request_that_the_family_refuses_stores_nothing(store: Store, jobs: Jobs, bells: Bells, wishes: Wishes) -> None:
    wish = await wishes.message(await store.user())
    with pytest.raises(RequestError):
        await jobs.submit(wish, replace(REQUEST, prompt="a cat at a computer"))
    assert await inbox(store) == {wish.inbox_id: "new"}
    assert await store.number("SELECT count(*) FROM job") == 0
    assert bells.rung == []


async def test_the_same_message_twice_is_one_job(store: Store, jobs: Jobs, bells: Bells, wishes: Wishes) -> None:
    user = await store.user()
    first = await jobs.submit(await wishes.message(user, 5), REQUEST)
    again = await jobs.submit(await wishes.message(user, 5), REQUEST)
    assert (first.created, again.created) == (True, False)
    assert first.job.id == again.job.id
    assert set((await inbox(store)).values()) == {"done"}
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


async def test_a_press_made_while_the_job_ran_is_the_same_wish_when_handled_after_it(
    store: Store, jobs: Jobs, wishes: Wishes
) -> None:
    user = await store.user()
    first = await jobs.submit(await wishes.press(user), REQUEST)
    late = await wishes.press(user)
    await store.sql("UPDATE inbox SET received_at = received_at - 5")
    await store.finish(await store.rendered(await store.claimed()), JobState.DELIVERED)
    again = await jobs.submit(late, REQUEST)
    assert (again.created, again.job.id) == (False, first.job.id)
    assert (await inbox(store))[late.inbox_id] == "done"
    assert (await jobs.submit(await wishes.press(user), REQUEST)).created


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
    assert (await inbox(store))[wish.inbox_id] == "new"
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
    assert (refused.value.code, refused.value.values) == ("refused.per-day", {"limit": 5, "value": 4, "wanted": 4})
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
    await worker(store)
    job = (await jobs.submit(await wishes.message(await store.user()), REQUEST)).job
    async with database.begin() as session:
        await TimingRepository(session).put(FAMILY, "flash", size_of(job), Timing(2, 3))
    view, timing = await jobs.queue_view(job)
    assert (view.place, view.workers, timing) == (1, 1, Timing(2, 3))


async def test_who_asks_is_told_of_everybody_who_waits_now(
    store: Store, jobs: Jobs, wishes: Wishes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.queue_look._SHARE", 1e-9)  # a look is then good for ever
    waiting = []
    for _ in range(3):
        waiting.append((await jobs.submit(await wishes.message(await store.user()), REQUEST)).job)
        await jobs.queue_view(waiting[0])
    view, _ = await jobs.queue_view(waiting[2], asked=True)
    assert (view.people_before, view.people) == (2, 3)


# Cancel


async def _submitted(store: Store, jobs: Jobs, wishes: Wishes) -> tuple[User, Job]:
    user = await store.user()
    return user, (await jobs.submit(await wishes.message(user), REQUEST)).job


async def test_a_waiting_job_is_cancelled_at_once(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user, job = await _submitted(store, jobs, wishes)
    wish = await wishes.press(user, "cancel")
    was = await jobs.cancel(user, job.public_id, wish.inbox_id)
    assert was.state == JobState.QUEUED
    assert (await store.get(job)).state == JobState.CANCELLED
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await notices(store) == ["job.cancelled"]
    assert (await inbox(store))[wish.inbox_id] == "done"


async def test_a_drawing_is_asked_to_stop(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user, job = await _submitted(store, jobs, wishes)
    await store.claimed()
    was = await jobs.cancel(user, job.public_id, (await wishes.press(user)).inbox_id)
    assert (was.state, was.cancel_requested) == (JobState.RUNNING, False)
    now = await store.get(job)
    assert (now.state, now.cancel_requested) == (JobState.RUNNING, True)
    assert await notices(store) == []


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
    assert await jobs.cancel(user, job.public_id, wish.inbox_id) == before
    assert await store.get(job) == before
    assert await notices(store) == []
    assert (await inbox(store))[wish.inbox_id] == "done"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_job_that_is_claimed_while_it_is_cancelled_is_asked_to_stop(store: Store, jobs: Jobs) -> None:
    """Cancelling waits for the claim, and then knows of it."""
    user = await store.user()
    job = await store.job(user)
    async with store.database.begin() as session:
        assert await JobRepository(session).claim("w1", FAMILY, LANES, 30.0)
        cancelling = asyncio.create_task(jobs.cancel(user, job.public_id, None))
        await somebody_waits(store)
    assert (await cancelling).state == JobState.RUNNING
    now = await store.get(job)
    assert (now.state, now.cancel_requested) == (JobState.RUNNING, True)


async def test_nobody_cancels_somebody_elses_job(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    _, job = await _submitted(store, jobs, wishes)
    other = await store.user()
    with pytest.raises(NotFound):
        await jobs.cancel(other, job.public_id, (await wishes.press(other)).inbox_id)
    assert (await store.get(job)).state == JobState.QUEUED


async def test_cancelling_twice_is_cancelling_once(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user, job = await _submitted(store, jobs, wishes)
    results = [await jobs.cancel(user, job.public_id, (await wishes.press(user)).inbox_id) for _ in range(2)]
    assert [was.state for was in results] == [JobState.QUEUED, JobState.CANCELLED]
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await notices(store) == ["job.cancelled"]


@pytest.mark.parametrize("running", [False, True])
async def test_a_status_whose_number_was_never_learnt_is_known_by_its_button(
    store: Store, jobs: Jobs, wishes: Wishes, running: bool
) -> None:
    user, job = await _submitted(store, jobs, wishes)
    if running:
        await store.claimed()
    await jobs.cancel(user, job.public_id, (await wishes.press(user)).inbox_id, message_id=77)
    assert (await store.get(job)).status_message_id == 77
    assert await notices(store) == ([] if running else ["job.cancelled"])


async def test_a_status_that_is_known_is_not_exchanged(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user, job = await _submitted(store, jobs, wishes)
    await store.sql("UPDATE job SET status_message_id = 5")
    await jobs.cancel(user, job.public_id, (await wishes.press(user)).inbox_id, message_id=77)
    assert (await store.get(job)).status_message_id == 5


async def test_a_stray_status_of_an_ended_job_is_told_so_once(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    user, job = await _submitted(store, jobs, wishes)
    await store.finish(await store.rendered(await store.claimed()), JobState.DELIVERED)
    for _ in range(2):
        await jobs.cancel(user, job.public_id, (await wishes.press(user)).inbox_id, message_id=77)
    assert await store.sql("SELECT key, edit_message_id FROM notice") == [("status.elsewhere", 77)]
    assert (await store.get(job)).state == JobState.DELIVERED
    assert await store.quota(job) == {"reserve": 4, "commit": 4}

"""A picture that is drawn and cannot be brought to its chat is not owed for ever."""

from bot.jobs import Jobs
from storage.domain import Job, JobState
from tests.bot.wishes import away, notices, worker
from tests.storage.made import Store


async def _drawn(store: Store, late_s: float) -> Job:
    """Draw a job whose deadline is so long past."""
    await worker(store)
    await store.job(await store.user())
    job = await store.rendered(await store.claimed())
    await store.sql("UPDATE job SET deadline_at = rendered_at - :late", late=late_s)
    return job


async def test_a_picture_that_could_not_be_brought_for_a_day_ends_with_a_refund_and_a_word(store: Store, jobs: Jobs) -> None:
    job = await _drawn(store, 86401)
    for _ in range(2):
        await jobs.sweep()
    now = await store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "undeliverable")
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await notices(store) == ["job.failed"]
    assert await store.number("SELECT state FROM delivery WHERE ordinal = 1") == "failed"


async def test_a_picture_is_on_its_way_for_a_day(store: Store, jobs: Jobs) -> None:
    job = await _drawn(store, 86300)
    await jobs.sweep()
    assert (await store.get(job)).state == JobState.RENDERED
    assert await notices(store) == []


async def test_a_day_that_the_bot_was_away_is_none_of_them(store: Store, jobs: Jobs) -> None:
    job = await _drawn(store, 86300)
    await jobs.sweep()
    await away(store, 86400)
    await store.sql("UPDATE job SET deadline_at = deadline_at - 86400")
    await jobs.sweep()
    assert (await store.get(job)).state == JobState.RENDERED

"""Rough pictures on their way: the newest of each drawing, shown only while its worker still has the job."""

from storage.domain import JobState
from storage.repositories.jobs import JobRepository
from storage.repositories.previews import PreviewRepository
from tests.storage.made import BOT, Store


async def test_the_newest_preview_of_a_drawing_is_there_and_is_noted_when_it_is_taken(store: Store) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    async with store.database.begin() as session:
        previews = PreviewRepository(session)
        assert await previews.versions(BOT) == {}
        await previews.put(job, 3, b"rough")
        await previews.put(job, 7, b"finer")
        assert await previews.versions(BOT) == {job.id: (1, 7)}
        assert await previews.versions(BOT + 1) == {}
        assert not (await JobRepository(session).get(job.id)).previewed
        assert await previews.take(job) == b"finer"
    assert (await store.get(job)).previewed


async def test_a_preview_of_who_has_lost_the_job_is_not_shown(store: Store) -> None:
    await store.job(await store.user())
    lost = await store.claimed()
    async with store.database.begin() as session:
        await JobRepository(session).requeue(lost, "worker lost", crashed=True)
    job = await store.claimed("w2")
    async with store.database.begin() as session:
        previews = PreviewRepository(session)
        await previews.put(lost, 9, b"of the first worker")
        assert await previews.versions(BOT) == {}
        assert await previews.take(lost) is None
        await previews.put(job, 1, b"of the second")
        assert await previews.versions(BOT) == {job.id: (2, 1)}


async def test_what_is_not_drawn_any_more_has_no_preview_and_the_sweep_drops_it(store: Store) -> None:
    user = await store.user()
    await store.job(user)
    ended = await store.claimed()
    await store.job(user)
    going_on = await store.claimed()
    async with store.database.begin() as session:
        for job in (ended, going_on):
            await PreviewRepository(session).put(job, 2, b"rough")
    await store.finish(ended, JobState.CANCELLED, refund=True)
    async with store.database.begin() as session:
        previews = PreviewRepository(session)
        assert await previews.take(ended) is None
        await previews.forget_old()
        assert await previews.versions(BOT) == {going_on.id: (1, 2)}
    assert await store.sql("SELECT job_id FROM preview") == [(going_on.id,)]
    assert not (await store.get(ended)).previewed


async def test_another_status_message_shows_no_preview(store: Store) -> None:
    await store.job(await store.user())
    job = await store.claimed()
    async with store.database.begin() as session:
        await PreviewRepository(session).put(job, 2, b"rough")
        await PreviewRepository(session).take(job)
        await JobRepository(session).set_status_message(job.id, 77)
    assert not (await store.get(job)).previewed

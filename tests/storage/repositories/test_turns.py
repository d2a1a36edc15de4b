"""Whose turn is when, by people."""

from storage.domain import JobState, Turn, User
from storage.repositories.turns import TurnRepository
from tests.storage.made import FAMILY, Store


async def _turn(store: Store, user: User, lane: str = "flash") -> Turn:
    async with store.database.read() as session:
        return await TurnRepository(session).of(user.id, FAMILY, lane)


async def test_people_are_counted_not_jobs(store: Store) -> None:
    anna, boris = await store.user(), await store.user()
    for _ in range(3):
        await store.job(anna)
    await store.job(boris)
    assert await _turn(store, anna) == Turn(1, 2)
    assert await _turn(store, boris) == Turn(2, 2)


async def test_who_waits_for_nothing_has_no_turn(store: Store) -> None:
    await store.job(await store.user())
    assert await _turn(store, await store.user()) == Turn(0, 1)
    assert await _turn(store, await store.user(), "base") == Turn(0, 0)


async def test_the_order_is_that_of_the_claims(store: Store) -> None:
    people = [await store.user() for _ in range(3)]
    for person in (*people, people[0]):
        await store.job(person)
    for _ in range(4):
        first = [person for person in people if (await _turn(store, person)).place == 1]
        job = await store.claimed()
        assert [person.id for person in first] == [job.user_id]
        await store.finish(await store.rendered(job), JobState.DELIVERED)


async def test_a_job_whose_cancel_is_asked_for_waits_no_more(store: Store) -> None:
    anna = await store.user()
    job = await store.job(anna)
    await store.sql("UPDATE job SET cancel_requested = true WHERE id = :id", id=job.id)
    assert await _turn(store, anna) == Turn(0, 0)

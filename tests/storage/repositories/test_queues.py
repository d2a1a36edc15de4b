"""Places, and who is there to draw."""

import random

import pytest

from storage.domain import Job, JobState, User, WorkerState
from storage.queue_state import InHand
from storage.repositories.jobs import JobRepository
from storage.repositories.queues import QueueRepository
from storage.repositories.workers import WorkerRepository
from tests.storage.made import FAMILY, LANES, Store


async def _place(store: Store, job: Job) -> int:
    async with store.database.read() as session:
        return (await QueueRepository(session).view(job, 15)).place


async def test_places_go_round_the_people(store: Store) -> None:
    busy, single = await store.user(), await store.user()
    mine = [await store.job(busy) for _ in range(3)]
    theirs = await store.job(single)
    assert [await _place(store, job) for job in (*mine, theirs)] == [1, 3, 4, 2]


async def test_places_count_what_is_being_drawn_for_a_person(store: Store) -> None:
    busy, single = await store.user(), await store.user()
    mine = [await store.job(busy) for _ in range(2)]
    await store.claimed()
    theirs = await store.job(single)
    assert [await _place(store, job) for job in (mine[1], theirs)] == [2, 1]


@pytest.mark.parametrize("seed", range(12))
async def test_places_are_the_order_of_the_claims(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    people = [await store.user() for _ in range(4)]
    for _ in range(10):
        await store.job(dice.choice(people))
    for _ in range(4):
        job = await store.claimed()
        if dice.random() < 0.5:
            await store.rendered(job)
    async with store.database.read() as session:
        jobs = JobRepository(session)
        waiting = [job for user in people for job in await jobs.active_of(user.id) if job.state == JobState.QUEUED]
    places = {job.id: await _place(store, job) for job in waiting}
    claimed = [(await store.claimed()).id for _ in waiting]
    assert [places[job_id] for job_id in claimed] == list(range(1, len(waiting) + 1))


async def test_a_waiting_person_sees_who_is_at_work_for_them(store: Store) -> None:
    job = await store.job(await store.user())
    async with store.database.begin() as session:
        workers = WorkerRepository(session)
        await workers.seen("ready", FAMILY, LANES, "cpu", WorkerState.IDLE)
        await workers.seen("loading", FAMILY, ("flash",), "cpu", WorkerState.LOADING)
        await workers.seen("other lane", FAMILY, ("base",), "cpu", WorkerState.IDLE)
        await workers.seen("gone", FAMILY, LANES, "cpu", WorkerState.IDLE)
    await store.sql("UPDATE worker SET seen_at = 1 WHERE id = 'gone'")
    async with store.database.read() as session:
        view = await QueueRepository(session).view(job, 15)
    assert (view.place, view.workers, view.loading) == (1, 2, 1)


async def test_a_waiting_person_sees_how_far_the_drawings_in_hand_are(store: Store) -> None:
    user, other = await store.user(), await store.user()
    await store.job(other)
    async with store.database.begin() as session:
        await WorkerRepository(session).seen("w1", FAMILY, LANES, "cpu", WorkerState.DRAWING)
        drawn = await JobRepository(session).claim("w1", FAMILY, LANES, 30)
        assert drawn is not None
        await JobRepository(session).heartbeat(drawn, "step", 10, 50, None)
    await store.sql("UPDATE job SET started_at = started_at - 5")
    job = await store.job(user)
    async with store.database.read() as session:
        view = await QueueRepository(session).view(job, 15)
    (in_hand,) = view.in_hand
    assert in_hand == InHand(pytest.approx(5, abs=1), 10, 50)


async def test_a_person_sees_how_many_people_go_first_without_names(store: Store) -> None:
    first, second, third = [await store.user() for _ in range(3)]
    for user in (first, first, second):
        await store.job(user)
    job = await store.job(third)
    async with store.database.read() as session:
        view = await QueueRepository(session).view(job, 15)
    assert (view.place, view.people_before, view.people) == (3, 2, 3)


async def _claims_before(store: Store, job: Job, crowd: User) -> tuple[int, int]:
    """How many drawings begin before this job's, and how many of them are the crowd's."""
    begun = [0, 0]
    while (claimed := await store.claimed()).id != job.id:
        begun[0] += 1
        begun[1] += claimed.user_id == crowd.id
        await store.rendered(claimed)
    return begun[0], begun[1]


async def test_fifty_of_one_person_keep_five_who_come_one_by_one_waiting_for_two_drawings_at_most(store: Store) -> None:
    crowd = await store.user()
    for _ in range(50):
        await store.job(crowd)
    for _ in range(5):
        in_hand = await store.claimed()
        single = await store.job(await store.user())
        await store.rendered(in_hand)
        before, _ = await _claims_before(store, single, crowd)
        assert 1 + before <= 2


async def test_fifty_of_one_person_and_five_at_once(store: Store) -> None:
    crowd = await store.user()
    for _ in range(50):
        await store.job(crowd)
    in_hand = await store.claimed()
    singles = [await store.job(await store.user()) for _ in range(5)]
    await store.rendered(in_hand)
    order = []
    while len(order) < 5:
        job = await store.claimed()
        assert job.user_id != crowd.id, "the crowd's turn comes when everybody had one"
        order.append(job.id)
        await store.rendered(job)
    assert order == [job.id for job in singles]

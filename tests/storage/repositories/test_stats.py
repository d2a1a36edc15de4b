"""What an operator may ask."""

import pytest

from storage.domain import JobState, WorkerState
from storage.repositories.stats import InboxLoad, Spread, StatsRepository, _spread
from storage.repositories.workers import WorkerRepository
from tests.storage.made import BOT, FAMILY, LANES, Store

DAY_S = 86400.0


async def test_queues_say_what_waits_and_for_how_long(store: Store) -> None:
    user = await store.user()
    for _ in range(3):
        await store.job(user)
    await store.claimed()
    await store.sql("UPDATE job SET created_at = created_at - 60")
    async with store.database.read() as session:
        (load,) = await StatsRepository(session).queues()
    assert (load.queue, load.waiting, load.running) == (f"{FAMILY}.flash", 2, 1)
    assert load.oldest_s == pytest.approx(60, abs=10)


async def test_nothing_to_do_is_no_queue(store: Store) -> None:
    async with store.database.read() as session:
        assert await StatsRepository(session).queues() == []
        assert await StatsRepository(session).inbox(BOT) == InboxLoad(0, 0.0, 0)
        assert await StatsRepository(session).seconds(DAY_S) == {}


async def test_workers_are_those_seen_lately(store: Store) -> None:
    async with store.database.begin() as session:
        for name in ("old", "new"):
            await WorkerRepository(session).seen(name, FAMILY, LANES, "cpu", WorkerState.IDLE)
    await store.sql("UPDATE worker SET seen_at = seen_at - 100 WHERE id = 'old'")
    async with store.database.read() as session:
        (worker,) = await StatsRepository(session).workers(15)
    assert (worker.id, worker.lanes, worker.state) == ("new", LANES, "idle")


async def test_jobs_failures_and_people_of_the_last_day(store: Store) -> None:
    anna, boris = await store.user(), await store.user()
    failed = await store.job(anna)
    await store.sql("UPDATE job SET error_class = 'oom' WHERE id = :id", id=failed.id)
    await store.finish(failed, JobState.FAILED, refund=True)
    await store.sql("UPDATE job SET error_class = 'oom' WHERE id = :id AND error_class IS NULL", id=failed.id)
    await store.job(anna)
    old = await store.job(boris)
    await store.sql("UPDATE job SET created_at = created_at - 100000 WHERE id = :id", id=old.id)
    async with store.database.read() as session:
        stats = StatsRepository(session)
        assert await stats.jobs_by_state(DAY_S) == {"failed": 1, "queued": 1}
        assert sum((await stats.failures(DAY_S)).values()) == 1
        assert await stats.people(DAY_S) == 1


async def test_times_are_by_queue(store: Store) -> None:
    user = await store.user()
    for _ in range(2):
        await store.job(user)
        await store.rendered(await store.claimed())
    await store.sql("UPDATE job SET started_at = created_at + 2, rendered_at = created_at + 5")
    async with store.database.read() as session:
        times = await StatsRepository(session).seconds(DAY_S)
    waited, drawn = times[f"{FAMILY}.flash"]
    assert (waited.count, waited.p50, drawn.p90) == (2, pytest.approx(2, abs=0.01), pytest.approx(3, abs=0.01))


async def test_bots_on_one_database_are_told_apart(store: Store) -> None:
    await store.user()
    await store.user()
    await store.user(bot_id=7)
    async with store.database.read() as session:
        assert await StatsRepository(session).bots() == {7: 1, BOT: 2}


async def test_the_inbox_says_what_waits(store: Store) -> None:
    await store.update(1, 10)
    poison = await store.update(2, 10)
    await store.sql("UPDATE inbox SET state = 'poison' WHERE id = :id", id=poison)
    async with store.database.read() as session:
        load = await StatsRepository(session).inbox(BOT)
    assert (load.waiting, load.poison) == (1, 1)


@pytest.mark.parametrize(
    ("seconds", "p50", "p90"),
    [([1.0], 1, 1), ([1.0, 2.0], 1, 2), ([float(n) for n in range(1, 11)], 5, 9), ([float(n) for n in range(1, 101)], 50, 90)],
)
def test_a_spread_is_its_median_and_ninetieth(seconds: list[float], p50: float, p90: float) -> None:
    assert _spread(seconds[::-1]) == Spread(len(seconds), p50, p90)

"""Who is at work, measured times, and leases."""

from storage.domain import WorkerState
from storage.queue_state import Timing
from storage.repositories.workers import LeaseRepository, TimingRepository, WorkerRepository
from tests.storage.made import FAMILY, Store


async def _seen(store: Store, worker_id: str, *lanes: str, state: WorkerState = WorkerState.IDLE) -> None:
    async with store.database.begin() as session:
        await WorkerRepository(session).seen(worker_id, FAMILY, lanes, "cpu", state)


async def _alive(store: Store, lane: str, family: str = FAMILY) -> int:
    async with store.database.read() as session:
        return await WorkerRepository(session).alive(family, lane, 15)


async def _take(store: Store, owner: str, seconds: float = 30) -> bool:
    async with store.database.begin() as session:
        return await LeaseRepository(session).take("deliver", owner, seconds)


async def test_a_worker_is_alive_for_the_lanes_it_has_loaded(store: Store) -> None:
    await _seen(store, "w1", "flash", "base")
    await _seen(store, "w2", "flash")
    assert [await _alive(store, lane) for lane in ("flash", "base", "upscale", "las")] == [2, 1, 0, 0]
    assert await _alive(store, "flash", "kandinsky-3.1") == 0


async def test_a_worker_that_was_not_seen_for_long_is_not_alive(store: Store) -> None:
    await _seen(store, "w1", "flash")
    await store.sql("UPDATE worker SET seen_at = seen_at - 16")
    assert await _alive(store, "flash") == 0


async def test_a_worker_seen_again_is_one_worker(store: Store) -> None:
    await _seen(store, "w1", "flash", state=WorkerState.LOADING)
    await _seen(store, "w1", "flash", state=WorkerState.IDLE)
    async with store.database.read() as session:
        assert await WorkerRepository(session).state("w1") == WorkerState.IDLE
        assert await WorkerRepository(session).state("w2") is None
    assert await _alive(store, "flash") == 1


async def test_a_worker_is_told_to_drain_and_leaves(store: Store) -> None:
    await _seen(store, "w1", "flash")
    async with store.database.begin() as session:
        await WorkerRepository(session).set_state("w1", WorkerState.DRAINING)
        assert await WorkerRepository(session).state("w1") == WorkerState.DRAINING
        await WorkerRepository(session).gone("w1")
    assert await _alive(store, "flash") == 0


async def test_only_workers_long_gone_are_forgotten(store: Store) -> None:
    for worker_id in ("old", "new"):
        await _seen(store, worker_id, "flash")
    await store.sql("UPDATE worker SET seen_at = seen_at - 100 WHERE id = 'old'")
    async with store.database.begin() as session:
        await WorkerRepository(session).forget_older(50)
    assert await store.sql("SELECT id FROM worker") == [("new",)]


async def test_times_are_kept_per_queue_and_size(store: Store) -> None:
    async with store.database.begin() as session:
        timings = TimingRepository(session)
        await timings.put(FAMILY, "flash", "128x128x4", Timing(1, 2))
        await timings.put(FAMILY, "flash", "128x128x4", Timing(3, 4))
    async with store.database.read() as session:
        timings = TimingRepository(session)
        assert await timings.get(FAMILY, "flash", "128x128x4") == Timing(3, 4)
        assert await timings.get(FAMILY, "base", "128x128x4") is None


async def test_a_lease_has_one_owner_who_may_renew_it(store: Store) -> None:
    assert await _take(store, "a")
    assert not await _take(store, "b")
    assert await _take(store, "a")
    assert not await _take(store, "b")


async def test_an_ended_lease_is_anybodys(store: Store) -> None:
    assert await _take(store, "a")
    await store.sql("UPDATE lease SET until = 1")
    assert await _take(store, "b")
    assert not await _take(store, "a")


async def test_a_dropped_lease_is_free_at_once(store: Store) -> None:
    assert await _take(store, "a")
    async with store.database.begin() as session:
        await LeaseRepository(session).drop("deliver", "b")
    assert not await _take(store, "b")
    async with store.database.begin() as session:
        await LeaseRepository(session).drop("deliver", "a")
    assert await _take(store, "b")


async def test_a_lease_is_renewed_however_late_unless_somebody_took_it(store: Store) -> None:
    async with store.database.begin() as session:
        leases = LeaseRepository(session)
        assert await leases.take("sweep", "one", 0)
        assert await leases.renew("sweep", "one", 0)
        assert await leases.take("sweep", "two", 10)
        assert not await leases.renew("sweep", "one", 10)
        assert not await leases.renew("deliver", "one", 10)

"""The queue of updates when Telegram repeats itself, loses the order, or begins to count anew."""

import pytest
from aiogram import Bot

from sandbox.changes import Changes
from sandbox.faults import Faults
from sandbox.person import Person
from sandbox.server import Sandbox
from sandbox.updates import UpdateQueue


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def queue(faults: Faults) -> UpdateQueue:
    return UpdateQueue(Changes(), faults)


class Reader:
    """A bot that confirms the highest id it has seen; it keeps the numbers it read."""

    def __init__(self, queue: UpdateQueue) -> None:
        self.got: list[int] = []
        self._queue = queue
        self._offset = 0

    async def read(self, limit: int = 7) -> list[int]:
        while True:
            batch = await self._queue.poll(self._offset, limit, 0)
            if not batch and not len(self._queue):
                return self.got
            if not batch:
                batch = await self._queue.poll(self._offset, limit, 2)
            self.got += [update["message"]["n"] for update in batch]
            self._offset = max(self._offset, *(update["update_id"] + 1 for update in batch))


async def test_chance_repeats_and_reorders_but_loses_nothing(queue: UpdateQueue, faults: Faults) -> None:
    faults.update_rates(seed=3, duplicate=0.2, reorder=0.3, window=50, hold_s=0.01, replay=0.05)
    reader = Reader(queue)
    for start in range(0, 300, 60):
        for n in range(start, start + 60):
            queue.add("message", {"n": n})
        await reader.read()
    read = reader.got
    assert set(read) == set(range(300))
    assert len(read) > 300 + 40
    firsts = list(dict.fromkeys(read))
    assert firsts != sorted(firsts)
    assert faults.happened["duplicate"] == pytest.approx(60, abs=25)
    assert faults.happened["replay"] > 3


async def test_an_update_is_held_back_behind_at_most_the_window(queue: UpdateQueue, faults: Faults) -> None:
    faults.update_rates(seed=1, reorder=0.5, window=5, hold_s=60)
    for n in range(200):
        queue.add("message", {"n": n})
    got = [update["message"]["n"] for update in await queue.poll(0, 100, 0)]
    late = [place - n for place, n in enumerate(got)]
    assert 0 < max(late) <= 5


async def test_held_updates_come_when_their_time_is_over(queue: UpdateQueue, faults: Faults) -> None:
    faults.update_rates(seed=1, reorder=1.0, hold_s=0.02)
    queue.add("message", {"n": 0})
    assert len(queue) == 1
    assert await queue.poll(0, 100, 0) == []
    assert [update["message"]["n"] for update in await queue.poll(0, 100, 5)] == [0]


async def test_ids_that_jump_backwards_are_delivered_and_confirmed(box: Sandbox, bot: Bot, anna: Person) -> None:
    (first,) = await bot.get_updates(timeout=5)
    await bot.get_updates(offset=first.update_id + 1, timeout=0)
    box.updates.jump(by=-1000)
    await anna.says("from last week")
    (jumped,) = await bot.get_updates(offset=first.update_id + 1, timeout=5)
    assert jumped.update_id == first.update_id - 999
    assert await bot.get_updates(offset=first.update_id + 1, timeout=0) == []
    box.updates.jump()
    await anna.says("anywhere")
    assert box.updates.sent[-1]["update_id"] != jumped.update_id + 1


async def test_a_replayed_update_comes_once_more(queue: UpdateQueue) -> None:
    ids = [queue.add("message", {"n": n}) for n in range(3)]
    reader = Reader(queue)
    assert await reader.read() == [0, 1, 2]
    queue.replay(ids[1] or 0)
    assert await reader.read() == [0, 1, 2, 1]


async def test_a_long_backlog_is_read_in_order(queue: UpdateQueue) -> None:
    for n in range(5000):
        queue.add("message", {"n": n})
    assert await Reader(queue).read(limit=100) == list(range(5000))

"""Updates on their way in."""

from storage.domain import InboxUpdate
from storage.repositories.inbox import InboxRepository
from tests.storage.made import BOT, Store


async def _due(store: Store, busy: tuple[int, ...] = (), limit: int = 50) -> list[InboxUpdate]:
    async with store.database.read() as session:
        return await InboxRepository(session).due(BOT, busy, limit)


async def test_an_update_is_stored_once_however_often_it_comes(store: Store) -> None:
    async with store.database.begin() as session:
        inbox = InboxRepository(session)
        assert await inbox.add(BOT, [(1, 10, "a"), (2, 10, "b"), (2, 10, "b")]) == 2
    async with store.database.begin() as session:
        assert await InboxRepository(session).add(BOT, [(2, 10, "b"), (3, 10, "c")]) == 1
    assert await store.sql("SELECT update_id, payload FROM inbox ORDER BY id") == [(1, "a"), (2, "b"), (3, "c")]


async def test_a_handled_update_that_comes_again_stays_handled(store: Store) -> None:
    inbox_id = await store.update(1, 10)
    async with store.database.begin() as session:
        await InboxRepository(session).done(inbox_id)
        assert await InboxRepository(session).add(BOT, [(1, 10, "{}")]) == 0
    assert await _due(store) == []


async def test_two_bots_may_get_the_same_number(store: Store) -> None:
    async with store.database.begin() as session:
        assert await InboxRepository(session).add(BOT, [(1, 10, "a")]) == 1
        assert await InboxRepository(session).add(BOT + 1, [(1, 10, "a")]) == 1
    assert len(await _due(store)) == 1


async def test_each_chat_gives_its_oldest_update(store: Store) -> None:
    for update_id, chat_id in ((1, 10), (2, 20), (3, 10), (4, 20)):
        await store.update(update_id, chat_id)
    assert [(item.update_id, item.chat_id) for item in await _due(store)] == [(1, 10), (2, 20)]


async def test_a_number_that_starts_over_does_not_jump_the_queue(store: Store) -> None:
    """After a silent week Telegram's numbers are random: the order is that of arrival."""
    await store.update(900, 10)
    await store.update(5, 10)
    assert [item.update_id for item in await _due(store)] == [900]


async def test_a_busy_chat_gives_nothing(store: Store) -> None:
    await store.update(1, 10)
    await store.update(2, 20)
    assert [item.chat_id for item in await _due(store, busy=(10,))] == [20]


async def test_an_update_that_stepped_aside_holds_up_nothing_behind_it(store: Store) -> None:
    aside, behind = await store.update(1, 10), await store.update(2, 10)
    async with store.database.read() as session:
        inbox = InboxRepository(session)
        assert [update.id for update in await inbox.due(BOT, [], 50, [aside])] == [behind]
        assert [update.id for update in await inbox.due(BOT, [], 50)] == [aside]


async def test_no_more_than_asked_for(store: Store) -> None:
    for number in range(5):
        await store.update(number, number)
    assert len(await _due(store, limit=3)) == 3


async def test_an_update_that_waits_for_its_next_try_holds_its_chat_alone(store: Store) -> None:
    first = await store.update(1, 10)
    await store.update(2, 10)
    await store.update(3, 20)
    async with store.database.begin() as session:
        await InboxRepository(session).retry(first, 60, "OSError")
    assert [item.update_id for item in await _due(store)] == [3]


async def test_a_try_is_counted_with_its_error(store: Store) -> None:
    inbox_id = await store.update(1, 10)
    async with store.database.begin() as session:
        await InboxRepository(session).retry(inbox_id, 0, "OSError")
    (item,) = await _due(store)
    assert item.attempts == 1
    assert await store.number("SELECT error FROM inbox") == "OSError"


async def test_a_poisoned_update_lets_its_chat_go_on_and_keeps_its_words(store: Store) -> None:
    first = await store.update(1, 10, '{"poison": 1}')
    await store.update(2, 10)
    async with store.database.begin() as session:
        await InboxRepository(session).poison(first, "AB12 ValueError")
    assert [item.update_id for item in await _due(store)] == [2]
    assert await store.sql("SELECT state, error, payload FROM inbox WHERE id = :id", id=first) == [
        ("poison", "AB12 ValueError", '{"poison": 1}')
    ]


async def test_what_is_set_aside_is_not_handled_afterwards(store: Store) -> None:
    inbox_id = await store.update(1, 10)
    async with store.database.begin() as session:
        await InboxRepository(session).poison(inbox_id, "why")
        await InboxRepository(session).done(inbox_id)
    assert await store.number("SELECT state FROM inbox") == "poison"


async def test_only_old_handled_updates_are_forgotten(store: Store) -> None:
    old_done, _old_new, fresh_done = [await store.update(number, 10) for number in (1, 2, 3)]
    async with store.database.begin() as session:
        for inbox_id in (old_done, fresh_done):
            await InboxRepository(session).done(inbox_id)
    await store.sql("UPDATE inbox SET received_at = received_at - 100 WHERE update_id < 3")
    async with store.database.begin() as session:
        await InboxRepository(session).forget_older(BOT, 50)
    assert await store.sql("SELECT update_id FROM inbox ORDER BY id") == [(2,), (3,)]

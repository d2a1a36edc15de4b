"""What the bot was asking somebody, until the time is over."""

from storage.repositories.dialogs import DialogRepository
from tests.storage.made import Store


async def _put(store: Store, key: str, state: str | None = "words", data: str = "{}", ttl_s: float = 60.0) -> None:
    async with store.database.begin() as session:
        await DialogRepository(session).put(key, state, data, ttl_s)


async def _get(store: Store, key: str) -> tuple[str | None, str] | None:
    async with store.database.read() as session:
        return await DialogRepository(session).get(key)


async def test_a_dialog_is_kept_and_replaced(store: Store) -> None:
    assert await _get(store, "a") is None
    await _put(store, "a")
    await _put(store, "a", "other", '{"x":1}')
    assert await _get(store, "a") == ("other", '{"x":1}')


async def test_a_dialog_can_be_dropped(store: Store) -> None:
    await _put(store, "a")
    await _put(store, "b")
    async with store.database.begin() as session:
        await DialogRepository(session).drop("a")
    assert (await _get(store, "a"), await _get(store, "b")) == (None, ("words", "{}"))


async def test_an_expired_dialog_is_no_dialog_and_is_forgotten(store: Store) -> None:
    await _put(store, "old", ttl_s=-1)
    await _put(store, "new")
    assert await _get(store, "old") is None
    async with store.database.begin() as session:
        assert await DialogRepository(session).open_keys("") == {"new"}
        await DialogRepository(session).forget_expired()
    assert await store.sql("SELECT key FROM dialog") == [("new",)]


async def test_open_dialogs_are_found_by_the_beginning_of_their_keys(store: Store) -> None:
    for key in ("1:a", "1:b", "10:a", "1_a"):
        await _put(store, key)
    async with store.database.read() as session:
        assert await DialogRepository(session).open_keys("1:") == {"1:a", "1:b"}
        assert await DialogRepository(session).open_keys("1_") == {"1_a"}


async def test_the_same_question_is_known_for_a_while(store: Store) -> None:
    await _put(store, "a", "words", '{"x":1}', 60.0)

    async def known(state: str, data: str, seconds: float) -> bool:
        async with store.database.read() as session:
            return await DialogRepository(session).opened_within("a", state, data, 60.0, seconds)

    assert await known("words", '{"x":1}', 10.0)
    assert not await known("other", '{"x":1}', 10.0)
    assert not await known("words", '{"x":2}', 10.0)
    assert not await known("words", '{"x":1}', -1.0)  # that was longer ago

"""What handlers may ask for: each press counts once, and the last one decides how a message looks."""

import itertools
from collections.abc import Callable

import pytest

from bot.frame import Desk
from handlers.ports import Actor
from storage.database import Database
from storage.domain import NewPicture, User
from storage.repositories.pictures import PictureRepository
from storage.repositories.users import UserRepository
from tests.storage.made import Store

MESSAGE = 5


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, lambda: None)


@pytest.fixture
async def user(store: Store) -> User:
    return await store.user()


@pytest.fixture
def presses(store: Store, user: User) -> Callable[..., Actor]:
    """Make presses under one message, each an update of its own."""
    numbers = itertools.count(1)

    def press(message_id: int = MESSAGE) -> Actor:
        number = next(numbers)
        return Actor(user, user.telegram_id, message_id, number, number)

    return press


async def _owed(store: Store) -> list[tuple[object, ...]]:
    return await store.sql("SELECT key, params, edit_message_id FROM notice WHERE state = 'pending' ORDER BY id")


async def test_of_quick_presses_the_last_decides(desk: Desk, store: Store, user: User, presses: Callable[..., Actor]) -> None:
    job = await store.job(user)
    for index in (1, 2, 1):
        await desk.show(presses(), job, index)
    assert await _owed(store) == [("view", '{"index": 1}', MESSAGE)]


async def test_a_page_takes_the_place_of_a_card_that_was_not_sent_yet(
    desk: Desk, store: Store, user: User, presses: Callable[..., Actor]
) -> None:
    await desk.show(presses(), await store.job(user), 1, back="page")
    await desk.screen(presses(), "history.page", {"page": 1}, edit=True)
    await desk.screen(presses(6), "history.page", {"page": 2}, edit=True)
    assert await _owed(store) == [("history.page", '{"page": 1}', MESSAGE), ("history.page", '{"page": 2}', 6)]


async def test_a_card_knows_its_way_back(desk: Desk, store: Store, user: User, presses: Callable[..., Actor]) -> None:
    await desk.show(presses(), await store.job(user), 3, back="page")
    assert await _owed(store) == [("view", '{"index": 3, "back": "page"}', MESSAGE)]


async def test_an_update_that_is_handled_again_says_nothing_twice(
    desk: Desk, store: Store, presses: Callable[..., Actor]
) -> None:
    actor = presses()
    for _ in range(2):
        await desk.screen(actor, "queue.menu")
    assert await _owed(store) == [("queue.menu", "{}", None)]


async def test_what_stands_behind_a_message_is_its_readers_alone(
    desk: Desk, store: Store, user: User, presses: Callable[..., Actor]
) -> None:
    await desk.screen(presses(), "history.page", {"page": 3, "find": "star"})
    public_id = await store.number("SELECT public_id FROM notice")
    assert await desk.find_screen(user, public_id) == {"page": 3, "find": "star"}
    assert await desk.find_screen(await store.user(), public_id) == {}
    assert await desk.find_screen(user, "") == {}


async def test_pictures_are_counted_and_choices_stored(desk: Desk, store: Store, user: User) -> None:
    assert await desk.count_pictures(user) == 0
    job = await store.job(user)
    async with store.database.begin() as session:
        await PictureRepository(session).add_results(job, [NewPicture(0, "x.png", 7, 128, 128)])
    assert await desk.count_pictures(user) == await desk.count_pictures(user, "red circle") == 1
    assert await desk.count_pictures(user, "square") == 0
    await desk.change_settings(user, {"pictures": 2})
    async with store.database.read() as session:
        assert (await UserRepository(session).settings(user.id)).pictures == 2


async def test_a_new_menu_of_commands_is_owed_once_to_whoever_chose_a_language(desk: Desk, store: Store, user: User) -> None:
    await store.user()
    await desk.renew_menus(user.bot_id, "first")
    assert await _owed(store) == []  # they follow their Telegram, which knows
    await desk.change_settings(user, {"language": "ru"})
    for edition in ("first", "first", "second"):
        await desk.renew_menus(user.bot_id, edition)
    assert [key for key, _, _ in await _owed(store)] == ["commands"] * 3  # chosen, first, second
    await desk.change_settings(user, {"language": None})
    await desk.renew_menus(user.bot_id, "third")
    assert len(await _owed(store)) == 4

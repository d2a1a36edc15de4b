"""A file that comes slowly keeps nobody waiting: neither the chat it comes to, nor the album it belongs to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from bot.intake import entry_of, take_in
from bot.limiter import Limiter
from tests.bot.house import House
from tests.bot.test_photos import does, picture
from tests.storage.made import BOT


@asynccontextmanager
async def at_work(house: House) -> AsyncIterator[None]:
    """The bot handles and delivers by its own clock."""
    house.post.deliverer.limiter = Limiter()
    task = asyncio.create_task(house.pump.run())
    async with house.post.running():
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def arrives(house: House, act: Awaitable[Any]) -> Any:
    """Let the bot know of what Anna did; nobody waits until it is handled."""
    before = len(house.box.world.updates.sent)
    done = await act
    async with house.application._db.begin() as session:
        await take_in(session, BOT, [entry_of(dict(update)) for update in house.box.world.updates.sent[before:]])
    house.pump._arrived.set()
    return done


async def test_while_a_photo_comes_commands_and_presses_are_answered(full_house: House) -> None:
    anna = full_house.anna
    full_house.box.faults.hang("getFile")
    async with at_work(full_house):
        photo = await arrives(full_house, anna.sends_photo(picture()))
        await arrives(full_house, anna.says("/queue"))
        await anna.sees_text("Nothing of yours is waiting")
        press = await arrives(full_house, anna.presses_data("v1c:nothing"))
        assert "not yours" in (await press.answered()).text
        await arrives(full_house, anna.says("a lighthouse", reply_to=photo.id))
        await arrives(full_house, anna.says("/cancel"))
        await anna.sees_text("nothing to cancel")
        assert await full_house.store.number("SELECT count(*) FROM picture") == 0
        full_house.box.faults.release()  # that call breaks off, and the next one is answered
        await anna.sees_text("320×200")
        await full_house.post.person.until_here(lambda: len(full_house.said()) >= 4, "the reply be taken up")
    kinds = await full_house.store.sql("SELECT kind FROM job")
    assert kinds == [("mix",)]  # words in reply to the photo waited for it
    assert {state for state, *_ in await full_house.inbox()} == {"done"}


async def test_an_album_that_comes_slowly_gets_one_answer_that_grows(full_house: House) -> None:
    sizes = [(100 + number, 100) for number in range(3)]
    before = len(full_house.box.world.updates.sent)
    await full_house.anna.sends_album(*map(picture, sizes))
    parts = [dict(update) for update in full_house.box.world.updates.sent[before:]]
    await full_house.gets(parts[0])
    (first,) = full_house.said()
    assert "100×100" in first.text
    await full_house.gets(parts[1])
    (second,) = full_house.said()
    assert (second.id, "2 pictures" in second.text) == (first.id, True)
    await full_house.gets(parts[2])
    (third,) = full_house.said()
    assert (third.id, "3 pictures" in third.text) == (first.id, True)
    await full_house.anna.deletes(first.id)
    await does(full_house, full_house.anna.sends_photo(picture()))
    assert len(full_house.said()) == 1


async def test_what_was_fetched_is_removed_whatever_became_of_it(full_house: House) -> None:
    arrivals = full_house.application._arrivals
    await does(full_house, full_house.anna.sends_photo(picture()))
    await does(full_house, full_house.anna.sends_document("a.png", b"no picture", "image/png"))
    assert arrivals._here == {}

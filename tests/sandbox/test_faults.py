"""Bad days by number and by chance, and what is noted of a bot that does not listen."""

import asyncio
import time

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramNetworkError, TelegramRetryAfter
from aiogram.types import BufferedInputFile

from sandbox.faults import Faults
from sandbox.person import Person
from sandbox.server import Sandbox


def drawn(seed: int, calls: int = 4000) -> list[str | None]:
    faults = Faults()
    faults.rates(seed=seed, method="sendMessage", too_many_requests=0.03, server_error=0.02, drop_after_applying=0.05)
    return [fault.kind if (fault := faults.take("sendMessage")) else None for _ in range(calls)]


def test_rates_give_their_shares_and_the_same_ones_for_the_same_seed() -> None:
    kinds = drawn(1)
    assert kinds == drawn(1) != drawn(2)
    shares = {kind: kinds.count(kind) / len(kinds) for kind in ("too_many_requests", "server_error", "drop_after")}
    assert shares == pytest.approx({"too_many_requests": 0.03, "server_error": 0.02, "drop_after": 0.05}, abs=0.012)


def test_rates_meet_only_their_methods_and_end_with_release() -> None:
    faults = Faults()
    faults.rates(seed=1, method=("sendMessage", "sendPhoto"), server_error=1.0)
    assert faults.take("editMessageText") is None
    codes = {(fault.value, fault.html) for _ in range(20) if (fault := faults.take("sendPhoto"))}
    assert codes == {(500, False), (502, True)}
    assert faults.happened["server_error"] == 20
    faults.rates(seed=1, timeout=0.5)
    assert faults.take("getUpdates") is None
    faults.release()
    assert faults.take("sendPhoto") is None
    with pytest.raises(ValueError, match="between 0 and 1"):
        faults.rates(seed=1, timeout=0.6, server_error=0.6)


def test_a_fault_may_be_meant_for_one_chat() -> None:
    faults = Faults()
    faults.server_error("sendMessage", chat_id=7)
    assert faults.take("sendMessage", 8) is None
    assert faults.take("sendMessage", 7)


async def test_any_refusal_can_be_ordered(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.refuse("sendMessage", description="Bad Request: TOPIC_CLOSED", chat_id=anna.id)
    with pytest.raises(TelegramBadRequest, match="TOPIC_CLOSED"):
        await bot.send_message(anna.id, "x")
    await bot.send_message(anna.id, "x")


@pytest.mark.parametrize("applied", [True, False])
async def test_a_timeout_holds_the_call_and_cuts_it(box: Sandbox, bot: Bot, anna: Person, applied: bool) -> None:
    box.faults.hang("sendMessage", seconds=0.05, applied=applied)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(anna.id, "x")
    assert loop.time() - began >= 0.05
    assert len(box.ledger.of("sendMessage")) == applied


async def test_a_chat_that_is_spoken_to_before_its_time_is_noted(box: Sandbox, bot: Bot, anna: Person) -> None:
    boris = box.person("Boris")
    await boris.says("x")
    box.faults.too_many_requests("sendMessage", retry_after=30)
    told = time.time()
    with pytest.raises(TelegramRetryAfter):
        await bot.send_message(anna.id, "x")
    await bot.send_message(anna.id, "was under way")
    assert box.ledger.violations == []
    box.ledger.silences.in_flight_s = 0
    await bot.send_message(boris.id, "another chat")
    await bot.get_me()
    assert box.ledger.violations == []
    await bot.send_chat_action(anna.id, "typing")
    (violation,) = box.ledger.violations
    assert (violation.method, violation.chat_id) == ("sendChatAction", anna.id)
    assert 28 < violation.early_s < 30
    assert told - 0.1 < violation.told_at < violation.wall_time  # when it was told, not when it was broken
    assert abs(violation.early_s + violation.wall_time - violation.told_at - 30) < 0.1


async def test_people_who_are_out_of_reach(box: Sandbox, bot: Bot, anna: Person, png) -> None:
    await anna.forbids_photos()
    photo = BufferedInputFile(png(), "p.png")
    with pytest.raises(TelegramBadRequest, match="not enough rights to send photos to the chat"):
        await bot.send_photo(anna.id, photo)
    await bot.send_document(anna.id, photo)
    await anna.forbids_photos(False)
    await bot.send_photo(anna.id, photo)
    await anna.leaves_telegram()
    with pytest.raises(TelegramForbiddenError, match="user is deactivated"):
        await bot.send_message(anna.id, "x")


async def test_a_migrated_chat_names_its_new_id(box: Sandbox, bot: Bot, anna: Person) -> None:
    new_id = await anna.migrates()
    with pytest.raises(Exception, match="group chat was upgraded to a supergroup chat") as caught:
        await bot.send_message(anna.id, "x")
    assert getattr(caught.value, "migrate_to_chat_id", None) == new_id
    assert (await bot.send_message(new_id, "found you")).chat.id == new_id
    assert (await anna.sees_text("found you")).from_bot

"""One try to speak to Telegram, and what became of it."""

import asyncio
from collections.abc import Callable

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramEntityTooLarge
from aiogram.methods import SendMessage
from aiogram.types import BufferedInputFile, InputMediaPhoto
from pydantic import SecretStr

from bot.settings import SettingsError, TelegramSettings
from bot.telegram import Fate, attempt, make_bot
from sandbox.person import Person
from sandbox.server import Sandbox
from tests.bot.conftest import TOKEN

Break = Callable[[Sandbox], None]


async def _fate(bot: Bot, person: Person, text: str = "hi") -> Fate:
    return (await attempt(bot.send_message(person.id, text))).fate


async def test_an_answer_is_handed_on(bot: Bot, anna: Person) -> None:
    tried = await attempt(bot.send_message(anna.id, "hi"))
    assert tried.fate == Fate.DONE
    assert tried.answer is not None
    assert tried.answer.message_id == anna.chat[-1].id


async def test_a_message_that_says_this_already_is_the_same(bot: Bot, anna: Person) -> None:
    sent = await bot.send_message(anna.id, "hi")
    tried = await attempt(bot.edit_message_text("hi", chat_id=anna.id, message_id=sent.message_id))
    assert (tried.fate, tried.answer) == (Fate.SAME, None)


async def test_429_was_not_applied_and_says_how_long_to_wait(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.too_many_requests("sendMessage", retry_after=7)
    tried = await attempt(bot.send_message(anna.id, "hi"))
    assert (tried.fate, tried.retry_s) == (Fate.NOT_APPLIED, 7)
    assert len(box.ledger.of("sendMessage")) == 0


@pytest.mark.parametrize("code", [500, 502, 503])
async def test_a_server_error_from_telegram_itself_was_not_applied(box: Sandbox, bot: Bot, anna: Person, code: int) -> None:
    box.faults.server_error("sendMessage", code=code)
    assert await _fate(bot, anna) == Fate.NOT_APPLIED


async def test_a_server_error_from_something_in_between_proves_nothing(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.server_error("sendMessage", html=True)
    assert await _fate(bot, anna) == Fate.AMBIGUOUS


@pytest.mark.parametrize(
    "broken",
    [
        lambda box: box.faults.drop_after_applying("sendMessage"),
        lambda box: box.faults.drop_before_applying("sendMessage"),
    ],
    ids=["applied", "not applied"],
)
async def test_a_cut_connection_proves_nothing(box: Sandbox, bot: Bot, anna: Person, broken: Break) -> None:
    await bot.get_me()  # a connection that is open already, as it is in life
    broken(box)
    assert await _fate(bot, anna) == Fate.AMBIGUOUS


async def test_silence_proves_nothing(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.hang("sendMessage", applied=True)
    tried = await attempt(bot.send_message(anna.id, "hi", request_timeout=1))
    assert tried.fate == Fate.AMBIGUOUS


async def test_a_refused_connection_was_not_applied(box: Sandbox, bot: Bot, anna: Person) -> None:
    await box.stop()
    assert await _fate(bot, anna) == Fate.NOT_APPLIED


async def test_a_deleted_message_is_gone(bot: Bot, anna: Person) -> None:
    sent = await bot.send_message(anna.id, "hi")
    await anna.deletes(sent.message_id)
    text = attempt(bot.edit_message_text("ho", chat_id=anna.id, message_id=sent.message_id))
    assert (await text).fate == Fate.GONE


async def test_a_message_that_is_not_ours_is_gone(bot: Bot, anna: Person) -> None:
    theirs = await anna.says("mine")
    tried = await attempt(bot.edit_message_text("ho", chat_id=anna.id, message_id=theirs.id))
    assert tried.fate == Fate.GONE


async def test_who_blocked_the_bot_is_out_of_reach(bot: Bot, anna: Person) -> None:
    await anna.blocks()
    assert await _fate(bot, anna) == Fate.BLOCKED


async def test_who_never_wrote_is_out_of_reach(box: Sandbox, bot: Bot) -> None:
    assert await _fate(bot, box.person("Stranger")) == Fate.BLOCKED


@pytest.mark.parametrize("text", ["", "<b>unclosed", "x" * 5000])
async def test_what_telegram_will_never_take_is_refused(bot: Bot, anna: Person, text: str) -> None:
    assert await _fate(bot, anna, text) == Fate.REFUSED


async def test_a_broken_picture_is_refused(bot: Bot, anna: Person) -> None:
    sent = await bot.send_message(anna.id, "hi")
    media = InputMediaPhoto(media=BufferedInputFile(b"no picture", "a.jpg"))
    tried = await attempt(bot.edit_message_media(media, chat_id=anna.id, message_id=sent.message_id))
    assert tried.fate == Fate.REFUSED


async def test_a_picture_that_is_too_large_is_refused(bot: Bot, anna: Person) -> None:
    async def too_large() -> None:
        raise TelegramEntityTooLarge(method=SendMessage(chat_id=anna.id, text=""), message="Request Entity Too Large")

    assert (await attempt(too_large())).fate == Fate.REFUSED


async def test_an_answer_to_an_old_press_is_refused(bot: Bot) -> None:
    assert (await attempt(bot.answer_callback_query("1"))).fate == Fate.REFUSED


async def test_errors_do_not_tell_the_token(box: Sandbox, anna: Person) -> None:
    bot = make_bot(TelegramSettings(token=SecretStr(TOKEN), api=box.url))
    await box.stop()
    tried = await attempt(bot.send_message(anna.id, "hi"))
    assert tried.error
    assert TOKEN not in tried.error
    await bot.session._session.close()  # type: ignore[attr-defined]


async def test_being_cancelled_is_no_fate(box: Sandbox, bot: Bot, anna: Person) -> None:
    box.faults.hang("sendMessage", applied=True)
    call = asyncio.create_task(attempt(bot.send_message(anna.id, "hi")))
    await anna.until(lambda: len(box.ledger.of("sendMessage")) == 1, "the call arrive")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_a_bot_without_a_token_is_refused_with_the_next_step() -> None:
    with pytest.raises(SettingsError, match=r"TELEGRAM_TOKEN: not set; .*kandinsky-bot demo"):
        make_bot(TelegramSettings())

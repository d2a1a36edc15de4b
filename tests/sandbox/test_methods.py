"""Updates, files and commands, driven by a real aiogram bot."""

import asyncio

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramConflictError
from aiogram.types import (
    BotCommand,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    MenuButtonCommands,
    Update,
)

from sandbox.person import Person
from sandbox.server import Sandbox


async def test_get_me_names_the_bot(bot: Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.is_bot, me.username) == (42, True, "kandinsky_bot")


async def polled(bot: Bot, **options) -> list[Update]:
    return await bot.get_updates(**{"timeout": 5, **options})


async def test_updates_stay_until_an_offset_confirms_them(bot: Bot, anna: Person) -> None:
    await anna.says("two")
    first, second = await polled(bot)
    assert second.update_id == first.update_id + 1
    assert [u.message.text for u in await polled(bot)] == ["hello", "two"]
    assert [u.message.text for u in await polled(bot, offset=second.update_id)] == ["two"]
    assert [u.message.text for u in await polled(bot, offset=-1)] == ["two"]
    assert await polled(bot, offset=second.update_id + 1, timeout=0) == []
    assert (await bot.get_webhook_info()).pending_update_count == 0


async def test_update_ids_begin_at_a_random_number() -> None:
    starts = set()
    for _ in range(3):
        box = Sandbox()
        await box.person("Anna").says("x")
        starts.add(box.world.updates.sent[0]["update_id"])
    assert len(starts) == 3


async def test_a_poll_waits_and_ends_with_the_first_update(box: Sandbox, bot: Bot) -> None:
    person = box.person("Anna")
    poll = asyncio.create_task(polled(bot, timeout=30))
    await person.until(lambda: box.world.updates._poller == 1, "the poll begin")
    assert not poll.done()
    await person.says("now")
    (update,) = await asyncio.wait_for(poll, 2)
    assert update.message.text == "now"


async def test_an_empty_poll_lasts_its_timeout(bot: Bot) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await polled(bot, timeout=1) == []
    assert 0.95 <= loop.time() - began < 3


async def test_the_older_of_two_pollers_is_thrown_out(box: Sandbox, bot: Bot) -> None:
    person = box.person("Anna")
    older = asyncio.create_task(polled(bot, timeout=30))
    await person.until(lambda: box.world.updates._poller == 1, "the poll begin")
    newer = asyncio.create_task(polled(bot, timeout=30))
    with pytest.raises(TelegramConflictError, match="terminated by other getUpdates request"):
        await older
    await person.says("x")
    assert len(await newer) == 1


async def test_only_allowed_updates_come(bot: Bot, anna: Person) -> None:
    await polled(bot, allowed_updates=["callback_query"])
    await bot.delete_webhook(drop_pending_updates=True)
    await anna.says("not wanted")
    await anna.presses_data("wanted", 1)
    (update,) = await polled(bot)
    assert update.callback_query.data == "wanted"


async def test_everything_a_person_does_parses_as_an_update(bot: Bot, anna: Person, png) -> None:
    await bot.delete_webhook(drop_pending_updates=True)
    text = await anna.says("/start now", reply_to=1)
    await anna.sends_photo(png(300, 200), caption="see https://example.org")
    await anna.sends_document("a.txt", b"x", "text/plain")
    await anna.sends_sticker()
    await anna.sends_voice()
    await anna.sends_video("v")
    await anna.sends_location()
    await anna.edits(text.id, "changed")
    await anna.forwards("from outside")
    await anna.forwards(png())
    await anna.forwards(text.id)
    await anna.presses_data("gone", 999)
    await anna.blocks()
    got = await polled(bot)
    assert [u.event_type for u in got] == ["message"] * 7 + ["edited_message"] + ["message"] * 3 + [
        "callback_query",
        "my_chat_member",
    ]
    assert got[0].message.entities[0].type == "bot_command"
    assert got[0].message.reply_to_message.text == "hello"
    assert got[1].message.photo[-1].width == 300
    assert got[1].message.caption_entities[0].type == "url"
    assert [m.message.content_type for m in got[2:7]] == ["document", "sticker", "voice", "video", "location"]
    assert got[7].edited_message.text == "changed"
    assert got[8].message.forward_origin.sender_user_name == "Somebody"
    assert got[10].message.forward_origin.sender_user.id == anna.id
    assert got[11].callback_query.message.date == 0
    assert got[12].my_chat_member.new_chat_member.status == "kicked"


async def test_two_people_are_apart(box: Sandbox, bot: Bot, anna: Person) -> None:
    boris = box.person("Boris", "ru")
    await boris.says("привет")
    updates = await polled(bot)
    assert [(u.message.chat.id, u.message.from_user.language_code) for u in updates] == [(anna.id, "en"), (boris.id, "ru")]
    assert [message.text for message in anna.chat] == ["hello"]


async def test_a_file_comes_down_as_it_went_up(bot: Bot, anna: Person, png) -> None:
    data = png(100, 100)
    await anna.sends_photo(data)
    await anna.sends_document("a.bin", b"bytes")
    _, with_photo, with_document = await polled(bot)
    assert (await bot.download(with_photo.message.photo[-1])).read() == data
    file = await bot.get_file(with_document.message.document.file_id)
    assert (file.file_size, file.file_path) == (5, "documents/file_1.bin")
    assert (await bot.download_file(file.file_path)).read() == b"bytes"
    with pytest.raises(TelegramBadRequest, match="invalid file_id"):
        await bot.get_file("AgACnothing")


async def test_files_over_20_mb_cannot_be_fetched(bot: Bot, anna: Person) -> None:
    limit = 20 * 1024 * 1024
    await anna.sends_document_of_size("fits.bin", limit)
    await anna.sends_document_of_size("big.bin", 30 * 1024 * 1024)
    _, fits, big = await polled(bot)
    assert len((await bot.download(fits.message.document)).read()) == limit
    assert big.message.document.file_size == 30 * 1024 * 1024
    with pytest.raises(TelegramBadRequest, match="file is too big"):
        await bot.get_file(big.message.document.file_id)


async def test_commands_by_scope_and_language(box: Sandbox, bot: Bot, anna: Person) -> None:
    private = BotCommandScopeAllPrivateChats()
    await bot.set_my_commands([BotCommand(command="help", description="Help")])
    await bot.set_my_commands([BotCommand(command="help", description="Помощь")], scope=private, language_code="ru")
    await bot.set_my_commands([BotCommand(command="admin", description="Rule")], scope=BotCommandScopeChat(chat_id=anna.id))
    assert [c.description for c in await bot.get_my_commands(scope=private, language_code="ru")] == ["Помощь"]
    shown = box.world.commands.shown_to
    assert shown(anna.id, "en")[0]["command"] == "admin"
    assert shown(1, "ru")[0]["description"] == "Помощь"
    assert shown(1, "en")[0]["description"] == "Help"
    await bot.delete_my_commands(scope=private, language_code="ru")
    assert shown(1, "ru")[0]["description"] == "Help"


@pytest.mark.parametrize(
    ("commands", "error"),
    [
        ([BotCommand(command="Bad-Name", description="x")], "BOT_COMMAND_INVALID"),
        ([BotCommand(command="x", description="")], "BOT_COMMAND_DESCRIPTION_INVALID"),
        ([BotCommand(command=f"c{n}", description="x") for n in range(101)], "BOT_COMMANDS_TOO_MUCH"),
    ],
)
async def test_commands_telegram_refuses(bot: Bot, commands: list[BotCommand], error: str) -> None:
    with pytest.raises(TelegramBadRequest, match=error):
        await bot.set_my_commands(commands)


async def test_descriptions_and_menu_button(bot: Bot, anna: Person) -> None:
    await bot.set_my_description("I draw")
    await bot.set_my_description("Я рисую", language_code="ru")
    await bot.set_my_short_description("short")
    assert (await bot.get_my_description(language_code="ru")).description == "Я рисую"
    assert (await bot.get_my_description(language_code="de")).description == "I draw"
    with pytest.raises(TelegramBadRequest):
        await bot.set_my_description("x" * 513)
    assert await bot.set_chat_menu_button(menu_button=MenuButtonCommands())
    assert (await bot.get_chat_menu_button(anna.id)).type == "commands"
    assert (await bot.get_chat(anna.id)).first_name == "Anna"

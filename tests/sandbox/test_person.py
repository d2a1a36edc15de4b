"""The scripted person sees what a person would see, in order."""

import asyncio

import pytest
from aiogram import Bot
from aiogram.types import BufferedInputFile, InlineKeyboardButton, InlineKeyboardMarkup, InputMediaPhoto

from sandbox.person import Person
from sandbox.server import Sandbox
from sandbox.shown import plain


def row(*labels: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text=t, callback_data=f"d:{t}") for t in labels]])


async def test_what_came_before_an_act_is_not_seen_after_it(bot: Bot, anna: Person) -> None:
    await bot.send_message(anna.id, "old")
    await anna.says("next")
    with pytest.raises(AssertionError):
        await anna.sees_text("old", timeout=0)
    await bot.send_message(anna.id, "new")
    assert (await anna.sees_text()).text == "new"


async def test_an_overwritten_text_was_seen_nevertheless(bot: Bot, anna: Person, png) -> None:
    status = await bot.send_message(anna.id, "In queue")
    await bot.edit_message_text("Drawing", chat_id=anna.id, message_id=status.message_id)
    media = InputMediaPhoto(media=BufferedInputFile(png(), "p.png"), caption="done")
    await bot.edit_message_media(media, chat_id=anna.id, message_id=status.message_id)
    assert (await anna.sees_text("QUEUE")).id == status.message_id
    assert (await anna.sees_text("drawing")).id == status.message_id
    assert (await anna.sees_photo()).text == "done"
    assert [m.has_photo for m in anna.chat] == [False, True]


async def test_seeing_moves_on(bot: Bot, anna: Person) -> None:
    start = anna.now
    await bot.send_message(anna.id, "one")
    await bot.send_message(anna.id, "two")
    assert [(await anna.sees_text()).text for _ in range(2)] == ["one", "two"]
    with pytest.raises(AssertionError):
        await anna.sees_text(timeout=0)
    assert (await anna.sees_text(since=start)).text == "one"


async def test_waiting_ends_with_the_event(bot: Bot, anna: Person) -> None:
    waiting = asyncio.create_task(anna.sees_text("late", timeout=30))
    await bot.send_message(anna.id, "early")
    await bot.send_message(anna.id, "late")
    assert (await asyncio.wait_for(waiting, 2)).text == "late"


async def test_waits_narrow_to_a_message_or_a_reply(bot: Bot, anna: Person) -> None:
    first = await anna.says("first")
    second = await anna.says("second")
    from aiogram.types import ReplyParameters

    for target in (first, second):
        await bot.send_message(anna.id, f"about {target.id}", reply_parameters=ReplyParameters(message_id=target.id))
    assert (await anna.sees_text(reply_to=second.id)).text == f"about {second.id}"
    newest = anna.chat[-1].id
    assert (await anna.sees_text(message_id=newest, since=0)).id == newest


async def test_a_timeout_tells_the_whole_story(bot: Bot, anna: Person) -> None:
    await bot.send_message(anna.id, "no picture", reply_markup=row("Retry"))
    with pytest.raises(AssertionError) as caught:
        await anna.sees_photo(timeout=0.01)
    assert "Anna waited for a photo" in str(caught.value)
    assert "Kandinsky #2: no picture [Retry]" in str(caught.value)


async def test_the_newest_button_with_the_label_is_pressed(bot: Bot, anna: Person) -> None:
    await bot.send_message(anna.id, "old", reply_markup=row("🔁 Again"))
    newest = await bot.send_message(anna.id, "new", reply_markup=row("🔁 Again", "1️⃣", "🔼 Upscale 4K"))
    await bot.delete_webhook(drop_pending_updates=True)
    for label in ("again", "1", "upscale", "🔼 Upscale 4K"):
        await anna.presses(label)
    updates = await bot.get_updates(timeout=5)
    assert {u.callback_query.message.message_id for u in updates} == {newest.message_id}
    expected = ["d:🔁 Again", "d:1️⃣", "d:🔼 Upscale 4K", "d:🔼 Upscale 4K"]
    assert [u.callback_query.data for u in updates] == expected
    await anna.presses("Again", message_id=2)
    with pytest.raises(AssertionError, match="sees no button 'Delete'"):
        await anna.presses("Delete")


async def test_a_button_is_seen_where_the_last_act_left_it(bot: Bot, anna: Person) -> None:
    await bot.send_message(anna.id, "old", reply_markup=row("Cancel"))
    await anna.says("draw")
    with pytest.raises(AssertionError):
        await anna.sees_button("Cancel", timeout=0)
    sent = await bot.send_message(anna.id, "queued", reply_markup=row("✖ Cancel"))
    assert (await anna.sees_button("cancel")).id == sent.message_id
    assert (await anna.sees_text("queued")).id == sent.message_id  # looking for a button moves nothing


async def test_a_person_edits_and_deletes(bot: Bot, anna: Person) -> None:
    await bot.delete_webhook(drop_pending_updates=True)
    mine = await anna.says("a")
    await anna.edits(mine.id, "b")
    assert anna.message(mine.id).text == "b"
    await anna.deletes(mine.id)
    assert [m.id for m in anna.chat] == [1]
    with pytest.raises(ValueError, match="is not Anna's"):
        await anna.edits((await bot.send_message(anna.id, "x")).message_id, "y")


async def test_the_transcript_reads_like_the_dialogue(bot: Bot, anna: Person, png) -> None:
    sent = await bot.send_photo(anna.id, BufferedInputFile(png(512, 512), "p.png"), caption="done", reply_markup=row("Again"))
    tap = await anna.presses("Again")
    await bot.answer_callback_query(tap.id, "ok")
    await bot.delete_message(anna.id, sent.message_id)
    lines = [line.split(" ", 1)[1] for line in anna.transcript().splitlines()]
    assert lines == [
        "Anna #1: hello",
        "Kandinsky #2: [photo 512x512] done [Again]",
        "Anna presses [Again] under #2",
        "Kandinsky answers the press with the notice: ok",
        "#2 is deleted",
    ]
    assert anna.screen_text() == "#1 Anna: hello"


async def test_a_person_sends_albums_of_photos_and_of_files(bot: Bot, anna: Person, png) -> None:
    await bot.delete_webhook(drop_pending_updates=True)
    photos = await anna.sends_album(png(10, 10), png(20, 20), png(30, 30), caption="three")
    files = await anna.sends_documents(("a.png", png(), "image/png"), ("b.txt", b"b", "text/plain"), caption="two")
    got = [update.message for update in await bot.get_updates(timeout=5)]
    assert [message.media_group_id for message in got] == [photos[0].album] * 3 + [files[0].album] * 2
    assert [message.caption for message in got] == ["three", None, None, None, "two"]
    assert [message.photo[-1].width for message in got[:3]] == [10, 20, 30]
    assert [message.document.file_name for message in got[3:]] == ["a.png", "b.txt"]
    with pytest.raises(ValueError, match="2 to 10"):
        await anna.sends_album(*[png()] * 11)


async def test_a_thousand_people_wait_and_each_sees_the_own_answer(box: Sandbox, bot: Bot) -> None:
    people = [box.person(f"P{n}", patience=30) for n in range(1000)]
    for person in people:
        await person.says("hi")
    waiting = asyncio.gather(*(person.sees_text(f"for {person.id}") for person in people))
    for person in people:
        box.world.show(person._human, box.world.compose(person._human, box.world.bot) | {"text": f"for {person.id}"})
    assert [message.id for message in await waiting] == [2] * 1000


def test_labels_are_compared_without_emoji_and_case() -> None:
    assert plain("🔁 Ещё  РАЗ!") == "ещё раз"
    assert plain("1️⃣") == "1"
    assert plain("🔁") == ""

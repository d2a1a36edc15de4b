"""Sending, editing and deleting, driven by a real aiogram bot."""

import asyncio
import json

import aiohttp
import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramEntityTooLarge, TelegramForbiddenError
from aiogram.types import (
    BufferedInputFile,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
    ReplyParameters,
)

from sandbox.person import Person
from sandbox.server import Sandbox


def keys(*labels: str, data: str = "data") -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text=label, callback_data=data)] for label in labels])


def photo(data: bytes, name: str = "p.png") -> BufferedInputFile:
    return BufferedInputFile(data, name)


async def test_a_text_arrives_with_markup_reply_and_buttons(bot: Bot, anna: Person) -> None:
    sent = await bot.send_message(
        anna.id, "<b>Hi</b> 😀", parse_mode="HTML", reply_parameters=ReplyParameters(message_id=1), reply_markup=keys("Go")
    )
    seen = await anna.sees_text("hi")
    assert (seen.id, seen.text, seen.reply_to, seen.labels) == (sent.message_id, "Hi 😀", 1, ["Go"])
    assert sent.entities[0].type == "bold"
    assert sent.from_user.is_bot
    assert sent.reply_to_message.text == "hello"


async def test_message_ids_grow_per_chat(box: Sandbox, bot: Bot, anna: Person) -> None:
    boris = box.person("Boris")
    await boris.says("hi")
    first = await bot.send_message(anna.id, "one")
    other = await bot.send_message(boris.id, "two")
    assert (first.message_id, other.message_id) == (2, 2)
    assert [m.text for m in anna.chat] == ["hello", "one"]
    assert [m.text for m in boris.chat] == ["hi", "two"]


async def test_a_photo_has_sizes_and_can_be_sent_again_by_id(bot: Bot, anna: Person, png) -> None:
    data = png(512, 512)
    sent = await bot.send_photo(anna.id, photo(data), caption="<i>c</i>", parse_mode="HTML")
    assert [(size.width, size.height) for size in sent.photo] == [(90, 90), (320, 320), (512, 512)]
    assert sent.caption == "c"
    again = await bot.send_photo(anna.id, sent.photo[-1].file_id)
    assert again.photo[-1].file_unique_id == sent.photo[-1].file_unique_id
    seen = await anna.sees_photo()
    assert seen.photo == data
    assert seen.photo_size == (512, 512)


async def test_a_document_arrives_whole(bot: Bot, anna: Person) -> None:
    sent = await bot.send_document(anna.id, BufferedInputFile(b"bytes", "имя.png"), caption="c")
    seen = await anna.sees_document()
    assert (seen.document, seen.document_name, seen.text) == (b"bytes", "имя.png", "c")
    assert (await bot.send_document(anna.id, sent.document.file_id)).document.file_name == "имя.png"


async def test_a_text_turns_into_a_photo_and_into_another(bot: Bot, anna: Person, png) -> None:
    sent = await bot.send_message(anna.id, "drawing")
    first = await bot.edit_message_media(
        InputMediaPhoto(media=photo(png(200, 100)), caption="one"), chat_id=anna.id, message_id=sent.message_id
    )
    assert (first.text, first.caption, first.photo[-1].width) == (None, "one", 200)
    second = await bot.edit_message_media(
        InputMediaPhoto(media=photo(png(100, 200))), chat_id=anna.id, message_id=sent.message_id, reply_markup=keys("Again")
    )
    assert (second.caption, second.photo[-1].width) == (None, 100)
    third = await bot.edit_message_media(
        InputMediaPhoto(media=first.photo[-1].file_id), chat_id=anna.id, message_id=sent.message_id
    )
    assert third.photo[-1].file_unique_id == first.photo[-1].file_unique_id
    assert third.reply_markup is None
    await bot.edit_message_media(
        InputMediaDocument(media=BufferedInputFile(b"d", "d.txt")), chat_id=anna.id, message_id=sent.message_id
    )
    assert anna.chat[-1].document == b"d"
    assert len(anna.chat) == 2


async def test_each_part_of_a_message_can_be_edited(bot: Bot, anna: Person, png) -> None:
    text = await bot.send_message(anna.id, "old", reply_markup=keys("Cancel"))
    edited = await bot.edit_message_text("new", chat_id=anna.id, message_id=text.message_id)
    assert (edited.text, edited.reply_markup) == ("new", None)
    assert edited.edit_date
    await bot.edit_message_reply_markup(chat_id=anna.id, message_id=text.message_id, reply_markup=keys("A", "B"))
    assert anna.chat[-1].labels == ["A", "B"]
    picture = await bot.send_photo(anna.id, photo(png()))
    await bot.edit_message_caption(chat_id=anna.id, message_id=picture.message_id, caption="cap")
    assert anna.chat[-1].text == "cap"
    assert await bot.delete_message(anna.id, picture.message_id)
    await anna.sees_deletion(picture.message_id)


async def refused(awaitable) -> str:
    with pytest.raises(TelegramBadRequest) as caught:
        await awaitable
    return caught.value.message


LONG = 4096


@pytest.mark.parametrize(
    ("text", "parse_mode", "error"),
    [
        ("", None, "message text is empty"),
        ("  \n ", None, "message text is empty"),
        ("<b> </b>", "HTML", "message text is empty"),
        ("a" * (LONG + 1), None, "message is too long"),
        ("😀" * (LONG // 2 + 1), None, "message is too long"),
        ("<b>x", "HTML", "can't parse entities: Can't find end tag corresponding to start tag \"b\""),
        ("x", "Wiki", "unsupported parse_mode"),
    ],
)
async def test_texts_telegram_refuses(bot: Bot, anna: Person, text: str, parse_mode: str | None, error: str) -> None:
    assert await refused(bot.send_message(anna.id, text, parse_mode=parse_mode)) == f"Bad Request: {error}"
    assert len(anna.chat) == 1


async def test_limits_count_after_parsing(bot: Bot, anna: Person, png) -> None:
    await bot.send_message(anna.id, "<b>" + "a" * LONG + "</b>", parse_mode="HTML")
    await bot.send_photo(anna.id, photo(png()), caption="<b>" + "a" * 1024 + "</b>", parse_mode="HTML")
    too_long = bot.send_photo(anna.id, photo(png()), caption="a" * 1025)
    assert await refused(too_long) == "Bad Request: message caption is too long"


@pytest.mark.parametrize(
    ("markup", "error"),
    [
        (keys("x", data="я" * 33), "BUTTON_DATA_INVALID"),
        (keys("x", data=""), "BUTTON_DATA_INVALID"),
        (keys(" "), "BUTTON_TEXT_INVALID"),
        (
            InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="x")]]),
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
        (
            InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="x", url="javascript:alert(1)")]]),
            "inline keyboard button URL 'javascript:alert(1)' is invalid: Wrong HTTP URL",
        ),
    ],
)
async def test_keyboards_telegram_refuses(bot: Bot, anna: Person, markup: InlineKeyboardMarkup, error: str) -> None:
    assert await refused(bot.send_message(anna.id, "x", reply_markup=markup)) == f"Bad Request: {error}"


async def test_the_longest_callback_data_passes(bot: Bot, anna: Person) -> None:
    await bot.send_message(anna.id, "x", reply_markup=keys("x", data="я" * 32))


async def test_a_sent_message_carries_only_an_inline_keyboard(bot: Bot, anna: Person) -> None:
    sent = await bot.send_message(anna.id, "write the new text", reply_markup=ForceReply())
    assert sent.reply_markup is None


async def test_pictures_telegram_refuses(bot: Bot, anna: Person, png) -> None:
    assert await refused(bot.send_photo(anna.id, photo(png(10, 210)))) == "Bad Request: PHOTO_INVALID_DIMENSIONS"
    assert await refused(bot.send_photo(anna.id, photo(png(9000, 1001)))) == "Bad Request: PHOTO_INVALID_DIMENSIONS"
    assert await refused(bot.send_photo(anna.id, photo(b"no picture"))) == "Bad Request: IMAGE_PROCESS_FAILED"
    heavy = png(1, 1) + bytes(10 * 1024 * 1024)
    assert "is too big for a photo; the maximum size is 10485760 bytes" in await refused(bot.send_photo(anna.id, photo(heavy)))
    assert await refused(bot.send_photo(anna.id, "AgACforeign")) == "Bad Request: wrong file identifier/HTTP URL specified"
    sent = await bot.send_document(anna.id, BufferedInputFile(b"d", "d"))
    assert "can't use file of type Document as Photo" in await refused(bot.send_photo(anna.id, sent.document.file_id))


async def test_documents_over_50_mb_are_refused(bot: Bot, anna: Person) -> None:
    with pytest.raises(TelegramEntityTooLarge):
        await bot.send_document(anna.id, BufferedInputFile(bytes(65 * 1024 * 1024), "d"))
    over = bot.send_document(anna.id, BufferedInputFile(bytes(50 * 1024 * 1024 + 1), "d"))
    assert await refused(over) == "Bad Request: file is too big"


async def test_edits_telegram_refuses(bot: Bot, anna: Person, png) -> None:
    sent = await bot.send_message(anna.id, "same", reply_markup=keys("K"))
    same = bot.edit_message_text("same", chat_id=anna.id, message_id=sent.message_id, reply_markup=keys("K"))
    assert (await refused(same)).startswith("Bad Request: message is not modified: specified new message content")
    gone = bot.edit_message_text("x", chat_id=anna.id, message_id=999)
    assert await refused(gone) == "Bad Request: message to edit not found"
    foreign = bot.edit_message_text("x", chat_id=anna.id, message_id=1)
    assert await refused(foreign) == "Bad Request: message can't be edited"
    picture = await bot.send_photo(anna.id, photo(png()))
    no_text = bot.edit_message_text("x", chat_id=anna.id, message_id=picture.message_id)
    assert await refused(no_text) == "Bad Request: there is no text in the message to edit"
    no_caption = bot.edit_message_caption(chat_id=anna.id, message_id=sent.message_id, caption="x")
    assert await refused(no_caption) == "Bad Request: there is no caption in the message to edit"
    assert await refused(bot.delete_message(anna.id, 999)) == "Bad Request: message to delete not found"


async def test_a_missing_reply_target_is_refused_unless_allowed(bot: Bot, anna: Person) -> None:
    strict = bot.send_message(anna.id, "x", reply_parameters=ReplyParameters(message_id=99))
    assert await refused(strict) == "Bad Request: message to be replied not found"
    lenient = ReplyParameters(message_id=99, allow_sending_without_reply=True)
    assert (await bot.send_message(anna.id, "x", reply_parameters=lenient)).reply_to_message is None


async def test_strangers_and_blockers_cannot_be_written_to(box: Sandbox, bot: Bot, anna: Person) -> None:
    silent = box.person("Silent")
    assert await refused(bot.send_message(silent.id, "x")) == "Bad Request: chat not found"
    assert await refused(bot.send_message(12345, "x")) == "Bad Request: chat not found"
    await anna.blocks()
    with pytest.raises(TelegramForbiddenError, match="bot was blocked by the user"):
        await bot.send_message(anna.id, "x")
    await anna.unblocks()
    await bot.send_message(anna.id, "x")


async def test_a_press_is_answered_once(bot: Bot, anna: Person) -> None:
    await bot.send_message(anna.id, "x", reply_markup=keys("🔁 Again", data="again"))
    tap = await anna.presses("again")
    waiting = asyncio.create_task(tap.answered())
    assert await bot.answer_callback_query(tap.id, "done", show_alert=True)
    answer = await waiting
    assert (answer.text, answer.show_alert) == ("done", True)
    assert 0 <= answer.seconds < 5
    too_old = "Bad Request: query is too old and response timeout expired or query ID is invalid"
    assert await refused(bot.answer_callback_query(tap.id)) == too_old
    assert await refused(bot.answer_callback_query("0")) == too_old


async def test_chat_actions_are_known_ones(bot: Bot, anna: Person) -> None:
    assert await bot.send_chat_action(anna.id, "upload_photo")
    assert await refused(bot.send_chat_action(anna.id, "dance")) == "Bad Request: wrong parameter action in request"


async def test_photos_arrive_as_an_album(bot: Bot, anna: Person, png) -> None:
    media = [InputMediaPhoto(media=photo(png(100 + n, 100)), caption="four" if n == 0 else None) for n in range(4)]
    sent = await bot.send_media_group(anna.id, media)
    assert len({message.media_group_id for message in sent}) == 1
    album = await anna.sees_album()
    assert [message.id for message in album] == [message.message_id for message in sent]
    assert [message.photo_size for message in album] == [(100, 100), (101, 100), (102, 100), (103, 100)]
    assert [message.text for message in album] == ["four", "", "", ""]
    with pytest.raises(AssertionError):
        await anna.sees_photo(timeout=0)  # the whole album was seen


async def test_one_photo_is_no_album_and_files_make_one(bot: Bot, anna: Person, png) -> None:
    (alone,) = await bot.send_media_group(anna.id, [InputMediaPhoto(media=photo(png()))])
    assert alone.media_group_id is None
    known = alone.photo[-1].file_id
    again = await bot.send_media_group(anna.id, [InputMediaPhoto(media=known), InputMediaPhoto(media=photo(png()))])
    assert again[0].photo[-1].file_unique_id == alone.photo[-1].file_unique_id
    files = [InputMediaDocument(media=BufferedInputFile(b"x", f"{n}.txt")) for n in range(3)]
    await bot.send_media_group(anna.id, files)
    assert [message.document_name for message in await anna.sees_album(since=anna.now - 3)] == ["0.txt", "1.txt", "2.txt"]


async def test_albums_telegram_refuses(bot: Bot, anna: Person, png) -> None:
    fine = InputMediaPhoto(media=photo(png()))
    bad = InputMediaPhoto(media=photo(png(10, 210)))
    mixed = "Bad Request: document can't be mixed with other media types"
    for media, error in (
        ([], "Bad Request: there are no messages to send"),
        ([fine] * 11, "Bad Request: too many messages to send as an album"),
        ([fine, InputMediaDocument(media=BufferedInputFile(b"x", "x"))], mixed),
        ([fine, InputMediaPhoto(media="attach://nothing")], "Bad Request: can't parse InputMedia: media not found"),
        ([fine, bad], 'Bad Request: failed to send message #2 with the error message "PHOTO_INVALID_DIMENSIONS"'),
    ):
        assert await refused(bot.send_media_group(anna.id, media)) == error
    assert len(anna.chat) == 1


async def test_an_album_takes_no_animation(box: Sandbox, anna: Person) -> None:
    media = [{"type": "animation", "media": "attach://a"}]
    form = aiohttp.FormData({"chat_id": str(anna.id), "media": json.dumps(media)})
    form.add_field("a", b"x", filename="a.gif")
    async with aiohttp.ClientSession(box.url) as http, http.post(f"/bot{box.token}/sendMediaGroup", data=form) as answer:
        body = await answer.json()
    assert body["description"] == "Bad Request: can't parse InputMedia: type \"animation\" can't be used in sendMediaGroup"

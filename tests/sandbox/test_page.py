"""The chat page in a real browser."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiogram import Bot
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaDocument,
    InputMediaPhoto,
)
from PIL import Image
from playwright.async_api import Browser, Page, expect

from sandbox.person import Person
from sandbox.server import Sandbox
from tests.sandbox.browser import chromium, drawn, opened, overflow
from tests.sandbox.conftest import talking_to

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all of them


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def bot(box: Sandbox) -> AsyncIterator[Bot]:
    async with talking_to(box) as bot:
        yield bot


@pytest_asyncio.fixture(loop_scope="module")
async def anna(box: Sandbox) -> Person:
    person = box.person("Anna", "en", patience=20)
    await person.says("hello")
    return person


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, box: Sandbox, anna: Person) -> AsyncIterator[Page]:
    async with opened(browser, f"{box.url}/#{anna.id}") as page:
        yield page


def picture(width: int, height: int, colour: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def photo(width: int, height: int, caption: str | None = None) -> InputMediaPhoto:
    return InputMediaPhoto(media=BufferedInputFile(picture(width, height), "p.png"), caption=caption)


async def test_a_whole_dialogue_on_the_page(browser: Browser, box: Sandbox, bot: Bot) -> None:
    anna = box.person("Анна", "ru", patience=20)
    async with opened(browser, f"{box.url}/") as page:
        await expect(page.locator("#start")).to_have_text("Начать")
        await page.locator("#start").click()
        await expect(page.locator("#log li.own")).to_contain_text("/start")
        assert anna.chat[0].text == "/start"

        nasty = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
        await page.locator("#text").fill(nasty)
        await page.keyboard.press("Enter")
        await expect(page.locator("#log li.own .text").last).to_contain_text(nasty)  # as text, to the letter
        assert await page.title() == "Kandinsky"

        keyboard = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="🔁 Ещё", callback_data="again")]])
        status = await bot.send_message(anna.id, "<b>Рисую</b>", parse_mode="HTML")
        answer = page.locator("#log li:not(.own)")
        await expect(answer.locator("b")).to_have_text("Рисую")
        media = photo(256, 256, caption="готово")
        await bot.edit_message_media(media, chat_id=anna.id, message_id=status.message_id, reply_markup=keyboard)
        await expect(answer.locator(".text")).to_contain_text("готово")
        assert (await drawn(answer.locator(".photo img")))[0] == 256

        await page.locator(".key").click()
        await expect(page.locator(".key.waiting")).to_have_count(1)
        await anna.until(lambda: bool(box.world.presses), "the press", 20)
        await bot.answer_callback_query(next(iter(box.world.presses)), "уже рисую")
        await expect(page.locator("#toast")).to_have_text("уже рисую")
        await expect(page.locator(".key.waiting")).to_have_count(0)

        await bot.delete_message(anna.id, status.message_id)
        await expect(answer).to_have_count(0)


async def test_an_album_is_one_picture_of_several(bot: Bot, anna: Person, page: Page) -> None:
    shapes = [(640, 480), (300, 600), (512, 512), (800, 400), (512, 512)]
    sent = await bot.send_media_group(anna.id, [photo(*shape, "five" if n == 0 else None) for n, shape in enumerate(shapes)])
    album = page.locator("#log li:not(.own)")
    await expect(album).to_have_count(1)
    await expect(album.locator(".text")).to_contain_text("five")
    frames = album.locator(".photo")
    await expect(frames).to_have_count(5)
    assert [(await drawn(album.locator("img").nth(n)))[0] for n in range(5)] == [width for width, _ in shapes]
    boxes = [await frames.nth(n).bounding_box() for n in range(5)]
    rows = {round(box["y"]) for box in boxes}
    assert 1 < len(rows) < 5
    assert all(box["height"] > 60 for box in boxes)

    await frames.nth(1).click()
    await expect(page.locator("#lightbox .place")).to_have_text("2 / 5")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#lightbox .place")).to_have_text("3 / 5")
    assert (await drawn(page.locator("#lightbox img")))[0] == 512
    await page.locator("#lightbox .shut").click()

    await bot.delete_message(anna.id, sent[0].message_id)
    await expect(frames).to_have_count(4)
    await bot.edit_message_media(photo(100, 90), chat_id=anna.id, message_id=sent[1].message_id)
    await expect(album.locator('img[width="100"]')).to_have_count(1)


@pytest.mark.parametrize("size", ["phone", "desktop"])
async def test_a_person_draws_on_a_photo_and_sends_it(browser: Browser, box: Sandbox, bot: Bot, anna: Person, size: str) -> None:
    sent = await bot.send_photo(anna.id, BufferedInputFile(picture(512, 512), "p.png"))
    async with opened(browser, f"{box.url}/#{anna.id}", size, "dark") as page:
        await page.locator("#log .photo").click()
        await page.locator("#lightbox .draw").click()
        await expect(page.locator("#lightbox")).to_be_hidden()
        editor = page.locator("#pencil")
        canvas = editor.locator("canvas")
        await page.wait_for_function("document.querySelector('#pencil canvas').width > 300")  # a fresh one has 300
        await expect(editor.get_by_role("button", name="Send")).to_be_disabled()
        place = await canvas.bounding_box()
        assert place is not None
        assert await overflow(page) <= 0

        async def draws(*points: tuple[float, float]) -> None:
            for number, (x, y) in enumerate(points):
                await page.mouse.move(place["x"] + x * place["width"], place["y"] + y * place["height"], steps=4)
                if not number:
                    await page.mouse.down()
            await page.mouse.up()

        await editor.get_by_role("radio", name="White").check()
        await draws((0.2, 0.2), (0.8, 0.2))
        await draws((0.2, 0.8), (0.8, 0.8))
        await editor.get_by_role("button", name="Undo").click()
        await editor.get_by_label("As a reply to this photo").check()
        await editor.get_by_placeholder("Caption").fill("a fox")
        await editor.get_by_role("button", name="Send").click()
        await expect(editor).to_be_hidden()
    came = anna.chat[-1]
    assert (came.text, came.photo_size, came.reply_to) == ("a fox", (1280, 1280), sent.message_id)
    drawn = Image.open(io.BytesIO(came.photo))
    assert drawn.format == "JPEG"
    assert min(drawn.getpixel((640, 256))) > 240
    assert max(drawn.getpixel((640, 1024))) < 160  # that stroke was taken back


async def test_the_words_of_a_question_fit_the_line_on_a_phone(bot: Bot, anna: Person, page: Page) -> None:
    words = "Words from the prompt"
    await bot.set_my_commands([BotCommand(command="help", description="How it works")])  # their button takes room
    await expect(page.locator("button.menu")).to_be_visible()
    await bot.send_message(anna.id, "What shall I look for?", reply_markup=ForceReply(input_field_placeholder=words))
    line = page.locator("#text")
    await expect(line).to_have_attribute("placeholder", words)
    wide, room = await line.evaluate(
        """(line) => {
            const style = getComputedStyle(line), pen = document.createElement("canvas").getContext("2d");
            pen.font = style.font;
            const room = line.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
            return [pen.measureText(line.placeholder).width, room];
        }"""
    )
    assert 50 < wide <= room


async def test_documents_can_be_saved_under_their_names(bot: Bot, anna: Person, page: Page, tmp_path: Path) -> None:
    data = picture(640, 640)
    await bot.send_document(anna.id, BufferedInputFile(data, "красный круг.png"), caption="the original")
    await bot.send_media_group(
        anna.id, [InputMediaDocument(media=BufferedInputFile(text, f"{text.decode()}.txt")) for text in (b"one", b"two")]
    )
    tiles = page.locator("#log li:not(.own) a.tile")
    await expect(tiles).to_have_count(3)
    assert (await drawn(tiles.first.locator("img")))[0] == 640
    for tile, name, content in ((tiles.first, "красный круг.png", data), (tiles.last, "two.txt", b"two")):
        async with page.expect_download() as saving:
            await tile.click()
        download = await saving.value
        assert download.suggested_filename == name
        await download.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("as_files", [False, True])
async def test_a_person_sends_several_pictures_at_once(
    bot: Bot, anna: Person, page: Page, tmp_path: Path, as_files: bool
) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(12)]
    for n, path in enumerate(paths):
        path.write_bytes(picture(60 + n, 60))
    await page.locator("#pick-photo").set_input_files(paths)
    dialog = page.locator("#sending")
    await expect(dialog.locator("h3")).to_have_text("Send 12 photos")
    await dialog.locator("textarea").fill("my pictures")
    if as_files:
        await dialog.locator(".check").click()
        await expect(dialog.locator("h3")).to_have_text("Send 12 files")
    await dialog.locator(".strong").click()
    await anna.until(lambda: len(anna.chat) == 13, "twelve messages", 20)
    groups = [message.album for message in anna.chat[1:]]
    assert [groups.count(group) for group in dict.fromkeys(groups)] == [10, 2]
    assert all(message.has_document == as_files for message in anna.chat[1:])
    assert [message.text for message in anna.chat[1:]].count("my pictures") == 1
    await expect(page.locator("#log li.own")).to_have_count(3)

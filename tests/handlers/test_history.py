"""Everything a person has drawn, in one message that turns its pages."""

import io
import re
from collections.abc import Callable

import pytest
from PIL import Image, ImageChops, ImageStat

from sandbox.person import Person
from sandbox.shown import Shown
from tests.line import Line


async def drawn(person: Person, *prompts: str) -> list[Shown]:
    """Let the person draw, one after the other: four pictures each."""
    results = []
    for prompt in prompts:
        await person.says(prompt)
        results.append(await person.sees_photo())
    return results


async def page_of(person: Person, command: str = "/history") -> Shown:
    await person.says(command)
    return await person.sees_photo()


async def test_an_empty_history_is_a_friendly_start(line: Line, anna: Person) -> None:
    await anna.says("/history")
    shown = await anna.sees_text("nothing here yet")
    assert len(shown.labels) >= 3
    await anna.presses(shown.labels[0], shown.id)
    assert shown.labels[0] in (await anna.sees_photo()).text


async def test_pages_turn_in_one_message(line: Line, anna: Person) -> None:
    await drawn(anna, "a red star", "a blue heart", "a green cross")
    page = await page_of(anna)
    assert "12 pictures · page 1 of 2" in page.text
    assert [label for label in page.labels if label.isdigit()] == list("123456789")
    before = len(anna.chat)
    for label, text, photo_size in (("»", "page 2 of 2", (1016, 348)), ("«", "page 1 of 2", (1016, 1016))):
        await anna.presses(label, page.id)
        shown = await anna.sees_text(text, message_id=page.id)
        assert shown.photo_size == photo_size
    assert len(anna.chat) == before


async def test_a_number_opens_the_card_of_its_picture_with_every_button(line: Line, anna: Person) -> None:
    (result,) = await drawn(anna, "a yellow circle")
    page = await page_of(anna)
    await anna.presses("3", page.id)
    card = await anna.sees_text("📅", message_id=page.id)
    assert card.photo_size == (512, 512)
    assert "a yellow circle" in card.text
    assert re.search(r"🌱 \d+ · 128×128 · Kandinsky nano", card.text)
    assert "· 3 ·" in card.labels
    assert {label for row in result.buttons for label in [button["text"] for button in row] if not label.isdigit()} <= {
        *card.labels
    }
    await anna.presses("All", page.id)
    assert (await anna.sees_text("📅", message_id=page.id)).photo_size == (1032, 1032)
    await anna.presses("History", page.id)
    await anna.sees_text("page 1 of 1", message_id=page.id)


@pytest.mark.long
async def test_the_buttons_of_a_card_work(line: Line, anna: Person) -> None:
    await drawn(anna, "a red cross")
    page = await page_of(anna)
    await anna.presses("1", page.id)
    card = await anna.sees_text("📅", message_id=page.id)
    await anna.presses("As a file", page.id)
    assert (await anna.sees_document()).document_name.startswith("kandinsky-red-cross-")
    await anna.presses("Same picture", page.id)
    again = await anna.sees_photo()
    assert again.id != page.id
    assert again.text.splitlines()[0] == card.text.splitlines()[0]
    assert re.findall(r"🌱 \d+", again.text) == re.findall(r"🌱 \d+", card.text)


@pytest.mark.parametrize("number", ["99", *(pytest.param(number, marks=pytest.mark.long) for number in ("9999999999999", "0"))])
async def test_a_page_that_is_not_there_is_the_nearest(line: Line, anna: Person, number: str) -> None:
    await drawn(anna, "a red star", "a blue star", "a green star")
    if len(number) < 10:
        page = await page_of(anna, f"/history {number}")
        assert f"page {1 if number == '0' else 2} of 2" in page.text
    else:
        await anna.says(f"/history {number}")
        await anna.sees_text("no picture of yours")
    shown = await page_of(anna)
    await anna.presses_data("v1h::99", shown.id)
    await anna.sees_text("page 2 of 2", message_id=shown.id)


async def test_somebody_elses_pictures_are_not_found(line: Line, anna: Person, new_person: Callable[..., Person]) -> None:
    await drawn(anna, "a purple star")
    page = await page_of(anna)
    eve = new_person()
    await eve.says("/start")
    await eve.sees_text("Hi")
    card = page.button("1")
    assert card is not None
    answer = await (await eve.presses_data(str(card["callback_data"]))).answered()
    assert answer.show_alert
    assert "not yours" in answer.text
    find = page.button("Find")
    assert find is not None
    notice = str(card["callback_data"]).split(":")[1]
    await eve.presses_data(f"v1h:{notice}:1")
    await eve.sees_text("nothing here yet")
    assert not any(message.has_photo for message in eve.chat)


@pytest.mark.parametrize("data", ["v1h:", "v1h:x:y", "v1k:::", "v1k:a:b:1", "v1k::zzz:99", "v1h::-5", "v1h:zzz:0"])
async def test_a_forged_button_is_answered(line: Line, anna: Person, data: str) -> None:
    await anna.says("/start")
    await anna.sees_text("Hi")
    await (await anna.presses_data(data)).answered()


async def test_a_search_is_a_question_and_its_answer(line: Line, anna: Person) -> None:
    await drawn(anna, "a red star", "a blue heart")
    page = await page_of(anna)
    await anna.presses("Find", page.id)
    await anna.sees_text("What shall I look for")
    await anna.says("HEART blue")
    found = await anna.sees_photo()
    assert "HEART blue\n4 pictures found" in found.text
    await anna.presses("2", found.id)
    card = await anna.sees_text("📅", message_id=found.id)
    assert "a blue heart" in card.text
    await anna.presses("History", found.id)
    await anna.sees_text("4 pictures found", message_id=found.id)
    await anna.presses("All pictures", found.id)
    await anna.sees_text("8 pictures", message_id=found.id)
    await anna.says("a white cross")  # the question is answered: words are drawn again
    assert "a white cross" in (await anna.sees_photo()).text


async def test_a_search_without_a_find_offers_to_draw_the_words(line: Line, anna: Person) -> None:
    await drawn(anna, "a red star")
    await anna.says("/history green cross")
    answer = await anna.sees_text("no picture with the words green cross")
    await anna.presses("green cross", answer.id)
    result = await anna.sees_photo()
    assert "green cross" in result.text
    assert result.reply_to is None
    await anna.says("/history hippopotamus")
    assert (await anna.sees_text("hippopotamus")).labels == []


async def test_too_long_a_search_is_refused_with_both_numbers(line: Line, boris: Person) -> None:
    await boris.says("/history " + "ы" * 101)
    await boris.sees_text("Здесь 101 символ, а искать я умею не больше чем по 100")


async def test_cancel_ends_a_search(line: Line, boris: Person) -> None:
    await drawn(boris, "красная звезда")
    page = await page_of(boris)
    assert "4 картинки · страница 1 из 1" in page.text
    await boris.presses("Найти", page.id)
    await boris.sees_text("Что поискать")
    await boris.says("/cancel")
    await boris.sees_text("оставим это")
    await boris.says("синий круг")
    assert "синий круг" in (await boris.sees_photo()).text


async def test_another_command_ends_a_search_and_does_its_own_work(line: Line, boris: Person) -> None:
    await drawn(boris, "красная звезда")
    page = await page_of(boris)
    await boris.presses("Найти", page.id)
    await boris.sees_text("Что поискать")
    await boris.says("/help")
    await boris.sees_text("Как это работает")
    await boris.says("синий круг")
    assert "синий круг" in (await boris.sees_photo()).text


async def test_the_sheet_is_made_of_what_was_drawn(line: Line, anna: Person) -> None:
    (result,) = await drawn(anna, "a big red circle on a blue background")
    page = await page_of(anna)
    sheet = Image.open(io.BytesIO(result.photo)).convert("RGB")
    gallery = Image.open(io.BytesIO(page.photo)).convert("RGB")
    drawn_first = sheet.crop((0, 0, 512, 512)).resize((32, 32), Image.Resampling.BOX)
    first = gallery.crop((14, 14, 501, 501)).resize((32, 32), Image.Resampling.BOX)
    apart = ImageStat.Stat(ImageChops.difference(first, drawn_first)).mean
    assert max(apart) < 12  # JPEG made both, one of them from a smaller copy

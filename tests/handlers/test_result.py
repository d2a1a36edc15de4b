"""The row under a result."""

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageChops

from handlers import result
from sandbox.person import Person
from sandbox.shown import Shown
from storage.domain import Refused
from tests.line import Line


def pixels(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo)).convert("RGB")


def seed_of(message: Shown) -> int:
    found = re.search(r"🌱 (\d+)", message.text)
    assert found
    return int(found[1])


async def drawn(person: Person, prompt: str = "a red circle on a white background") -> Shown:
    await person.says(prompt)
    return await person.sees_photo()


async def test_each_number_opens_its_picture_in_place(line: Line, anna: Person) -> None:
    sheet = await drawn(anna)
    for number in ("1", "2", "3", "4"):
        await anna.presses(number, sheet.id)
        opened = await anna.sees_photo(message_id=sheet.id)
        assert opened.photo_size == (512, 512)
        assert seed_of(opened) == (seed_of(sheet) + int(number) - 1) % 2**32
        column, row = (int(number) - 1) % 2 * 520, (int(number) - 1) // 2 * 520
        tile = pixels(sheet.photo).crop((column, row, column + 512, row + 512))
        difference = ImageChops.difference(tile, pixels(opened.photo)).convert("L")
        assert sum(difference.histogram()[24:]) == 0  # JPEG made both, so not equal to the bit
    await anna.presses("All", sheet.id)
    assert (await anna.sees_photo(message_id=sheet.id)).photo_size == sheet.photo_size
    assert len(anna.chat) == 2


async def test_again_draws_the_same_words_with_a_new_seed(line: Line, anna: Person) -> None:
    first = await drawn(anna)
    await anna.presses("Again")
    second = await anna.sees_photo()
    assert second.id != first.id
    assert second.text.splitlines()[0] == first.text.splitlines()[0]
    assert seed_of(second) != seed_of(first)
    assert second.photo != first.photo


async def test_the_same_seed_gives_the_same_bytes(line: Line, anna: Person) -> None:
    first = await drawn(anna)
    await anna.presses("Same picture")
    second = await anna.sees_photo()
    assert second.id != first.id
    assert second.photo == first.photo


async def test_the_same_seed_of_an_open_picture_draws_it_alone(line: Line, anna: Person) -> None:
    sheet = await drawn(anna)
    await anna.presses("3")
    opened = await anna.sees_photo(message_id=sheet.id)
    await anna.presses("Same picture", sheet.id)
    alone = await anna.sees_photo()
    assert alone.id != sheet.id
    assert seed_of(alone) == seed_of(opened)
    difference = ImageChops.difference(pixels(alone.photo), pixels(opened.photo)).convert("L")
    assert sum(difference.histogram()[24:]) == 0


async def test_a_file_has_every_pixel_and_512_at_least(line: Line, anna: Person) -> None:
    sheet = await drawn(anna)
    await anna.presses("2")
    opened = await anna.sees_photo(message_id=sheet.id)
    assert (await (await anna.presses("As a file")).answered()).text == "Sending the file…"
    sent = await anna.sees_document()
    assert (await (await anna.presses("As a file")).answered()).text == "The file is already here, or on its way."
    assert sent.document_name.endswith(".png")
    picture = pixels(sent.document)
    assert picture.size == (512, 512)
    assert sum(ImageChops.difference(picture, pixels(opened.photo)).convert("L").histogram()[24:]) == 0


async def test_with_care_keeps_words_and_seed(line: Line, anna: Person) -> None:
    first = await drawn(anna)
    await anna.presses("With care")
    careful = await anna.sees_photo()
    assert careful.text.splitlines()[0] == first.text.splitlines()[0]
    assert seed_of(careful) == seed_of(first)
    assert careful.photo != first.photo
    assert not careful.button("With care")


async def test_ten_taps_make_one_job(line: Line, anna: Person) -> None:
    first = await drawn(anna)
    before = await line.sql("SELECT count(*) FROM job")
    taps = [await anna.presses("With care", first.id) for _ in range(10)]
    for tap in taps:
        assert (await tap.answered()).seconds < 5
    await anna.sees_photo()
    after = await line.sql("SELECT count(*) FROM job")
    assert after[0][0] == before[0][0] + 1  # type: ignore[operator]


async def test_a_tap_after_the_end_is_a_new_wish(line: Line, anna: Person) -> None:
    first = await drawn(anna)
    for _ in range(2):
        await anna.presses("Again", first.id)
        await anna.sees_photo()
        await line.settled()
    assert sum(message.has_photo for message in anna.chat) == 3


async def test_somebody_elses_button_is_refused(line: Line, anna: Person, new_person: Callable[..., Person]) -> None:
    first = await drawn(anna)
    eve = new_person()
    await eve.says("/start")
    await eve.sees_text("Hi")
    for row in first.buttons:
        for button in row:
            tap = await eve.presses_data(str(button["callback_data"]))
            answer = await tap.answered()
            assert answer.show_alert
            assert "not yours" in answer.text
    assert len(eve.chat) == 2


@pytest.mark.parametrize(
    "data", ["", "x", "v1", "v1:open:zzz:1", "v1:open:zzz:99999999999", "say::", "v1c:", "й" * 32, "v1:" * 20]
)
async def test_a_forged_button_gets_an_answer(line: Line, anna: Person, data: str) -> None:
    await anna.says("/start")
    await anna.sees_text("Hi")
    answer = await (await anna.presses_data(data)).answered()
    assert answer.show_alert
    assert answer.text


async def test_an_old_button_for_a_lane_that_is_gone_says_so() -> None:
    button: Any = result.ResultButton(action="careful", job="somebody's")
    unused: Any = None
    with pytest.raises(Refused, match=r"refused\.no-base"):
        await result.draw_carefully(unused, button, unused, unused, unused, unused, lanes={"flash"})

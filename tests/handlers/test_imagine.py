"""A sentence becomes pictures in the chat."""

import asyncio
import io
import time

import pytest
from PIL import Image

from engine.nano_world import Thing
from sandbox.person import Person
from tests.line import Line
from training.judge import judge, to_floats


async def test_a_sentence_becomes_a_sheet_of_four(line: Line, anna: Person) -> None:
    asked = await anna.says("a big red circle on a blue background")
    status = await anna.sees_text(reply_to=asked.id)
    assert status.button("Cancel")
    result = await anna.sees_photo(message_id=status.id)
    assert Image.open(io.BytesIO(result.photo)).size == (1032, 1032)
    assert [label for label in result.labels if label.isdigit()] == ["1", "2", "3", "4"]
    assert "a big red circle on a blue background" in result.text
    assert not result.button("Cancel")


@pytest.mark.parametrize(
    ("prompt", "background", "thing"),
    [
        ("a big red circle on a blue background", "blue", Thing("circle", "red", "big", None)),
        ("маленькая белая звезда слева на чёрном фоне", "black", Thing("star", "white", "small", "left")),
    ],
)
async def test_the_pictures_show_what_was_asked(line: Line, anna: Person, prompt: str, background: str, thing: Thing) -> None:
    await anna.says(prompt)
    sheet = await anna.sees_photo()
    right = []
    for number in ("1", "2", "3", "4"):
        await anna.presses(number, sheet.id)
        opened = await anna.sees_photo(message_id=sheet.id)
        picture = Image.open(io.BytesIO(opened.photo)).resize((128, 128), Image.Resampling.BOX)
        right.append(judge(to_floats(picture), background, [thing]).right)
    assert right.count(True) >= 3  # seeds are fresh each time; make bench has the exact shares


async def test_russian_is_answered_in_russian(line: Line, boris: Person) -> None:
    await boris.says("большой красный круг на синем фоне")
    result = await boris.sees_photo()
    assert result.button("Ещё раз")
    assert result.button("Точь-в-точь")
    assert result.button("Файлом")
    assert "большой красный круг на синем фоне" in result.text


async def test_the_command_draws_too(line: Line, anna: Person) -> None:
    await anna.says("/imagine a green star")
    assert "a green star" in (await anna.sees_photo()).text


async def test_the_command_alone_says_how(line: Line, anna: Person) -> None:
    await anna.says("/imagine")
    assert (await anna.sees_text("after the command")).labels


async def test_an_unknown_word_is_named_and_words_are_offered(line: Line, anna: Person) -> None:
    await anna.says("a red waterfall on a blue background")
    answer = await anna.sees_text("waterfall")
    assert answer.labels
    await anna.presses(answer.labels[0])
    assert "waterfall" not in (await anna.sees_photo()).text


async def test_parameters_are_heard_and_said(line: Line, boris: Person) -> None:
    asked = await boris.says("красная звезда —сид 7, —ar 16:9 --n 1,0")
    status = await boris.sees_text("⚙️ сид 7 · 1 картинка", reply_to=asked.id)
    result = await boris.sees_photo(message_id=status.id)
    assert result.photo_size == (512, 512)
    assert result.text.splitlines()[0] == "красная звезда"
    assert "🌱 7 · 128×128" in result.text
    assert "128×128 — единственный размер" in result.text


async def test_what_flash_does_not_hear_is_drawn_with_care(line: Line, anna: Person) -> None:
    await anna.says("/imagine a red star --steps 12 --no circle --n 9")
    result = await anna.sees_photo()
    assert "Kandinsky nano with care" in result.text
    assert "⚙️ 12 steps · without circle" in result.text
    assert "Flash does not hear --no, --steps" in result.text
    assert "--n 9 became 4: it goes from 1 to 4" in result.text


async def test_a_slip_in_a_parameter_is_mended_by_a_tap(line: Line, anna: Person) -> None:
    await anna.says("a red star --sed 7 --n 1")
    answer = await anna.sees_text("I do not know --sed.")
    assert answer.labels == ["--seed 7", "Draw without it"]
    await anna.presses("--seed 7", answer.id)
    assert "🌱 7 ·" in (await anna.sees_photo()).text
    await anna.says("a red star --seed blue --n 1")
    answer = await anna.sees_text("whole number from 0 to 4294967295")
    await anna.presses("Draw without it", answer.id)
    assert "blue" not in (await anna.sees_photo()).text


async def test_a_known_word_takes_the_place_of_the_unknown_one_and_parameters_stay(line: Line, anna: Person) -> None:
    await anna.says("/imagine a red cirle --seed 7 --n 1")
    await anna.sees_text("cirle")
    await anna.presses("circle")
    result = await anna.sees_photo()
    assert "a red circle\n🌱 7 ·" in result.text


async def test_a_repeated_update_draws_once(line: Line, anna: Person) -> None:
    line.sandbox.faults.duplicate_updates(2)
    await anna.says("a white heart")
    result = await anna.sees_photo()
    await anna.says("/help")
    await anna.sees_text("How it works")
    assert [message.id for message in anna.chat if message.has_photo] == [result.id]


async def test_a_fourth_wish_waits_its_turn(line: Line, anna: Person) -> None:
    for shape in ("circle", "star", "heart", "cross"):
        await anna.says(f"a red {shape}")

    def ends() -> list[bool]:
        return [m.has_photo for m in anna.chat if m.has_photo or "of 3." in m.text]

    await anna.until(lambda: len(ends()) == 4, "four ends")
    assert ends().count(True) >= 3


async def test_a_person_is_answered_while_the_worker_draws(line: Line, anna: Person, boris: Person) -> None:
    await anna.says("a red circle")
    await anna.sees_photo()
    await anna.presses("With care")
    await anna.sees(lambda message: message.button("Cancel") is not None)
    started = time.monotonic()
    await boris.says("/start")
    await boris.sees_text("Привет")
    assert time.monotonic() - started < 5
    await anna.sees_photo()


async def test_two_people_get_their_own(line: Line, anna: Person, boris: Person) -> None:
    await asyncio.gather(anna.says("a red star"), boris.says("синий крест"))
    assert "a red star" in (await anna.sees_photo()).text
    assert "синий крест" in (await boris.sees_photo()).text

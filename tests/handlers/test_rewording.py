"""Words that become richer words before they are drawn: shown, taken back, understood otherwise."""

import io

from PIL import Image

from engine.nano_world import Thing
from sandbox.person import Person
from sandbox.shown import Shown
from tests.handlers.test_settings import menu_of, press
from tests.line import Line
from training.judge import judge, to_floats


def shows(result: Shown, thing: Thing, background: str | None = None) -> bool:
    """Whether the judge finds this in a picture."""
    picture = Image.open(io.BytesIO(result.photo)).resize((128, 128), Image.Resampling.BOX)
    return judge(to_floats(picture), background, [thing]).right


def underlined(message: Shown) -> list[str]:
    """The parts of a message that are marked as added."""
    units = message.text.encode("utf-16-le")
    marked = [entity for entity in message.entities if entity["type"] == "underline"]
    return [units[2 * each["offset"] : 2 * (each["offset"] + each["length"])].decode("utf-16-le") for each in marked]


async def test_russian_words_are_understood_completed_and_given_back(line: Line, boris: Person) -> None:
    await press(boris, await menu_of(boris), "Всегда", "всегда украшать")
    asked = await boris.says("красный крестик --n 1 --seed 7")
    result = await boris.sees_photo()
    assert result.reply_to == asked.id
    lines = result.text.splitlines()
    assert (lines[0], lines[2]) == ("красный крестик", "💬 Понято как: a red cross")
    assert lines[3].startswith("🪄 Дополнено: a")
    assert underlined(result)
    assert not set(" ".join(underlined(result)).split()) & {"red", "cross"}
    assert shows(result, Thing("cross", "red"))

    for toast in ("Рисую…", "Это уже рисуется."):  # twice is once
        answer = await (await boris.presses("Мои слова", result.id)).answered()
        assert answer.text in (toast, "Рисую…")
    own = await boris.sees_photo()
    assert own.text.splitlines()[0] == "красный крестик"
    assert "Дополнено" not in own.text
    assert "🌱 7 ·" in own.text
    assert own.button("Приукрасить")
    assert own.photo != result.photo

    await boris.presses("Имелось в виду: плюс", result.id)
    plus = await boris.sees_photo()
    assert "💬 Понято как: a red plus" in plus.text
    assert "красный крестик" in plus.text
    assert "🌱 7 ·" in plus.text
    assert plus.button("Имелось в виду: крест")

    await boris.presses("Не то", result.id)
    await boris.sees_text("Я понял так: a red cross")
    assert (await (await boris.presses("Не то", result.id)).answered()).text == "Смотрите сообщение ниже."
    await boris.says("синий круг")
    mended = await boris.sees_photo()
    assert mended.text.splitlines()[0] == "красный крестик"
    assert "💬 Понято как: синий круг" in mended.text
    assert shows(mended, Thing("circle", "blue"))

    await boris.says("/history крестик")
    page = await boris.sees_photo()
    await boris.presses("1", page.id)
    card = await boris.sees_text("📅", message_id=page.id)
    assert "красный крестик" in card.text
    assert "Понято как" in card.text


async def test_english_words_are_completed_as_the_person_says(line: Line, anna: Person) -> None:
    menu = await press(anna, await menu_of(anna), "Ask", "if you say so")
    asked = await anna.says("a red star --n 1 --seed 7")
    question = await anna.sees_text("I would draw: a", reply_to=asked.id)
    assert not question.button("Cancel")
    added = [label.removeprefix("➖ ") for label in question.labels if label.startswith("➖")]
    assert underlined(question) == added
    assert "red" not in added
    first = await (await anna.presses(f"➖ {added[0]}", question.id)).answered()
    assert first.text == ""
    less = await anna.sees(lambda message: message.button(f"➕ {added[0]}") is not None, message_id=question.id)
    assert underlined(less) == added[1:]
    toasts = [(await (await anna.presses("Draw", question.id)).answered()).text for _ in range(2)]
    assert toasts[0] == "Drawing…"
    result = await anna.sees_photo()
    assert result.reply_to == asked.id
    assert "🪄 With more:" in result.text
    assert "🌱 7 ·" in result.text
    assert added[0] not in result.text.split("With more:")[1].split()
    assert shows(result, Thing("star", "red"))

    await anna.presses("✍️ Never", question.id)
    plain = await anna.sees_photo()
    assert plain.text.splitlines()[0] == "a red star"
    assert "With more" not in plain.text
    await press(anna, menu, "1", "left as they are")  # any press redraws the menu
    await anna.says("a blue heart --n 1 --seed 9")
    heart = await anna.sees_photo()
    assert "With more" not in heart.text
    await anna.presses("Beautify", heart.id)
    richer = await anna.sees_photo()
    assert "🪄 With more:" in richer.text
    assert "🌱 9 ·" in richer.text
    assert shows(richer, Thing("heart", "blue"))


async def test_raw_words_are_left_alone(line: Line, anna: Person) -> None:
    await press(anna, await menu_of(anna), "Always", "always embellished")
    await anna.says("a green cross --raw --n 1")
    result = await anna.sees_photo()
    assert result.text.splitlines()[0] == "a green cross"
    assert "With more" not in result.text


async def test_a_strangers_words_are_not_found(line: Line, anna: Person, boris: Person) -> None:
    await press(anna, await menu_of(anna), "Ask", "if you say so")
    await anna.says("a red star --n 1")
    question = await anna.sees_text("I would draw: a")
    await boris.says("/help")
    helped = await boris.sees_text("Как это работает")
    forged = [str(button["callback_data"]) for row in question.buttons for button in row]
    job = forged[0].split(":")[2]
    forged += [f"v1bw:{action}:{job}:0" for action in ("plain", "richer", "fix")] + [f"v1br:0:{job}:0", f"v1:open:{job}:0"]
    for data in forged:
        answer = await (await boris.presses_data(data, helped.id)).answered()
        assert "чужой" in answer.text
    for data in (f"v1:open:{job}:0", f"v1:file:{job}:0", f"v1bw:plain:{job}:0"):  # her own, but there is no picture
        assert "no longer there" in (await (await anna.presses_data(data, question.id)).answered()).text
    assert not any(message.has_photo for message in anna.chat)

"""What a person chose holds everywhere, until they choose otherwise."""

import io

import pytest
from PIL import Image

from sandbox.person import Person
from sandbox.shown import Shown
from tests.line import Line


async def menu_of(person: Person, command: str = "/settings") -> Shown:
    await person.says(command)
    return await person.sees(lambda message: any("✓" in label for label in message.labels), what="the menu")


async def press(person: Person, menu: Shown, label: str, sees: str) -> Shown:
    """Press a button of the menu; wait until the menu in its place says so."""
    await (await person.presses(label, menu.id)).answered()
    return await person.sees_text(sees, message_id=menu.id)


def shown(line: Line, person: Person) -> dict[str, str]:
    """What Telegram's menu of commands shows this person."""
    commands = line.sandbox.world.commands.shown_to(person.id, person.language_code)
    return {each["command"]: each["description"] for each in commands}


async def test_the_number_of_pictures_is_what_plain_words_draw(line: Line, anna: Person) -> None:
    menu = await menu_of(anna)
    assert "4 pictures" in menu.text
    menu = await press(anna, menu, "1", "1 picture")
    assert menu.button("✓ 1")
    await anna.says("a red star")
    assert (await anna.sees_photo()).photo_size == (512, 512)
    await press(anna, menu, "2", "2 pictures")
    await anna.says("/imagine a red star")
    assert (await anna.sees_photo()).photo_size == (1032, 512)
    await press(anna, menu, "Reset all", "4 pictures")
    await anna.says("a red star")
    assert (await anna.sees_photo()).photo_size == (1032, 1032)
    assert len([message for message in anna.chat if "Settings" in message.text]) == 1


async def test_the_chosen_language_goes_before_that_of_the_client(line: Line, anna: Person) -> None:
    menu = await menu_of(anna)
    tap = await anna.presses("Русский", menu.id)
    assert (await tap.answered()).text == "Сохранено."
    await anna.sees_text("Настройки", message_id=menu.id)
    await anna.says("a red star")
    result = await anna.sees_photo()
    assert result.button("Ещё раз")
    assert (await (await anna.presses("Ещё раз", result.id)).answered()).text == "Рисую…"
    await anna.sees_photo()
    await anna.says("/nothing")
    await anna.sees_text("Я не знаю команды")
    answer = await (await anna.presses_data("forged")).answered()
    assert "чужой" in answer.text
    await anna.until(lambda: shown(line, anna)["help"] == "Как это работает", "Telegram's menu in Russian")
    await press(anna, menu, "Авто", "Settings")
    await anna.says("/nothing")
    await anna.sees_text("do not know the command")
    await anna.until(lambda: shown(line, anna)["help"] == "How it works", "Telegram's menu as it was")


async def test_results_come_as_files_when_so_chosen(line: Line, anna: Person) -> None:
    menu = await press(anna, await menu_of(anna), "File", "a file without loss")
    asked = await anna.says("a green cross")
    status = await anna.sees_text(reply_to=asked.id)
    result = await anna.sees_document(message_id=status.id)
    assert Image.open(io.BytesIO(result.document)).format == "PNG"
    assert result.button("Again")
    await press(anna, menu, "Both", "a photo and a file")
    await anna.says("a blue cross")
    photo = await anna.sees_photo()
    assert (await anna.sees_document()).reply_to == photo.id


async def test_a_choice_pressed_twice_stays_chosen(line: Line, boris: Person) -> None:
    menu = await menu_of(boris, "/lang")
    for _ in range(2):
        tap = await boris.presses("3", menu.id)
        assert (await tap.answered()).text == "Сохранено."
    await boris.until(lambda: "3 картинки" in boris.message(menu.id).text, "the choice")


@pytest.mark.parametrize("data", ["v1s:size:64x64", "v1s:pictures:9", "v1s:beautify:sometimes", "v1s:colour:red"])
async def test_what_is_not_served_is_not_stored_and_the_menu_comes_up_to_date(line: Line, anna: Person, data: str) -> None:
    menu = await menu_of(anna)
    answer = await (await anna.presses_data(data, menu.id)).answered()
    assert "out of date" in answer.text
    [(settings,)] = await line.sql(f'SELECT settings FROM "user" WHERE telegram_id = {anna.id}')  # noqa: S608
    assert settings == "{}"


async def test_an_old_menu_is_redrawn_with_what_holds_now(line: Line, anna: Person) -> None:
    old, new = await menu_of(anna), await menu_of(anna)
    await press(anna, new, "2", "2 pictures")
    redrawn = await press(anna, old, "Both", "a photo and a file")
    assert "2 pictures" in redrawn.text

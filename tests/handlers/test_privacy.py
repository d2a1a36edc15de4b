"""A person reads what is kept of them, takes it with them, and has it deleted."""

import io
import json
import re
import zipfile
from collections.abc import Callable

from sqlalchemy import text

from sandbox.person import Person
from sandbox.shown import Shown
from storage.database import Database
from tests.line import Line


async def drawn(person: Person, prompt: str) -> Shown:
    await person.says(prompt)
    return await person.sees_photo()


async def asked_to_be_forgotten(person: Person) -> tuple[Shown, str]:
    """Ask, confirm; return the message with the way back, and the receipt."""
    await person.says("/forget")
    question = await person.sees_text("Delete all that is yours?")
    await (await person.presses("Yes, delete everything", question.id)).answered()
    waiting = await person.sees_text("will be deleted on", message_id=question.id)
    return waiting, receipt_of(waiting)


def receipt_of(shown: Shown) -> str:
    found = re.search(r"(?:receipt|квитанция): (\S{16})(?!\S)", shown.text, re.IGNORECASE)
    assert found, shown.text
    return found[1]


async def its_time_comes(line: Line, receipt: str) -> None:
    """The days in which it can be taken back are over."""
    database = Database(line.storage.database)
    mine = "user_id = (SELECT user_id FROM erasure WHERE public_id = :receipt)"
    async with database.begin() as session:
        for change in (
            f"UPDATE job SET finished_at = finished_at - 90000 WHERE {mine}",  # noqa: S608
            "UPDATE erasure SET asked_at = asked_at - 90000, due_at = due_at - 90000 WHERE public_id = :receipt",
        ):
            await session.execute(text(change), {"receipt": receipt})
    await database.close()


async def test_all_that_is_ones_own_comes_as_a_file(line: Line, anna: Person) -> None:
    await drawn(anna, "a red star")
    await anna.says("/privacy")
    page = await anna.sees_text("What is kept of you")
    await (await anna.presses("All that is mine", page.id)).answered()
    await anna.sees_text("4 pictures, with recipes and lineage")
    sent = await anna.sees_document()
    assert sent.document_name == "kandinsky-export.zip"
    assert "Part 1: 4 pictures." in sent.text
    assert "That is everything." in sent.text
    with zipfile.ZipFile(io.BytesIO(sent.document)) as archive:
        assert archive.testzip() is None
        lineage = json.loads(archive.read("lineage.json"))
        recipes = {recipe["id"]: recipe for recipe in json.loads(archive.read("recipes.json"))}
        about = json.loads(archive.read("person.json"))
        assert len({archive.read(picture["file"]) for picture in lineage}) == 4
    assert [recipes[picture["recipe"]]["request"]["prompt"] for picture in lineage] == ["a red star"] * 4
    assert about["telegram_id"] == anna.id


async def test_being_forgotten_can_be_taken_back(line: Line, boris: Person, new_person: Callable[..., Person]) -> None:
    await drawn(boris, "красная звезда")
    await boris.says("/forget")
    question = await boris.sees_text("Удалить всё ваше?")
    assert "Картинки: 4" in question.text
    assert "Время передумать: 24 часа" in question.text
    await boris.presses("Да, удалить всё", question.id)
    waiting = await boris.sees_text("будет удалено", message_id=question.id)
    await boris.says("синий круг")
    refused = await boris.sees_text("Ничего нового не рисуется")
    assert receipt_of(refused) == receipt_of(waiting)
    await boris.says("/forget")  # asked again, it is the same wish
    assert receipt_of(await boris.sees_text("будет удалено")) == receipt_of(waiting)
    eve = new_person()
    await eve.says(f"/forget {receipt_of(waiting)}")
    await eve.sees_text("I know no receipt")
    await eve.presses_data(f"v1fo:undo:{receipt_of(waiting)}")
    await eve.sees_text("everything stays")
    await boris.presses("Всё-таки оставить", refused.id)
    await boris.sees_text("всё остаётся как есть", message_id=refused.id)
    await drawn(boris, "синий круг")


async def test_being_forgotten_leaves_a_receipt_and_nothing_else(
    line: Line, anna: Person, new_person: Callable[..., Person]
) -> None:
    result = await drawn(anna, "a purple cross")
    await line.settled()
    _, receipt = await asked_to_be_forgotten(anna)
    await its_time_comes(line, receipt)
    done = await anna.sees_text("Everything was deleted on")
    assert "Pictures: 4" in done.text
    assert receipt_of(done) == receipt
    assert await line.sql(f'SELECT 1 FROM "user" WHERE telegram_id = {anna.id}') == []  # noqa: S608
    answer = await (await anna.presses("Again", result.id)).answered()
    assert "not yours" in answer.text
    await anna.says("/history")
    await anna.sees_text("nothing here yet")
    eve = new_person()
    await eve.says(f"/forget {receipt}")  # it names nobody, so whoever has it may look at it
    assert "Pictures: 4" in (await eve.sees_text("Everything was deleted on")).text


async def test_what_is_being_drawn_is_stopped_first(line: Line, anna: Person) -> None:
    await anna.says("a white star")
    _, receipt = await asked_to_be_forgotten(anna)
    await line.settled()
    await its_time_comes(line, receipt)
    await anna.sees_text("Everything was deleted on")


async def test_the_rules_are_there_for_everybody(line: Line, boris: Person) -> None:
    await boris.says("/terms")
    assert "/privacy" in (await boris.sees_text("Правила")).text
    await boris.says("/privacy")
    assert "/forget" in (await boris.sees_text("Что о вас хранится")).text

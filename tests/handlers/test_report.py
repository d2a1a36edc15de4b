"""A picture that is not as it should be can be reported, once a person and picture."""

from collections.abc import Callable

import pytest

from handlers.report import ReportButton
from sandbox.person import Person
from sandbox.shown import Shown
from tests.line import Line


async def drawn(person: Person, prompt: str = "a red heart") -> Shown:
    await person.says(prompt)
    return await person.sees_photo()


async def reports(line: Line, person: Person) -> list[tuple[object, ...]]:
    mine = f'SELECT id FROM "user" WHERE telegram_id = {person.id}'  # noqa: S608
    return await line.sql(f"SELECT reason, picture FROM report WHERE user_id IN ({mine})")  # noqa: S608


async def test_a_report_is_kept_with_its_reason(line: Line, anna: Person) -> None:
    result = await drawn(anna)
    for sees, kept in (("Thank you. The report is kept", 1), ("You have reported this picture already", 1)):
        await anna.presses("Report", result.id)
        question = await anna.sees_text("What is wrong with this picture?", reply_to=result.id)
        await anna.presses("It shows a real person", question.id)
        await anna.sees_text(sees, message_id=question.id)
        assert await reports(line, anna) == [("person", 0)] * kept


async def test_a_slip_reports_nothing(line: Line, boris: Person) -> None:
    result = await drawn(boris, "красное сердце")
    await boris.presses("Пожаловаться", result.id)
    question = await boris.sees_text("Что не так с этой картинкой?")
    await boris.presses("Не жаловаться", question.id)
    await boris.sees_text("никому ничего не сообщаю", message_id=question.id)
    assert await reports(line, boris) == []


@pytest.mark.parametrize("reason", ["", "unsafe"])
async def test_somebody_elses_picture_in_another_chat_is_not_there(
    line: Line, anna: Person, new_person: Callable[..., Person], reason: str
) -> None:
    result = await drawn(anna)
    pressed = result.button("Report")
    assert pressed is not None
    theirs = ReportButton.unpack(str(pressed["callback_data"]))
    eve = new_person()
    await eve.says("/start")
    await eve.sees_text("Hi")
    answer = await (await eve.presses_data(theirs.model_copy(update={"reason": reason}).pack())).answered()
    assert "not yours" in answer.text
    assert await reports(line, eve) == []


@pytest.mark.parametrize("data", ["v1r:", "v1r:x:99:", "v1r:x:0:rude", "v1r:x:-1:unsafe", "v1fo:undo:", "v1pr:everything"])
async def test_a_forged_button_is_answered(line: Line, anna: Person, data: str) -> None:
    await anna.says("/start")
    await anna.sees_text("Hi")
    await (await anna.presses_data(data)).answered()

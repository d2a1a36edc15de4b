"""Every press is answered at once, however busy the worker is."""

from collections.abc import Callable
from statistics import median

from sandbox.person import Person
from sandbox.shown import Shown
from tests.line import Line

_USUAL_S, _MOST_S = 1.0, 5.0  # the other tests run on the same machine


async def _press_all(person: Person, message: Shown) -> list[str]:
    """Press every button of a message; return what was answered."""
    said, seconds = [], []
    for row in message.buttons:
        for button in row:
            answer = await (await person.presses_data(str(button["callback_data"]), message.id)).answered()
            seconds.append(answer.seconds)
            said.append(answer.text)
    assert (median(seconds) < _USUAL_S, max(seconds) < _MOST_S) == (True, True), seconds
    return said


async def test_each_button_of_the_row_and_of_the_cards_is_answered_while_the_worker_draws_for_somebody_else(
    line: Line, new_person: Callable[..., Person]
) -> None:
    anna, boris, vera, zoya = (new_person("ru") for _ in range(4))  # each with a chat of their own, and so a pace of their own
    for person in (anna, boris):
        await person.says("красная звезда на синем фоне --n 1")
    rows = [await person.sees_photo() for person in (anna, boris)]
    await zoya.says("красный круг --engine base --steps 100 --n 4")
    long_drawing = await zoya.sees_text("Рисую…")
    await vera.says("синяя звезда")
    status = await vera.sees_button("Отменить")
    await anna.presses("Проба", rows[0].id)
    question = await anna.sees_text("Какую часть попробовать")
    assert await _press_all(vera, status) == ["Остановлено."]
    assert len(await _press_all(boris, rows[1])) >= 10
    assert len(await _press_all(anna, question)) == 9
    assert await _press_all(zoya, zoya.message(long_drawing.id)) == ["Останавливаю…"]  # so it was drawn all the while
    for person in (anna, boris):
        await (await person.presses_data("v1ca:1")).answered()  # stop all: nobody waits for these
    await line.settled()

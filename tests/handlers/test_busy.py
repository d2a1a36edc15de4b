"""Every press is answered at once, however busy the workers are."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.person import Person
from sandbox.shown import Shown
from tests.line import Line

_SECONDS = 1.0


def _processes(parent: int) -> list[int]:
    """A process and all that it has started."""
    own = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [parent, *(each for child in own.split() for each in _processes(int(child)))]


@contextmanager
def held(line: Line) -> Iterator[None]:
    """The worker stands still in whatever it is doing."""
    process = line.children["worker"].process
    assert process is not None
    stopped = _processes(process.pid)
    for each in stopped:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in reversed(stopped):
            os.kill(each, signal.SIGCONT)


async def _press_all(person: Person, message: Shown) -> list[str]:
    """Press every button of a message twice; return what was answered, of each the first time."""
    said = []
    for row in message.buttons:
        for button in row:
            taps = [await person.presses_data(str(button["callback_data"]), message.id) for _ in range(2)]
            answers = [await tap.answered() for tap in taps]
            assert max(answer.seconds for answer in answers) < _SECONDS, button["text"]
            said.append(answers[0].text)
    return said


async def test_each_button_of_the_row_and_of_the_cards_is_answered_while_the_worker_is_held(
    line: Line, new_person: Callable[..., Person]
) -> None:
    anna, boris, vera = (new_person("ru") for _ in range(3))  # each with a chat of their own, and so a pace of their own
    for person in (anna, boris):
        await person.says("красная звезда на синем фоне --n 1")
    rows = [await person.sees_photo() for person in (anna, boris)]
    with held(line):
        await vera.says("синяя звезда")
        status = await vera.sees_button("Отменить")
        await anna.presses("Проба", rows[0].id)
        question = await anna.sees_text("Какую часть попробовать")
        assert len(await _press_all(boris, rows[1])) >= 10
        assert len(await _press_all(anna, question)) == 9
        assert await _press_all(vera, status) == ["Остановлено."]
    await line.settled()

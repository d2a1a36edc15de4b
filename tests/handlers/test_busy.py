"""Every press is answered at once, however busy the workers are."""

import os
import signal
from collections.abc import Iterator
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


async def test_each_button_of_the_row_and_of_the_cards_is_answered_while_the_worker_is_held(line: Line, boris: Person) -> None:
    await boris.says("красная звезда на синем фоне --n 1")
    result = await boris.sees_photo()
    with held(line):
        await boris.says("синяя звезда")
        status = await boris.sees_button("Отменить")
        assert len(await _press_all(boris, result)) >= 10
        await boris.presses("Проба", result.id)
        question = await boris.sees_text("Какую часть попробовать")
        await _press_all(boris, question)
        assert await _press_all(boris, status) == ["Остановлено."]
        await boris.says("/queue")
        queue = await boris.sees_text("Ваша очередь")
        await _press_all(boris, queue)
    await line.settled()

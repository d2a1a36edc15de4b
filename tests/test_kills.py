"""`kill -9` of any process at any moment: the picture arrives, once."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.person import Person
from tests.chaos.cluster import render_child_of
from tests.line import Line, new_line

SEED = random.SystemRandom().randrange(10**6)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    """Bot and worker as processes of their own, supervised as `up` does."""
    async with new_line(tmp_path_factory.mktemp("kills")) as line, line.children_running("run", "worker"):
        warm = line.sandbox.person("Warm", patience=90)
        await warm.says("a red circle")
        await warm.sees_photo()
        yield line


async def kill(line: Line, victim: str) -> None:
    import os

    child = line.children["worker" if victim != "bot" else "run"].process
    assert child is not None
    pid = render_child_of(child.pid) if victim == "render child" else child.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


@pytest.mark.long  # the chaos run in `make test` kills all of these
@pytest.mark.timeout(240)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("victim", ["render child", "worker", "bot"])
async def test_a_killed_process_loses_and_doubles_nothing(processes: Line, victim: str) -> None:
    chance = random.Random(f"{SEED}{victim}")
    anna: Person = processes.sandbox.person("Anna", patience=60)
    await anna.says("a blue star")
    first = await anna.sees_photo()
    pressed = anna.now
    tap = await anna.presses("With care")
    moment = chance.choice(["at the press", "waiting", "drawing", "late"])
    if moment == "waiting":
        await tap.answered()
    elif moment == "drawing":
        await anna.sees_text("Drawing")
    elif moment == "late":
        await anna.sees(lambda message: "/50" in message.text or (message.has_photo and message.id != first.id))
    await kill(processes, victim)
    # a bot that died between editing and noting it edits the first message once more: nobody sees a difference
    careful = await anna.sees(lambda message: message.has_photo and message.id != first.id, since=pressed)
    assert "with care" in careful.text, f"seed {SEED}, {moment}"
    await anna.says("/help")
    await anna.sees_text("How it works")
    pictures = [message.id for message in anna.chat if message.has_photo]
    assert len(pictures) == 2, f"seed {SEED}, {moment}:\n{anna.transcript()}"
    states = await processes.sql("SELECT DISTINCT state FROM job")
    assert states == [("delivered",)]
    unsettled = await processes.sql(
        "SELECT job_id FROM quota_ledger GROUP BY job_id HAVING sum(CASE entry WHEN 'reserve' THEN 1 ELSE -1 END) <> 0"
    )
    assert unsettled == []


@pytest.mark.long  # as above, with the real engine
@pytest.mark.timeout(240)
@pytest.mark.asyncio(loop_scope="module")
async def test_everything_killed_at_once_and_the_answers_lost_on_the_wire(processes: Line) -> None:
    anna: Person = processes.sandbox.person("Olga", patience=60)
    processes.sandbox.faults.drop_after_applying("editMessageMedia", times=2)
    processes.sandbox.faults.too_many_requests("sendMessage", times=1, retry_after=1)
    await anna.says("a green heart")
    await anna.sees_text()
    await asyncio.gather(*(kill(processes, victim) for victim in ("worker", "bot")))
    await anna.sees_photo()
    await anna.says("/help")
    await anna.sees_text("How it works")
    assert sum(message.has_photo for message in anna.chat) == 1

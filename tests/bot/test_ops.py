"""Health tells of progress, metrics of what was counted; neither ever stops the work."""

import asyncio
import json
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import pytest

from bot import metrics
from bot.ops import Ops
from bot.settings import OpsSettings


@pytest.fixture(autouse=True)
def no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops of other tests' applications are not this test's."""
    monkeypatch.setattr(metrics, "_loops", {})


class Process:
    """What a served process says of itself."""

    def __init__(self) -> None:
        self.ailments: list[str] = []
        self.error: Exception | None = None
        self.refreshed = 0
        settings = OpsSettings.model_construct(host="127.0.0.1", port=0)
        self.ops = Ops(settings, self._ailments, self._refresh)

    async def _ailments(self) -> list[str]:
        if self.error:
            raise self.error
        return self.ailments + metrics.stuck(30)

    async def _refresh(self) -> None:
        self.refreshed += 1
        if self.error:
            raise self.error

    async def get(self, path: str) -> tuple[int, str]:
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.port}{path}")


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    made = Process()
    made.port = made.ops.start(asyncio.get_running_loop())
    yield made
    await asyncio.to_thread(made.ops.stop)


async def test_a_process_that_moves_is_well(process: Process) -> None:
    metrics.moved("deliver")
    status, body = await process.get("/health")
    assert (status, json.loads(body)) == (200, {"ok": True, "why": []})


async def test_a_loop_that_stands_still_is_told(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.moved("deliver")
    metrics.moved("sweep")
    monkeypatch.setitem(metrics._loops, "deliver", metrics._loops["deliver"] - 31)
    status, body = await process.get("/health")
    assert status == 503
    assert json.loads(body)["why"] == ["deliver has not moved for 31 s"]


async def test_a_loop_that_is_no_longer_ours_is_not(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(metrics._loops, "deliver", -1000.0)
    metrics.ended("deliver")
    assert (await process.get("/health"))[0] == 200


async def test_what_cannot_be_asked_is_ill(process: Process) -> None:
    process.error = OSError("gone")
    status, body = await process.get("/health")
    assert status == 503
    assert "OSError" in body


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_a_loop_that_does_not_answer_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    from bot import ops

    monkeypatch.setattr(ops, "_ANSWER_S", -0.9)
    process, silent = Process(), asyncio.new_event_loop()  # nobody runs this loop
    process.port = process.ops.start(silent)
    status, body = await process.get("/health")
    await asyncio.to_thread(process.ops.stop)
    silent.close()
    assert status == 503
    assert "the loop does not answer" in body


async def test_metrics_are_brought_up_to_date_and_shown(process: Process) -> None:
    metrics.bell("kandinsky-nano.flash", "rung")
    metrics.waited("kandinsky-nano.flash", 1.5)
    status, body = await process.get("/metrics")
    assert status == 200
    assert process.refreshed == 1
    assert 'kandinsky_bells_total{end="rung",queue="kandinsky-nano.flash"}' in body
    assert 'kandinsky_job_waited_seconds_bucket{le="2.5",queue="kandinsky-nano.flash"}' in body


async def test_metrics_are_shown_without_sql_too(process: Process) -> None:
    process.error = OSError("gone")
    assert (await process.get("/metrics"))[0] == 200


async def test_there_is_nothing_else(process: Process) -> None:
    assert (await process.get("/admin"))[0] == 404


async def test_a_port_that_is_taken_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.ERROR):
        ops = Ops(OpsSettings(host="127.0.0.1", port=taken.getsockname()[1]), Process()._ailments)
        assert ops.start(asyncio.get_running_loop()) is None
    assert "OPS_PORT" in caplog.text

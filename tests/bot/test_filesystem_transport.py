"""The folder as a broker, through a real kombu connection."""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty

import pytest
from kombu.connection import Connection

from bot import filesystem_transport

QUEUE = "kandinsky-nano.flash"


def connect(folder: Path) -> Connection:
    filesystem_transport.register()
    options = {"data_folder_in": str(folder), "data_folder_out": str(folder), "polling_interval": 0.01}
    return Connection("filesystem://", transport_options=options)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with connect(tmp_path) as opened:
        yield opened


def _put(connection: Connection, queue: str, *payloads: object) -> None:
    with connection.SimpleQueue(queue) as simple:
        for payload in payloads:
            simple.put(payload)


def _take_all(connection: Connection, queue: str) -> list[object]:
    taken: list[object] = []
    with connection.SimpleQueue(queue) as simple:
        while True:
            try:
                message = simple.get_nowait()
            except Empty:
                return taken
            message.ack()
            taken.append(message.payload)


def test_messages_come_out_in_the_order_they_went_in(connection: Connection) -> None:
    _put(connection, QUEUE, *range(50))
    assert _take_all(connection, QUEUE) == list(range(50))


def test_each_queue_gets_its_own_messages(connection: Connection) -> None:
    queues = [QUEUE, "kandinsky-nano.base", "flash", "nano.flash"]  # one name ends as another does
    for queue in queues:
        _put(connection, queue, queue)
    for queue in reversed(queues):
        assert _take_all(connection, queue) == [queue]


def test_nothing_is_left_behind(connection: Connection, tmp_path: Path) -> None:
    _put(connection, QUEUE, *range(10))
    _take_all(connection, QUEUE)
    assert os.listdir(tmp_path) == []


def test_an_empty_queue_is_empty(connection: Connection) -> None:
    assert _take_all(connection, QUEUE) == []


def test_a_message_is_seen_whole_or_not_at_all(connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace
    seen_before = []

    def look_then_replace(source: str, target: str) -> None:
        seen_before.append(_take_all(connection, QUEUE))
        assert Path(source).stat().st_size > 0
        replace(source, target)

    monkeypatch.setattr(os, "replace", look_then_replace)
    _put(connection, QUEUE, "whole")
    assert seen_before == [[]]
    assert _take_all(connection, QUEUE) == ["whole"]


def test_an_unacknowledged_message_comes_again_after_the_consumer_left(tmp_path: Path) -> None:
    with connect(tmp_path) as connection:
        _put(connection, QUEUE, "again")
        with connection.SimpleQueue(QUEUE) as simple:
            assert simple.get_nowait().payload == "again"
    with connect(tmp_path) as connection:
        assert _take_all(connection, QUEUE) == ["again"]


def test_a_queue_can_be_measured_and_emptied(connection: Connection) -> None:
    _put(connection, QUEUE, 1, 2, 3)
    with connection.SimpleQueue(QUEUE) as simple:
        assert simple.qsize() == 3
        assert simple.clear() == 3
    assert _take_all(connection, QUEUE) == []


def test_another_connection_gets_what_was_put_before_it_came(connection: Connection, tmp_path: Path) -> None:
    _put(connection, QUEUE, "early")
    with connect(tmp_path) as other:
        assert _take_all(other, QUEUE) == ["early"]


def consume(folder: Path, start: Event, results: "multiprocessing.Queue[list[object]]") -> None:
    """What one of several worker processes does."""
    with connect(folder) as connection:
        start.wait(30)
        results.put(_take_all(connection, QUEUE))


def test_consumers_in_two_processes_never_get_the_same_message(connection: Connection, tmp_path: Path) -> None:
    _put(connection, QUEUE, *range(200))
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    processes = [context.Process(target=consume, args=(tmp_path, start, results)) for _ in range(2)]
    for process in processes:
        process.start()
    start.set()
    taken = [payload for _ in processes for payload in results.get(timeout=30)]
    for process in processes:
        process.join(10)
    assert sorted(taken) == list(range(200))
    assert os.listdir(tmp_path) == []

"""The bell on a real RabbitMQ: what was rung is kept, and a broker that dies or hangs holds up nobody for long."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from bot.broker import make_celery
from bot.settings import StorageSettings
from tests.servers import Rabbit, running

QUEUE = "kandinsky-nano.flash"


@pytest.fixture
def own_rabbit() -> Iterator[Rabbit]:
    """One that this test may kill."""
    with running(Rabbit) as server:
        yield server


@pytest.fixture
def app(own_rabbit: Rabbit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    monkeypatch.setattr("bot.broker._SILENCE_S", 1)
    made = make_celery(StorageSettings(data_dir=tmp_path, database_url=None, broker_url=own_rabbit.url, media_url=None))
    yield made
    made.close()


def _ring(app: Celery) -> BaseException | None:
    """Ring as the bell does; return what was raised. A ring that hangs fails the test."""
    ended: list[BaseException | None] = []

    def ring() -> None:
        try:
            app.send_task("render", queue=QUEUE, retry=False, ignore_result=True)
            ended.append(None)
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=ring, daemon=True)
    thread.start()
    thread.join(15)
    assert ended, "a ring hangs"
    return ended[0]


def _waiting(app: Celery) -> int:
    with app.connection_for_read() as connection:
        return int(connection.default_channel.queue_declare(QUEUE, passive=True).message_count)


def test_what_was_rung_is_kept_and_a_dead_broker_is_an_error_that_passes(own_rabbit: Rabbit, app: Celery) -> None:
    rung = [_ring(app), _ring(app)]
    own_rabbit.kill()
    assert isinstance(_ring(app), OperationalError)
    own_rabbit.start()
    rung += [_ring(app) for _ in range(3)]
    assert _waiting(app) == rung.count(None) >= 4


def test_a_broker_that_hangs_holds_up_nobody_for_long(own_rabbit: Rabbit, app: Celery) -> None:
    assert _ring(app) is None
    assert own_rabbit.process is not None
    os.killpg(own_rabbit.process.pid, signal.SIGSTOP)
    try:
        assert isinstance(_ring(app), OperationalError)
    finally:
        os.killpg(own_rabbit.process.pid, signal.SIGCONT)
    assert None in [_ring(app) for _ in range(3)]

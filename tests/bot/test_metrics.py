"""What is counted, and that counting never harms the counted."""

import logging

import pytest
from prometheus_client import generate_latest

from bot import metrics
from bot.broker import Bell, make_celery
from bot.jobs import Jobs, claim
from bot.settings import JobSettings, StorageSettings
from bot.telegram import Fate, attempt
from storage.domain import JobState
from storage.repositories.stats import InboxLoad, QueueLoad, WorkerSeen
from tests.bot.wishes import FLASH, REQUEST, Wishes
from tests.storage.made import FAMILY, LANES, Store


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"kandinsky_{name}", labels) or 0.0


class Counted:
    """How much a figure has grown since."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = value(name, **labels)

    @property
    def more(self) -> float:
        return value(self._name, **self._labels) - self._before


async def test_a_job_is_counted_on_its_way(jobs: Jobs, store: Store, wishes: Wishes, settings: JobSettings) -> None:
    queued, running = Counted("jobs_total", state="queued", why="accepted"), Counted("jobs_total", state="running", why="")
    waited = Counted("job_waited_seconds_count", queue=FLASH)
    await jobs.submit(await wishes.message(await store.user()), REQUEST)
    assert await claim(store.database, settings, "w1", FAMILY, LANES) is not None
    assert await claim(store.database, settings, "w1", FAMILY, LANES) is None
    assert (queued.more, running.more, waited.more) == (1, 1, 1)


async def test_what_the_sweep_does_is_counted(jobs: Jobs, store: Store) -> None:
    overdue, failed = Counted("sweep_actions_total", action="overdue"), Counted("jobs_total", state="failed", why="deadline")
    job = await store.job(await store.user(), deadline_s=-1.0)
    await jobs.sweep()
    assert (await store.get(job)).state == JobState.FAILED
    assert (overdue.more, failed.more) == (1, 1)


async def test_bells_are_counted_rung_or_not(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    rung, failed = Counted("bells_total", queue=FLASH, end="rung"), Counted("bells_total", queue=FLASH, end="failed")
    bell = Bell(make_celery(StorageSettings(data_dir=tmp_path, database_url=None, broker_url=None, media_url=None)))
    await bell.ring(FLASH, 3)
    monkeypatch.setattr(bell, "_publish", lambda queue: 1 / 0)
    await bell.ring(FLASH)
    bell.close()
    assert (rung.more, failed.more) == (3, 1)


async def test_calls_to_telegram_are_counted_by_what_became_of_them() -> None:
    done = Counted("deliveries_total", call="send_photo", fate="done")

    async def _send_photo() -> int:
        return 1

    assert (await attempt(_send_photo())).fate == Fate.DONE
    assert done.more == 1


def test_what_sql_says_is_shown_and_what_is_gone_goes() -> None:
    seen = [WorkerSeen("w", FAMILY, LANES, "cpu", "idle", 0.1)] * 2
    metrics.in_sql([QueueLoad(FLASH, 4, 1, 12.5)], seen, InboxLoad(3, 9.0, 1))
    assert (value("queue_jobs", queue=FLASH), value("queue_oldest_seconds", queue=FLASH)) == (4, 12.5)
    assert value("workers", family=FAMILY, state="idle") == 2
    assert (value("inbox_updates", state="waiting"), value("inbox_updates", state="poison")) == (3, 1)
    metrics.in_sql([], [], InboxLoad(0, 0.0, 0))
    assert metrics.REGISTRY.get_sample_value("kandinsky_queue_jobs", {"queue": FLASH}) is None


def test_a_broken_metric_harms_nobody(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(metrics, "_bells", None)
    with caplog.at_level(logging.WARNING):
        metrics.bell(FLASH, "rung")
    assert "metric bell" in caplog.text


def test_every_figure_is_named_after_the_bot_and_described() -> None:
    lines = generate_latest(metrics.REGISTRY).decode().splitlines()
    names = {line.split()[2] for line in lines if line.startswith("# HELP")}
    assert all(name.startswith("kandinsky_") for name in names)
    assert all(len(line.split()) > 3 for line in lines if line.startswith("# HELP"))

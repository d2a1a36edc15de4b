"""The table that an operator reads."""

import re
from pathlib import Path

import pytest

from bot.cli import main
from bot.stats import gather, render
from storage.domain import JobState, WorkerState
from storage.repositories.reports import ReportRepository
from storage.repositories.workers import WorkerRepository
from tests.storage.made import BOT, FAMILY, LANES, Store


async def test_the_table_shows_what_goes_on(store: Store) -> None:
    user = await store.user()
    for _ in range(3):
        await store.job(user)
    await store.rendered(await store.claimed())
    failed = await store.job(user)
    await store.finish(failed, JobState.FAILED, refund=True)
    await store.update(1, 10)
    async with store.database.begin() as session:
        await ReportRepository(session).add(user.id, failed.id, 0, "unsafe")
    async with store.database.begin() as session:
        await WorkerRepository(session).seen("host:1", FAMILY, LANES, "cuda:0", WorkerState.DRAWING)
    table = render(await gather(store.database))
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert "queued 2" in lines
    assert "rendered 1" in lines
    assert "failed 1" in lines
    assert "People in the last 24 hours: 1" in lines
    assert any(line.startswith(f"{FAMILY}.flash 2 0") for line in lines)
    assert any(line.startswith(f"{FAMILY} flash,base cuda:0 drawing") for line in lines)
    assert any(line.startswith(f"{FAMILY}.flash 1") for line in lines)
    assert "unsafe 1 1" in lines
    assert any(re.fullmatch(rf"unsafe \S+ s {failed.public_id} all deleted", line) for line in lines)
    assert any(line.startswith(f"{BOT} 1 ") for line in lines)


async def test_an_empty_database_is_a_table_too(store: Store) -> None:
    assert "Queues: none" in render(await gather(store.database))


def test_the_command_prints_it(migrated_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{migrated_file}")
    assert main(["stats"]) == 0
    assert "Jobs of the last 24 hours" in capsys.readouterr().out

"""What a worker's parent settles: whose fault an unfinished job is."""

from pathlib import Path
from typing import Literal

import pytest

from bot import tasks
from bot.settings import StorageSettings, process_name
from storage.domain import JobState
from tests.storage.made import Store


@pytest.mark.parametrize(("lost", "crashes"), [("crashed", 1), ("stopped", 0)])
async def test_only_a_crash_is_counted_against_the_job_in_hand(
    store: Store,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: Literal["crashed", "stopped"],
    crashes: int,
) -> None:
    monkeypatch.setattr(tasks, "storage", StorageSettings(data_dir=tmp_path, database_url=database_url))
    job = await store.job(await store.user())
    await store.claimed(process_name())
    await tasks._in_parent(lost=lost, gone=True)
    now = await store.get(job)
    assert (now.state, now.crash_count) == (JobState.QUEUED, crashes)

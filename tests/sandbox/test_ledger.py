"""The outside observer's book."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from sandbox.ledger import Ledger


def filled(ledger: Ledger, count: int) -> Ledger:
    for n in range(count):
        ledger.accept("sendMessage" if n % 2 else "sendPhoto", {"chat_id": str(n % 3), "n": n}, n, answered=True)
    return ledger


def test_calls_are_found_by_method_and_chat_in_order() -> None:
    ledger = filled(Ledger(), 12)
    assert [call.number for call in ledger.of("sendMessage")] == [1, 3, 5, 7, 9, 11]
    assert [call.number for call in ledger.of("sendPhoto", "sendMessage")] == list(range(12))
    assert [call.number for call in ledger.of("sendPhoto", "sendMessage", chat_id=1)] == [1, 4, 7, 10]
    assert ledger.of("getMe") == []
    assert (ledger.count(), ledger.count("sendPhoto"), ledger.counts()["sendMessage"]) == (12, 6, 6)


async def test_every_line_is_on_the_disk_before_the_answer_and_calls_share_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (syncs.append(descriptor), fsync(descriptor)))
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, fsync=True)

    async def one(n: int) -> None:
        ledger.accept("sendMessage", {"n": n}, n, answered=True)
        await ledger.settle()
        assert ledger._synced > n

    await asyncio.gather(*(one(n) for n in range(100)))
    assert 1 <= len(syncs) <= 3
    ledger.close()
    assert [json.loads(line)["params"]["n"] for line in path.read_text().splitlines()] == list(range(100))


async def test_a_second_run_appends(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        ledger = filled(Ledger(path), 2)
        await ledger.settle()
        ledger.close()
    assert len(path.read_text().splitlines()) == 4

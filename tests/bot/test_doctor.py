"""The doctor: a line for each part, what is wrong and what to mend, and no secret in it."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot import doctor
from bot.cli import main
from bot.doctor import Doctor, Finding
from sandbox import methods
from sandbox.server import Sandbox
from storage.database import Database
from tests.bot.conftest import TOKEN
from tests.storage.made import Store

Examine = Callable[[Mapping[str, str]], Any]


@pytest.fixture
def examine(
    box: Sandbox, migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored_logging: None
) -> Examine:
    """Let the doctor look at settings that are right but for what the test says; findings by name."""
    shutil.copyfile(migrated_file, tmp_path / "kandinsky.db")

    async def examine(wrong: Mapping[str, str]) -> dict[str, Finding]:
        right = {"TELEGRAM_TOKEN": TOKEN, "TELEGRAM_API": box.url, "DATA_DIR": str(tmp_path)}
        for name, value in (right | dict(wrong)).items():
            monkeypatch.setenv(name, value)
        findings = await Doctor().examine()
        for finding in findings:
            assert len(str(finding).splitlines()) == 1
            assert "canary" not in str(finding)
            assert TOKEN.partition(":")[2] not in str(finding)
        return {finding.what: finding for finding in findings}

    return examine


async def test_where_all_is_well_every_line_says_ok(examine: Examine, tmp_path: Path) -> None:
    found = await examine({})
    assert [str(finding) for finding in found.values() if not finding.ok] == []
    assert "@kandinsky_bot" in found["token"].said
    assert "writable, at revision" in found["database"].said
    assert found["reports"].said == "0 pictures were reported in 24 hours, 0 ever"
    assert not list((tmp_path / "pictures").rglob("*.probe"))
    assert not list((tmp_path / "bells").iterdir())


WRONG = {  # what is set, which finding says so, and how
    "no token": ({"TELEGRAM_TOKEN": ""}, "token", "TELEGRAM_TOKEN: not set"),
    "wrong token": ({"TELEGRAM_TOKEN": "42424242:canary-canary"}, "token", "does not know this token"),
    "malformed token": ({"TELEGRAM_TOKEN": "canary"}, "settings", "TELEGRAM_TOKEN: must look like"),
    "no Telegram": ({"TELEGRAM_API": "http://127.0.0.1:1"}, "token", "TELEGRAM_API: http://127.0.0.1:1 does not answer"),
    "no PostgreSQL": ({"DATABASE_URL": "postgresql://me:canary@127.0.0.1:1/k"}, "database", "Is the server running"),
    "no SQLite": ({"DATABASE_URL": "sqlite:////dev/null/k.db"}, "database", "DATABASE_URL: the database cannot be opened"),
    "no schema": ({"DATABASE_URL": "sqlite:///empty.db"}, "database", "kandinsky-bot migrate"),
    "no Redis": ({"BROKER_URL": "redis://:canary@127.0.0.1:1/0"}, "broker", "BROKER_URL: redis does not answer"),
    "no RabbitMQ": ({"BROKER_URL": "amqp://me:canary@127.0.0.1:1//"}, "broker", "BROKER_URL: amqp does not answer"),
    "no store": ({"MEDIA_URL": "/dev/null/pictures"}, "pictures", "MEDIA_URL: pictures cannot be stored"),
    "strange store": ({"MEDIA_URL": "nonsense://me:canary@x"}, "pictures", "MEDIA_URL"),
    "no weights": ({"DRAW_FAMILY": "kandinsky-3.1"}, "weights", "DRAW_FAMILY: the weights of kandinsky-3.1 are not here"),
    "unknown family": ({"DRAW_FAMILY": "kandinsky-9"}, "weights", "DRAW_FAMILY: There is no family"),
    "unknown worker": ({"WORKER_FAMILY": "kandinsky-9"}, "memory", "WORKER_FAMILY"),
    "unknown plan": ({"WORKER_MEMORY": "tiny"}, "memory", "WORKER_MEMORY"),
    "no such GPU": ({"WORKER_DEVICE": "cuda:99"}, "memory", "WORKER_DEVICE: cuda:99, but torch sees"),
    "two settings": ({"JOB_LEASE_S": "soon", "WEB_PORT": "http"}, "settings", "WEB_PORT"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_named_with_what_to_mend(examine: Examine, name: str) -> None:
    wrong, what, said = WRONG[name]
    found = await examine(wrong)
    assert found[what].ok is False
    assert said in str(found[what])


async def test_what_hangs_on_something_broken_is_not_blamed(examine: Examine) -> None:
    found = await examine({"DATABASE_URL": "sqlite:////dev/null/k.db", "TELEGRAM_TOKEN": "canary"})
    assert [found[what].ok for what in ("clock", "bots", "workers", "webhook")] == [None] * 4
    assert found["broker"].ok


async def test_clocks_that_differ_are_told(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage.repositories.stats import StatsRepository

    async def tomorrow(self: object) -> float:
        return 86400.0

    monkeypatch.setattr(StatsRepository, "clock", tomorrow)
    assert "NTP" in (await examine({}))["clock"].said


async def test_a_full_disk_is_told(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LEAST_DISK", 1e9)
    assert (await examine({}))["disk"].ok is False


async def test_the_bots_of_one_database_are_named(examine: Examine, tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'kandinsky.db'}")
    await Store(database).user()
    await Store(database).user(bot_id=7)
    await database.close()
    assert (await examine({}))["bots"].said.endswith("7 with 1, 42424242 (this one) with 1")


HOOK = {"WEBHOOK_URL": "https://example.org/x", "WEBHOOK_SECRET": "canary-" + "x" * 32}


@pytest.mark.parametrize(
    ("settings", "info", "ok", "said"),
    [
        (HOOK, {"url": "https://example.org/x"}, True, "https://example.org/x; 3 updates wait"),
        (HOOK, {"url": ""}, True, "not set yet"),
        (HOOK, {"url": "https://other.org/canary"}, False, "another address (at other.org)"),
        (HOOK, {"url": "https://example.org/x", "last_error_date": "now", "last_error_message": "404"}, False, "404"),
        (HOOK, {"url": "https://example.org/x", "last_error_date": 1, "last_error_message": "404"}, True, "updates wait"),
        ({}, {"url": "https://other.org/canary"}, True, "removes the webhook at other.org"),
    ],
)
async def test_the_webhook_is_compared_with_what_telegram_has(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], info: dict[str, Any], ok: bool, said: str
) -> None:
    import time

    info = info | ({"last_error_date": int(time.time())} if info.get("last_error_date") == "now" else {})
    answer = {"has_custom_certificate": False, "pending_update_count": 3} | info
    monkeypatch.setitem(methods.METHODS, "getWebhookInfo", lambda world, params: answer)
    found = (await examine(settings))["webhook"]
    assert found.ok is ok
    assert said in found.said


async def test_a_check_that_hangs_is_a_finding(examine: Examine, monkeypatch: pytest.MonkeyPatch, box: Sandbox) -> None:
    monkeypatch.setattr(doctor, "_LIMIT_S", 0.2)
    box.faults.hang("getMe")
    assert "no answer within" in (await examine({}))["token"].said


def test_the_command_ends_with_1_where_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "WRONG  token" in out
    assert out.splitlines()[-1].endswith("to mend.")


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (7.5, "plan 8gb"),
        (23.6, "plan 24gb"),
        (139.0, "plan 80gb"),
        (3.0, "WORKER_DEVICE: cuda:0 (toy): kandinsky-3.1 needs 7 GB"),
    ],
)
async def test_the_plan_follows_what_a_gpu_has_free(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, free: float, said: str
) -> None:
    monkeypatch.setattr(doctor, "_device_memory", lambda device: (f"{device} (toy)", free))
    found = await examine({"WORKER_FAMILY": "kandinsky-3.1", "WORKER_DEVICE": "cuda:0"})
    assert said in str(found["memory"])


async def test_a_plan_larger_than_what_is_free_is_refused(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_device_memory", lambda device: (device, 12.0))
    wanted = {"WORKER_FAMILY": "kandinsky-3.1", "WORKER_DEVICE": "cuda:0", "WORKER_MEMORY": "24gb"}
    found = await examine(wanted)
    assert found["memory"].ok is False
    assert "choose a smaller family or plan" in str(found["memory"])

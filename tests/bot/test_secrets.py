"""Whole processes with canaries in every secret setting, in every trouble: none of their output shows one."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.servers import free_port

ROOT = Path(__file__).parent.parent.parent
CANARIES = {
    "TELEGRAM_TOKEN": "123456789:AAH-canary_canary_canary_canary_c",
    "TELEGRAM_API": "http://127.0.0.1:1",
    "WEBHOOK_URL": "https://example.org/canary-path",
    "WEBHOOK_SECRET": "canary-" + "x" * 40,
    "BROKER_URL": "redis://:canary-broker@127.0.0.1:1/0",
    "AWS_ACCESS_KEY_ID": "canary-key",
    "AWS_SECRET_ACCESS_KEY": "canary-s3",
}
GONE = {"DATABASE_URL": "postgresql://canary-user:canary-password@127.0.0.1:1/k"}


def _environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return {**kept, "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder), **CANARIES, **more}


def _says(arguments: list[str], environment: Mapping[str, str], until: str | None = None) -> tuple[int, str]:
    """Run a command; with `until`, stop it in order once it has said that. Returns exit code and all its output."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "bot.cli", *arguments],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if until is not None and until in line:
                process.send_signal(signal.SIGTERM)
                until = None
        return process.wait(), "".join(said)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _clean(output: str) -> None:
    assert output
    assert [line for line in output.splitlines() if "canary" in line.replace("canary-user", "").replace("canary-path", "")] == []


@pytest.mark.parametrize(
    "command", ["migrate", *(pytest.param(name, marks=pytest.mark.long) for name in ("run", "worker", "stats"))]
)
def test_a_database_out_of_reach_is_one_line_without_a_secret(tmp_path: Path, command: str) -> None:
    code, said = _says([command], _environment(tmp_path, GONE))
    assert code == 2
    assert len(said.splitlines()) == 1
    assert "DATABASE_URL" in said
    _clean(said)


def test_the_doctor_shows_none(tmp_path: Path) -> None:
    code, said = _says(["doctor"], _environment(tmp_path, GONE))
    assert code == 1
    _clean(said)


@pytest.mark.parametrize("form", [pytest.param("text", marks=pytest.mark.long), "json"])
def test_a_bot_out_of_reach_of_telegram_and_broker_shows_none(tmp_path: Path, migrated_file: Path, form: str) -> None:
    database = tmp_path / "kandinsky.db"
    database.write_bytes(migrated_file.read_bytes())
    more = {"LOG_FORMAT": form, "WEB_PORT": str(free_port())}
    code, said = _says(["run"], _environment(tmp_path, more), until="WEBHOOK_URL: Telegram does not answer")
    assert code == 0
    _clean(said)


@pytest.mark.long
@pytest.mark.timeout(200)
def test_a_worker_out_of_reach_of_the_broker_shows_none(tmp_path: Path, migrated_file: Path) -> None:
    (tmp_path / "kandinsky.db").write_bytes(migrated_file.read_bytes())
    _, said = _says(["worker"], _environment(tmp_path, {}), until="Cannot connect to")
    assert "Cannot connect to" in said
    _clean(said)

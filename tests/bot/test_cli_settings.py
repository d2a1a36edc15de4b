"""Each setting, missing or malformed, through the command line: one line that names it, exit code 2, no traceback."""

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bot.cli import main
from bot.settings import EVERY, LimitSettings, setting_name
from tests.servers import free_port

pytestmark = pytest.mark.usefixtures("restored_logging")

TOKEN = "123456:canary-that-opens-nothing"
SECRET = "canary-" + "x" * 32
Run = Callable[..., str]


@pytest.fixture
def migrated(migrated_file: Path, tmp_path: Path) -> Path:
    shutil.copyfile(migrated_file, tmp_path / "kandinsky.db")
    return tmp_path


@pytest.fixture
def run(migrated: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command that must end with exit code 2; return the one line it says."""

    def run(command: str, environment: Mapping[str, str], *arguments: str) -> str:
        known = {"DATA_DIR": str(migrated), "TELEGRAM_TOKEN": TOKEN, "TELEGRAM_API": "http://127.0.0.1:1"}
        for name, value in (known | dict(environment)).items():
            monkeypatch.setenv(name, value)
        assert main([command, *arguments]) == 2
        out, err = capfd.readouterr()
        lines = [line for line in err.splitlines() if " WARNING " not in line]
        assert len(lines) == 1, err
        assert out == ""
        assert "Traceback" not in err
        assert "canary" not in err
        return lines[0].removeprefix("kandinsky-bot: ")

    return run


HOOK = {"WEBHOOK_URL": "https://example.org/x", "WEBHOOK_SECRET": SECRET}

WRONG: dict[str, list[tuple[str, Mapping[str, str]]]] = {  # setting -> commands, and what is wrong with it
    "TELEGRAM_TOKEN": [
        ("run", {"TELEGRAM_TOKEN": "canary"}),
        ("run", {"TELEGRAM_TOKEN": ""}),
        ("up", {"TELEGRAM_TOKEN": "12:canary canary"}),
        ("up", {"TELEGRAM_TOKEN": ""}),
    ],
    "TELEGRAM_API": [("run", {"TELEGRAM_API": value}) for value in ("api.telegram.org", "ftp://x", "http://", "https://x:port")],
    "WEBHOOK_URL": [
        ("run", {**HOOK, "WEBHOOK_URL": value}) for value in ("example.org", "http://example.org/x", "https://", "https://x:y/z")
    ],
    "WEBHOOK_SECRET": [
        ("run", {**HOOK, "WEBHOOK_SECRET": value}) for value in ("", "canary", "canary" * 5 + "!?", "canary-" + "x" * 250)
    ]
    + [("up", {"WEBHOOK_URL": "https://example.org/x"})],
    "MINI_APP_URL": [
        (command, {"MINI_APP_URL": value})
        for command in ("run", "up")
        for value in ("example.org", "http://example.org/x", "https://x/?a=1")
    ],
    "MINI_APP_SCRIPT": [("run", {"MINI_APP_SCRIPT": value}) for value in ("x.js", "http://example.org/x.js", "https://x.org/;")],
    "WEB_HOST": [("run", {**HOOK, "WEB_HOST": "not a host"}), ("run", {**HOOK, "WEB_HOST": "a..b"})],
    "WEB_PORT": [("run", {**HOOK, "WEB_PORT": value}) for value in ("0", "65536", "http")],
    "OPS_HOST": [("run", {"OPS_HOST": "not a host"}), ("worker", {"OPS_HOST": "not a host"})],
    "OPS_PORT": [(command, {"OPS_PORT": value}) for command in ("run", "worker") for value in ("0", "65536", "many")],
    "LOG_FORMAT": [("run", {"LOG_FORMAT": "xml"}), ("worker", {"LOG_FORMAT": "xml"})],
    "DATA_DIR": [("migrate", {"DATA_DIR": "/dev/null/folder"}), ("run", {"DATA_DIR": "/dev/null"})],
    "DATABASE_URL": [
        (command, {"DATABASE_URL": value})
        for command in ("run", "worker", "migrate", "stats")
        for value in (
            "canary",
            "mysql://me:canary@db/k",
            "postgresql://me:canary@db:port/k",
            "postgresql://me:canary@127.0.0.1:1/k",
            "sqlite:////dev/null/k.db",
        )
    ],
    "BROKER_URL": [
        (command, {"BROKER_URL": value})
        for command in ("run", "worker")
        for value in ("canary", "sqs://me:canary@x", "redis://:canary@x:port", "memory://")
    ],
    "MEDIA_URL": [(command, {"MEDIA_URL": "nonsense://me:canary@x"}) for command in ("run", "worker")],
    **{
        setting_name(kind, name): [
            (command, {setting_name(kind, name): value}) for command, value in (("run", "soon"), ("worker", "-1"))
        ]
        for kind in EVERY
        if kind.__name__ == "JobSettings"
        for name in kind.model_fields
    },
    **{
        f"LIMIT_{name.upper()}": [("run", {f"LIMIT_{name.upper()}": value}) for value in ("soon", "0")]
        for name in LimitSettings.model_fields
    },
    "PRIVACY_GRACE_S": [("run", {"PRIVACY_GRACE_S": value}) for value in ("soon", "-1", "inf")],
    "PRIVACY_PART_MB": [("run", {"PRIVACY_PART_MB": value}) for value in ("0", "2001")],
    "PRIVACY_CONTACT": [("run", {"PRIVACY_CONTACT": "x" * 201})],
    "DRAW_FAMILY": [("run", {"DRAW_FAMILY": "kandinsky-9"})],
    "DRAW_LANES": [("run", {"DRAW_LANES": value}) for value in ("base,turbo", "flash;base", "base")],
    "DRAW_BEAUTIFY": [("run", {"DRAW_BEAUTIFY": "sometimes"})],
    "WORKER_FAMILY": [("worker", {"WORKER_FAMILY": "kandinsky-9"}), ("worker", {"WORKER_FAMILY": "kandinsky-3.1"})],
    "WORKER_LANES": [("worker", {"WORKER_LANES": "flash,dream"}), ("worker", {"WORKER_LANES": ","})],
    "WORKER_DEVICE": [("worker", {"WORKER_DEVICE": value}) for value in ("gpu", "cuda:one")],
    "WORKER_MEMORY": [("worker", {"WORKER_MEMORY": "tiny"})],
    "WORKER_LORAS": [("worker", {"WORKER_LORAS": "none.safetensors:0.5"})],
    "WORKER_JUDGE": [("worker", {"WORKER_JUDGE": value}) for value in ("engine", ":judge", "no_such_package:judge", "a b:c")],
    "WORKER_RECIPE": [("worker", {"WORKER_RECIPE": "perhaps"})],
}
CASES = [(name, command, environment) for name, cases in WRONG.items() for command, environment in cases]


def test_no_setting_is_left_out() -> None:
    assert set(WRONG) == {setting_name(kind, name) for kind in EVERY for name in kind.model_fields}


@pytest.mark.parametrize(("name", "command", "environment"), CASES, ids=[f"{c[1]}-{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_a_wrong_setting_is_one_line(run: Run, name: str, command: str, environment: Mapping[str, str]) -> None:
    said = run(command, environment)
    assert name in said.partition(": ")[0]


def test_two_settings_that_do_not_fit_are_named(run: Run) -> None:
    assert "JOB_LEASE_S" in run("run", {"JOB_LEASE_S": "5", "JOB_RENEW_S": "4"})


@pytest.mark.parametrize(("option", "value"), [("family", "kandinsky-9"), ("lanes", "dream"), ("device", "gpu")])
def test_an_option_goes_before_its_setting(run: Run, option: str, value: str) -> None:
    assert f"WORKER_{option.upper()}" in run("worker", {"WORKER_FAMILY": "kandinsky-nano"}, f"--{option}", value)


def test_an_object_store_without_its_part_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    from fsspec.registry import _registry

    monkeypatch.delitem(_registry, "s3", raising=False)
    for command in ("run", "worker"):
        assert run(command, {"MEDIA_URL": "s3://bucket/pictures"}).startswith("MEDIA_URL: ")


def test_a_file_of_settings_that_is_no_text_is_one_line(run: Run) -> None:
    Path(".env").write_bytes(b"TELEGRAM_TOKEN=\xff\xfe")
    assert run("run", {}).startswith(".env: ")


def test_an_old_schema_names_the_next_step(run: Run) -> None:
    folder = Path("empty")
    folder.mkdir()
    for command in ("run", "worker", "stats"):
        assert run(command, {"DATA_DIR": str(folder)}).endswith("Run: kandinsky-bot migrate")


@pytest.fixture
def refusing_telegram() -> Iterator[str]:
    """A Telegram that knows no token."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"ok": False, "error_code": 401, "description": "Unauthorized"}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("webhook", [{}, HOOK], ids=["polling", "webhook"])
def test_a_wrong_token_is_one_line(run: Run, refusing_telegram: str, webhook: Mapping[str, str]) -> None:
    said = run("run", {"TELEGRAM_API": refusing_telegram, "WEB_PORT": str(free_port()), **webhook})
    assert said.startswith("TELEGRAM_TOKEN: ")
    assert "@BotFather" in said

"""No secret ever reaches a log, and every line says what it is about."""

import asyncio
import gc
import io
import json
import logging
import sys
import threading
import warnings
from urllib.parse import quote

import pytest
from aiogram import Bot

from bot.logs import RedactingFormatter, hide, log_about, logging_about, redact, set_up_logs
from tests.bot.conftest import TOKEN

CANARY = "123456789:AAH-canary_canary_canary_canary_c"


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        f"https://api.telegram.org/bot{CANARY}/getMe",
        f"https://api.telegram.org/file/bot{CANARY}/photos/1.jpg",
        f"https://api.telegram.org/bot{CANARY.replace(':', '%3A')}/getMe",
        f"two: {CANARY} and {CANARY}.",
    ],
)
def test_a_token_is_replaced_wherever_it_stands(text: str) -> None:
    assert "canary" not in redact(text)
    assert "<token>" in redact(text)


@pytest.mark.parametrize("text", ["12:30:45 started", "job 123456: done", "sqlite+aiosqlite:////tmp/kandinsky.db", "é: ∞"])
def test_other_text_stays(text: str) -> None:
    assert redact(text) == text


def _format(record: logging.LogRecord) -> str:
    return RedactingFormatter("%(levelname)s %(message)s").format(record)


def test_a_token_among_the_values_is_replaced() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "calling %s", (f"/bot{CANARY}/getMe",), None)
    assert _format(record) == "INFO calling /bot<token>/getMe"


def test_a_token_in_a_traceback_is_replaced() -> None:
    try:
        try:
            raise OSError(f"/bot{CANARY}/getMe")
        except OSError as error:
            raise RuntimeError(f"no answer from {CANARY}") from error
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    assert "canary" not in _format(record)
    assert "RuntimeError: no answer from <token>" in _format(record)


async def test_a_download_that_fails_does_not_tell_the_token(bot: Bot) -> None:
    """aiohttp puts the address into the exception, and the address has the token."""
    try:
        await bot.download_file("photos/none.jpg")
    except Exception:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    secret = TOKEN.partition(":")[2]
    assert secret in logging.Formatter().format(record)
    assert secret not in _format(record)


@pytest.mark.usefixtures("restored_logging")
def test_logs_go_to_standard_error_marked_with_their_role(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("bot")
    logging.getLogger("bot.app").info("hello %s", CANARY)
    out, err = capsys.readouterr()
    assert out == ""
    assert "bot INFO bot.app: hello <token>" in err
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("restored_logging")
def test_what_stops_a_process_is_logged_without_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("bot")
    error = RuntimeError(f"no answer from {CANARY}")
    sys.excepthook(type(error), error, None)
    err = capsys.readouterr().err
    assert "stopped by RuntimeError" in err
    assert "canary" not in err


SECRETS = ('s3cret canary/ü"\\', "another-canary", "p@canary")


class Lines:
    """What a process whose settings hold secrets has logged; no line may show one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch, self._err = monkeypatch, io.StringIO()

    def begin(self) -> None:
        """Set the logs up; not in a fixture, since pytest then changes standard error once more."""
        self._patch.setattr(sys, "stderr", self._err)
        set_up_logs("bot")

    def __call__(self) -> list[str]:
        said = self._err.getvalue()
        assert "canary" not in said
        return said.splitlines()


@pytest.fixture
def lines(restored_logging: None, monkeypatch: pytest.MonkeyPatch) -> Lines:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRETS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[1])
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:p%40canary@db/k")
    return Lines(monkeypatch)


def test_secrets_of_the_settings_are_replaced_in_every_form(lines: Lines) -> None:
    lines.begin()
    log = logging.getLogger("x")
    for secret in SECRETS:
        for form in (secret, quote(secret), quote(secret, safe=""), repr(secret), json.dumps(secret), f"a{secret}b"):
            log.info("got %s", form)
    log.info("at %s", "redis://:canary@host:6379/0 and amqp://me:other-canary@host//")
    assert all("<secret>" in line for line in lines())


def test_a_short_word_is_no_secret_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(["bot"])
    assert redact("bot.app started") == "bot.app started"


def _fails(*_: object) -> None:
    raise RuntimeError(f"no answer with {SECRETS[1]}")


def test_what_stops_a_thread_is_logged_without_secrets(lines: Lines) -> None:
    lines.begin()
    thread = threading.Thread(target=_fails, name="bell")
    thread.start()
    thread.join()
    (first, *_) = lines()
    assert "CRITICAL bell: thread stopped by RuntimeError" in first


def test_what_a_finaliser_raises_is_logged_without_secrets(lines: Lines) -> None:
    lines.begin()

    class Careless:
        __del__ = _fails

    Careless()
    assert any("RuntimeError: no answer with <secret>" in line for line in lines())


def test_a_task_that_nobody_awaits_is_logged_without_secrets(lines: Lines) -> None:
    lines.begin()

    async def fails() -> None:
        _fails()

    async def forgets() -> None:
        task = asyncio.ensure_future(fails())
        await asyncio.wait({task})
        del task
        gc.collect()

    asyncio.run(forgets())
    assert any("never retrieved" in line for line in lines())


def test_a_warning_is_logged_without_secrets(lines: Lines) -> None:
    lines.begin()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(f"old key {SECRETS[1]}", stacklevel=1)
    assert any("old key <secret>" in line for line in lines())


def test_lines_say_what_they_are_about(lines: Lines) -> None:
    lines.begin()
    log = logging.getLogger("x")
    with logging_about(update=5):
        log.info("one")
        with logging_about(job="abc"):
            logging.getLogger("a.library").info("two")
        log.info("three", extra={"job": "def"})
    log.info("four")
    assert [line.partition("x: ")[2] or line.partition("library: ")[2] for line in lines()] == [
        "one update=5",
        "two job=abc update=5",
        "three job=def update=5",
        "four",
    ]


def test_tasks_are_told_apart(lines: Lines) -> None:
    lines.begin()

    async def work(job: str) -> None:
        log_about(job=job)
        await asyncio.sleep(0)
        logging.getLogger("x").info("of %s", job)

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))
        logging.getLogger("x").info("of none")

    asyncio.run(both())
    assert [line.partition("x: ")[2] for line in lines()] == ["of a job=a", "of b job=b", "of none"]


def test_a_traceback_stands_under_its_line(lines: Lines) -> None:
    lines.begin()
    with logging_about(job="abc"):
        try:
            _fails()
        except RuntimeError:
            logging.getLogger("x").exception("failed")
    first, second, *_, last = lines()
    assert first.endswith("x: failed job=abc")
    assert second.startswith("Traceback")
    assert last == "RuntimeError: no answer with <secret>"


def test_a_collector_gets_one_object_a_line(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    lines.begin()
    with logging_about(job="abc", update=5):
        try:
            _fails()
        except RuntimeError:
            logging.getLogger("x").exception('it "failed": %s', SECRETS[0])
    (line,) = lines()
    said = json.loads(line)
    assert said | {"time": "", "error": ""} == {
        "time": "",
        "role": "bot",
        "level": "ERROR",
        "logger": "x",
        "message": 'it "failed": <secret>',
        "job": "abc",
        "update": "5",
        "error": "",
    }
    assert said["error"].endswith("RuntimeError: no answer with <secret>")


def test_a_line_that_cannot_be_written_shows_none_of_its_values(lines: Lines) -> None:
    lines.begin()
    record = logging.LogRecord("x", logging.INFO, "", 0, "one value, %s, and not two: %s", (SECRETS[1],), None)
    logging.getLogger().handlers[0].handle(record)
    (line,) = lines()
    assert line.startswith("a line of x cannot be logged: TypeError")

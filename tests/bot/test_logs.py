"""No token ever reaches a log."""

import logging
import sys

import pytest
from aiogram import Bot

from bot.logs import RedactingFormatter, redact, set_up_logs
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

"""Logs to standard error, one line an event, each with the job and the update it is about; no secret ever reaches them."""

import contextlib
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO
from urllib.parse import quote

from bot.hidden import known_secrets
from bot.settings import LogSettings, read

_TOKEN = re.compile(r"\d{5,}(?::|%3A)[A-Za-z0-9_-]{20,}", re.IGNORECASE)
_IN_URL = re.compile(r"(\w://[^\s:/@]*):[^\s/]+@")
_SHORTEST = 4  # a shorter password is no secret, and hiding it would hide half of every line

_about: ContextVar[dict[str, object]] = ContextVar("about", default={})  # noqa: B039  never changed in place
_hidden: list[re.Pattern[str]] = []


def redact(text: str) -> str:
    """Replace the secrets of the settings, and whatever looks like a bot token or a password in an address."""
    for secrets in _hidden:
        text = secrets.sub("<secret>", text)
    return _IN_URL.sub(r"\1:<secret>@", _TOKEN.sub("<token>", text))


def hide(secrets: Iterable[str]) -> None:
    """Let `redact` know these secrets, in every form in which a message may quote them."""
    forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
    _hidden[:] = [re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))] if forms else []


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]}


def log_about(**ids: object) -> None:
    """Mark every line that this task (or thread) logs from now on: `job=...`, `update=...`."""
    _about.set({**_about.get(), **ids})


@contextmanager
def logging_about(**ids: object) -> Iterator[None]:
    """Mark every line logged inside the block, those of libraries too."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def _record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)
    record.about = _about.get()
    return record


def _ids(record: logging.LogRecord) -> dict[str, str]:
    """What a line is about: what its `extra` says, then what its task does."""
    about = getattr(record, "about", {})
    found = {name: getattr(record, name, about.get(name)) for name in ("job", "update", *about)}
    return {name: str(value) for name, value in found.items() if value is not None}


class RedactingFormatter(logging.Formatter):
    """Formats the whole record, traceback included, adds what it is about, then redacts."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = "".join(f" {name}={value}" for name, value in _ids(record).items())
        return super().formatMessage(record) + ids

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "role": self._role,
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **_ids(record),
        }
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return redact(json.dumps(line, ensure_ascii=False))


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Say that a line could not be written, without its values: logging's own way shows them all."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(redact(f"a line of {record.name} cannot be logged: {sys.exc_info()[1]!r}\n"))


def set_up_logs(role: str, level: int = logging.INFO) -> None:
    """Send this process's logs to standard error, marked with its role. Raises: SettingsError for a wrong LOG_FORMAT."""
    hide(known_secrets())
    text = f"%(asctime)s {role} %(levelname)s %(name)s: %(message)s"
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonFormatter(role) if read(LogSettings).format == "json" else RedactingFormatter(text))
    logging.setLogRecordFactory(_record)
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in (
        "aiogram.event",
        "celery.worker.strategy",
        "celery.app.trace",
        "httpx",
        "alembic",
        "celery.bootsteps",
        "celery.worker",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    log = logging.getLogger(role)
    sys.excepthook = lambda kind, value, trace: log.critical("stopped by %s", kind.__name__, exc_info=(kind, value, trace))
    threading.excepthook = _thread_ended
    sys.unraisablehook = lambda seen: log.error(
        "ignored: %s",
        seen.err_msg or seen.exc_type.__name__,
        exc_info=(seen.exc_type, seen.exc_value or seen.exc_type(), seen.exc_traceback),
    )


def _thread_ended(seen: threading.ExceptHookArgs) -> None:
    if isinstance(seen.exc_value, RuntimeError) and str(seen.exc_value) == "Event loop is closed":
        return  # a library's thread outlived the loop: the process is at its end, and has said why
    name = seen.thread.name if seen.thread else "?"
    error = seen.exc_value or seen.exc_type()
    logging.getLogger(name).critical(
        "thread stopped by %s", seen.exc_type.__name__, exc_info=(seen.exc_type, error, seen.exc_traceback)
    )


def redacted_traceback(error: BaseException) -> str:
    """A traceback that may be printed, for an error that came before the logs were set up."""
    hide(known_secrets())
    return redact("".join(traceback.format_exception(error)))

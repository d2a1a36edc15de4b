"""Logs to standard error, one line an event; no token ever reaches them."""

import logging
import re
import sys

_TOKEN = re.compile(r"\d{5,}(?::|%3A)[A-Za-z0-9_-]{20,}", re.IGNORECASE)


def redact(text: str) -> str:
    """Replace anything that looks like a bot token."""
    return _TOKEN.sub("<token>", text)


class RedactingFormatter(logging.Formatter):
    """Formats the whole record, traceback included, then redacts."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up_logs(role: str, level: int = logging.INFO) -> None:
    """Send this process's logs to standard error, marked with its role."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(f"%(asctime)s {role} %(levelname)s %(name)s: %(message)s"))
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
    sys.excepthook = lambda kind, value, trace: logging.getLogger(role).critical(
        "stopped by %s", kind.__name__, exc_info=(kind, value, trace)
    )

"""GET /health and /metrics of one process, answered in a thread of its own: a loop that hangs is told, not waited for."""

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot import metrics
from bot.settings import OpsSettings

log = logging.getLogger(__name__)

_ANSWER_S = 5.0  # the loop that asks the database must answer within
_CLIENT_S = 10.0

Ailments = Callable[[], Awaitable[list[str]]]
Refresh = Callable[[], Awaitable[None]]


class Ops:
    """Serves one process whose loop is the one that calls `run` or `start`."""

    def __init__(self, settings: OpsSettings, ailments: Ailments, refresh: Refresh | None = None) -> None:
        self._settings, self._ailments, self._refresh = settings, ailments, refresh
        self._server: ThreadingHTTPServer | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        self.start(asyncio.get_running_loop())
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(self.stop)

    def start(self, loop: asyncio.AbstractEventLoop) -> int | None:
        """Begin to serve; return the port, or None where it is taken: no job stops for that."""
        ops = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _CLIENT_S

            def do_GET(self) -> None:
                status, kind, body = ops._answer(self.path, loop)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads a line for each probe."""

        try:
            self._server = _Server((self._settings.host, self._settings.port or 0), Handler)
        except OSError as error:
            log.error("OPS_PORT: %s:%s cannot be listened on: %s", self._settings.host, self._settings.port, error.strerror)
            return None
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="ops", daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, path: str, loop: asyncio.AbstractEventLoop) -> tuple[int, str, bytes]:
        if path == "/health":
            try:
                found = asyncio.run_coroutine_threadsafe(_within(self._ailments()), loop).result(_ANSWER_S + 1)
            except Exception as error:
                found = [f"the loop does not answer: {type(error).__name__}"]
            return 503 if found else 200, "application/json", json.dumps({"ok": not found, "why": found}).encode()
        if path == "/metrics":
            if self._refresh is not None:
                try:
                    asyncio.run_coroutine_threadsafe(_within(self._refresh()), loop).result(_ANSWER_S + 1)
                except Exception as error:
                    log.warning("SQL's part of the metrics is old: %s", type(error).__name__)
            return 200, CONTENT_TYPE_LATEST, generate_latest(metrics.REGISTRY)
        return 404, "text/plain", b"/health and /metrics are here\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


async def _within(work: Awaitable[list[str]] | Awaitable[None]) -> list[str]:
    async with asyncio.timeout(_ANSWER_S):
        return await work or []

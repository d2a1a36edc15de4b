"""The one HTTP server, and the webhook on it: Telegram's updates, checked, stored, and only then acknowledged.

It stands behind a proxy that speaks TLS, and trusts nothing but the secret. Any number of processes may serve it.
"""

import asyncio
import hmac
import json
import logging
import math
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiogram import Bot
from aiogram.methods import SetWebhook
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from bot import metrics
from bot.intake import ALLOWED_UPDATES, Entry, entry_of, take_in
from bot.logs import logging_about
from bot.settings import SettingsError, WebhookSettings, WebSettings
from bot.telegram import insist
from storage.database import Database

log = logging.getLogger(__name__)

LARGEST_BODY = 1024 * 1024  # bytes; Telegram's updates have some kilobytes
_SECRET_HEADER = b"x-telegram-bot-api-secret-token"
_RETRY_S = "5"
_IDLE_S = 75.0
_LAST_S = 5.0  # for what is being written when this process stops


@dataclass(frozen=True)
class Patience:
    """Seconds that a client, and our database, may take."""

    head_s: float = 10.0
    body_s: float = 10.0
    store_s: float = 10.0


class BadBody(ValueError):
    """A body that is no update."""


class BodyTooLarge(Exception):
    """A body of more bytes than are taken: those it says it has, or those that came."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


@asynccontextmanager
async def serving(
    listen: WebSettings, routes: Sequence[web.AbstractRouteDef], head_s: float = Patience.head_s
) -> AsyncIterator[int]:
    """Serve these routes inside the block; gives the port. A connection that says nothing for `head_s` seconds is ended.

    Raises: SettingsError for an address that cannot be listened on.
    """
    app = web.Application()
    app.add_routes(routes)
    # auto_decompress off: a gzip bomb would be blown up before the handler could refuse it
    options: dict[str, Any] = {"auto_decompress": False, "keepalive_timeout": _IDLE_S, "lingering_time": 1.0}
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=5.0, **options)
    await runner.setup()
    server = None
    try:
        loop, connect = asyncio.get_running_loop(), runner.server
        assert connect is not None  # noqa: S101  set up just now

        def connected() -> RequestHandler:
            handler = connect()
            loop.call_later(head_s, _end_if_silent, handler)
            return handler

        try:
            server = await loop.create_server(connected, listen.host, listen.port)
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"WEB_HOST, WEB_PORT: {listen.host}:{listen.port} cannot be listened on ({error})") from None
        yield server.sockets[0].getsockname()[1]
    finally:
        if server is not None:
            server.close()
        await runner.cleanup()


class Webhook:
    """Serves one bot's updates. `arrived` is set after each that was stored."""

    def __init__(
        self,
        bot: Bot,
        database: Database,
        settings: WebhookSettings,
        web_settings: WebSettings,
        arrived: asyncio.Event,
        patience: Patience | None = None,
    ) -> None:
        if settings.url is None or settings.secret is None:
            raise SettingsError("WEBHOOK_URL: not set; a webhook needs it, and WEBHOOK_SECRET")
        self._bot, self._db, self._arrived = bot, database, arrived
        self._url, self._path, self._listen = settings.url, settings.path, web_settings
        self._secret = settings.secret.get_secret_value()
        self._patience = patience or Patience()
        self._writing: set[asyncio.Task[None]] = set()

    async def announce(self) -> None:
        """Tell Telegram where to send updates, until it has heard. Raises: SettingsError for an address that it refuses."""
        wish = SetWebhook(url=self._url, secret_token=self._secret, allowed_updates=ALLOWED_UPDATES)
        await insist(lambda: self._bot(wish), "WEBHOOK_URL")
        log.info("the webhook is set")

    @asynccontextmanager
    async def listening(self, others: Sequence[web.AbstractRouteDef] = ()) -> AsyncIterator[int]:
        """Serve inside the block, with other routes beside; gives the port. A request that has begun is answered before the end.

        Raises: SettingsError for an address that cannot be listened on.
        """
        try:
            async with serving(
                self._listen, [*others, web.route("*", "/{path:.*}", self._receive)], self._patience.head_s
            ) as port:
                yield port
        finally:
            if self._writing:  # what is cancelled by now, and has not ended
                await asyncio.wait(self._writing, timeout=_LAST_S)

    async def _receive(self, request: web.Request) -> web.Response:
        response = await self._answer(request)
        if response.status != 200:
            response.force_close()  # whatever else the client is still sending, nobody waits for it
        metrics.webhook(response.status)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path != self._path:
            return _refusal(404, "there is nothing here")
        if request.method != "POST":
            return _refusal(405, "an update is posted", Allow="POST")
        if not self._knows_secret(request):
            return _refusal(401, "the secret is wrong")
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            return _refusal(415, "a body is sent as it is, not compressed")
        try:
            async with asyncio.timeout(self._patience.body_s):
                body = await read_body(request, LARGEST_BODY)
        except TimeoutError:
            return _refusal(408, "the body did not come in time")
        except BodyTooLarge:
            return _refusal(413, f"an update has at most {LARGEST_BODY} bytes")
        except Exception as error:  # a chunk that lies about its length, a connection that ends: aiohttp has many names for it
            return _refusal(400, f"the body cannot be read ({type(error).__name__})")
        try:
            entry = read_update(body)
        except BadBody as error:
            return _refusal(400, str(error))
        return await self._store(entry)

    def _knows_secret(self, request: web.Request) -> bool:
        """Compare bytes, since a header may hold any; two headers are as wrong as none."""
        given = [value for name, value in request.raw_headers if name.lower() == _SECRET_HEADER]
        return len(given) == 1 and hmac.compare_digest(given[0], self._secret.encode())

    async def _store(self, entry: Entry) -> web.Response:
        with logging_about(update=entry[0]):
            try:
                await self._in_time(self._write(entry))
            except Exception as error:  # whatever it was, Telegram keeps the update and comes again
                log.error("update not stored: %s", type(error).__name__)
                return _refusal(503, "not stored; come again", **{"Retry-After": _RETRY_S})
        self._arrived.set()
        return web.Response()

    async def _in_time(self, writing: Coroutine[Any, Any, None]) -> None:
        """Wait for it no longer than we may: a driver that is cancelled first ends what it has begun, however long that takes.

        Raises: TimeoutError, and whatever the writing raises.
        """
        task = asyncio.create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._written)
        try:
            await asyncio.wait({task}, timeout=self._patience.store_s)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            raise TimeoutError
        task.result()

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # of one that nobody waits for any more, so that it is not logged with a traceback

    async def _write(self, entry: Entry) -> None:
        async with self._db.begin() as session:
            await take_in(session, self._bot.id, [entry])


def read_update(body: bytes) -> Entry:
    """Read one update. Raises: BadBody for anything that Telegram does not send."""
    try:
        update = json.loads(
            body.decode("utf-8"), object_pairs_hook=_without_twins, parse_constant=_not_a_number, parse_float=_finite
        )
        if not isinstance(update, dict):
            raise BadBody("an update is a JSON object")
        number = update.get("update_id")
        if type(number) is not int or not 0 <= number < 2**63:  # a bool is an int, too
            raise BadBody("update_id is a whole number from 0 to 2^63 - 1")
        return entry_of(update)
    except RecursionError:
        raise BadBody("nested too deeply") from None
    except BadBody:
        raise
    except ValueError:  # neither UTF-8 nor JSON, or a number of thousands of digits
        raise BadBody("not JSON in UTF-8") from None


async def read_body(request: web.Request, limit: int) -> bytes:
    """Read a body while it is no larger than `limit` bytes. Raises: BodyTooLarge, and what aiohttp raises."""
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(request.content_length or 0)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(len(body))
    return bytes(body)


def _without_twins(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadBody("a key stands twice in one object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadBody("a number is too large")
    return number


def _not_a_number(text: str) -> float:
    raise BadBody(f"{text} is not JSON")


def _refusal(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=text, headers=headers)


def _end_if_silent(handler: RequestHandler) -> None:
    """aiohttp waits for ever for the first request of a connection."""
    if handler._request_count == 0:
        handler.force_close()

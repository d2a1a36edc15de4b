"""Updates pushed to the bot's address, in Telegram's way.

Source: tdlib/telegram-bot-api telegram-bot-api/WebhookActor.cpp and Client.cpp (set_webhook, add_update).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sandbox.changes import Changes
from sandbox.errors import bad_request
from sandbox.updates import Pending, UpdateQueue

Json = dict[str, Any]
Execute = Callable[[str, Json], Awaitable[None]]
Lane = tuple[str, int]
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_MAX_RETRY_AFTER_S = 3600
_KEPT = re.compile("delete_?webhook|set_?webhook|close|log_?out|get.*", re.IGNORECASE)


class Webhook:
    """The address updates go to, and how they fared. `patience_s` and `delay_s` are Telegram's; tests may scale them.

    Every lane (the messages of one chat, the pressed buttons of one person) has one update under way at most. What was
    not confirmed with 2xx comes again: at once, then after `delay_s`, twice that and so on up to `longest_delay_s`, or
    after the seconds that `Retry-After` names. `seconds` has the time each confirmed update took.
    """

    def __init__(self, updates: UpdateQueue, changes: Changes) -> None:
        self.url = ""
        self.patience_s = 60.0
        self.delay_s = 2.0
        self.longest_delay_s = 60.0
        self.tries = 0
        self.seconds: list[float] = []
        self.execute: Execute | None = None
        self._updates = updates
        self._changes = changes
        self._secret_token = ""
        self._max_connections = 40
        self._last_error: tuple[int, str] | None = None
        self._lanes: dict[Lane, deque[Pending]] = {}
        self._couriers: dict[Lane, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(40)
        self._session: aiohttp.ClientSession | None = None

    async def set(self, url: str, secret_token: str, max_connections: int) -> None:
        """Deliver to `url` from now on.

        Raises: ApiError as Telegram for an address or a secret it would not take.
        """
        max_connections = max_connections if 1 <= max_connections <= 100 else 40
        if (url, secret_token, max_connections) == (self.url, self._secret_token, self._max_connections):
            return  # a bot that comes back: what is under way stays so
        await self.delete()
        _check(url, secret_token)
        self.url, self._secret_token = url, secret_token
        self._max_connections = max_connections
        self._slots = asyncio.Semaphore(self._max_connections)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self._max_connections))
        self._updates.hand_on_to(self._take)

    async def delete(self) -> None:
        """Deliver no more; what was not confirmed waits for getUpdates or the next address."""
        self.url, self._last_error = "", None
        self._updates.hand_on_to(None)
        couriers, self._couriers = self._couriers, {}
        for courier in couriers.values():
            courier.cancel()
        await asyncio.gather(*couriers.values(), return_exceptions=True)
        waiting = [pending for lane in self._lanes.values() for pending in lane]
        self._lanes = {}
        self._updates.take_back(waiting)
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def info(self) -> Json:
        """`WebhookInfo`."""
        info: Json = {"url": self.url, "has_custom_certificate": False, "pending_update_count": len(self._updates)}
        if self._last_error is not None:
            info |= {"last_error_date": self._last_error[0], "last_error_message": self._last_error[1]}
        if self.url:
            info |= {"max_connections": self._max_connections, "ip_address": "127.0.0.1"}
        return info | ({"allowed_updates": self._updates.allowed} if self._updates.allowed else {})

    def _take(self, pending: Pending) -> None:
        lane = _lane_of(pending.update)
        self._lanes.setdefault(lane, deque()).append(pending)
        if lane not in self._couriers:
            self._couriers[lane] = asyncio.create_task(self._carry(lane))

    async def _carry(self, lane: Lane) -> None:
        queue = self._lanes[lane]
        while queue:
            await self._deliver(queue[0])
            queue.popleft()
            self._updates.delivered()
        del self._lanes[lane], self._couriers[lane]

    async def _deliver(self, pending: Pending) -> None:
        """Try until it is confirmed, as often as it is owed."""
        delay_s, fails = self.delay_s / 2, 0
        while True:
            error, retry_after_s = await self._try(pending.update)
            if error is None:
                pending.owed -= 1
                if pending.owed <= 0:
                    return
                continue
            self._last_error = (int(time.time()), error)
            self._changes.fire()
            wait_s = min(retry_after_s, _MAX_RETRY_AFTER_S)
            if not wait_s and fails:
                wait_s = delay_s = min(self.longest_delay_s, delay_s * 2)
            fails += 1
            await asyncio.sleep(wait_s)

    async def _try(self, update: Json) -> tuple[str | None, float]:
        """One delivery: the error, if any, and the seconds the bot asked for."""
        assert self._session is not None  # noqa: S101 - there is one while a webhook is set
        headers = {"Content-Type": "application/json"}
        if self._secret_token:
            headers["X-Telegram-Bot-Api-Secret-Token"] = self._secret_token
        limit = aiohttp.ClientTimeout(total=self.patience_s)
        body = json.dumps(update)
        async with self._slots:
            self.tries += 1
            self._changes.fire()
            began = time.monotonic()
            try:
                async with self._session.post(
                    self.url, data=body, headers=headers, timeout=limit, allow_redirects=False
                ) as answer:
                    text = await answer.read()
            except TimeoutError:
                return "Read timeout expired", 0
            except aiohttp.ClientConnectorError:
                return "Connection refused", 0
            except aiohttp.ClientError:
                return "Webhook connection closed", 0
        if not 200 <= answer.status <= 299:
            asked = answer.headers.get("Retry-After", "")
            error = f"Wrong response from the webhook: {answer.status} {answer.reason}"
            return error, float(asked) if asked.isdigit() else 0
        self.seconds.append(time.monotonic() - began)
        await self._obey(text)
        return None, 0

    async def _obey(self, text: bytes) -> None:
        """A confirmation may carry a method call; Telegram makes it and tells nobody how it went."""
        try:
            call: Json | None = json.loads(text) if text.strip().startswith(b"{") else None
        except ValueError:
            return
        method = call.pop("method", None) if call else None
        if call and self.execute is not None and isinstance(method, str) and not _KEPT.fullmatch(method):
            await self.execute(method, call)


def _check(url: str, secret_token: str) -> None:
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if not host or parts.scheme not in ("http", "https"):
        raise bad_request("invalid webhook URL specified")
    if len(secret_token.encode()) > 256:
        raise bad_request("secret token is too long")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", secret_token):
        raise bad_request("secret token contains unallowed characters")
    if parts.scheme == "http" and host in _LOOPBACK:
        return  # the one thing that Telegram would not take: a bot on this machine
    if parts.scheme != "https":
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if port not in (80, 88, 443, 8443):
        raise bad_request("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
    if host in _LOOPBACK:
        raise bad_request("bad webhook: IP address 127.0.0.1 is reserved")
    raise bad_request("bad webhook: Failed to resolve host: Name or service not known")


def _lane_of(update: Json) -> Lane:
    """Telegram keeps the messages of a chat in order, and the presses of a person, but not one behind the other."""
    kind = next(key for key in update if key != "update_id")
    content = update[kind]
    if kind == "callback_query":
        return kind, content["from"]["id"]
    return "message" if kind == "edited_message" else kind, content["chat"]["id"]

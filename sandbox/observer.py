"""Addresses for tests in other processes: wait for what the bot does, look into the ledger, break things."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sandbox.faults import Faults
from sandbox.ledger import Ledger
from sandbox.rest import json_object, refused
from sandbox.world import Json, World

_LONGEST_S = 600.0


class Observer:
    """Nothing here polls: an answer is sent when it is true, or 408 after `timeout` seconds (default 10)."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world = world
        self._ledger = ledger

    def routes(self) -> list[web.AbstractRouteDef]:
        """All addresses."""
        return [
            web.get("/sandbox/wait", self._wait_for_calls),
            web.get("/sandbox/wait/message", self._wait_for_message),
            web.get("/sandbox/wait/updates", self._wait_for_updates),
            web.get("/sandbox/ledger", self._calls),
            web.get("/sandbox/counts", self._counts),
            web.get("/sandbox/violations", self._violations),
            web.post("/sandbox/faults", self._fault),
            web.delete("/sandbox/faults", self._release),
        ]

    async def _wait_for_calls(self, request: web.Request) -> web.StreamResponse:
        """Until the ledger holds `count` calls of `method` after the first `after`; with `chat_id` of one chat."""
        query = request.query
        method, count, after = query.get("method", ""), int(query.get("count", 1)), int(query.get("after", 0))
        chat_id = int(query["chat_id"]) if "chat_id" in query else None

        def enough() -> bool:
            have = self._ledger.count(method) if chat_id is None else len(self._ledger.of(method, chat_id=chat_id))
            return have >= after + count

        if not await self._until(request, enough):
            return refused(408, f"{max(0, len(self._ledger.of(method, chat_id=chat_id)) - after)} of {count} calls of {method}")
        return web.json_response([call.to_json() for call in self._ledger.of(method, chat_id=chat_id)[after:]])

    async def _wait_for_message(self, request: web.Request) -> web.StreamResponse:
        """Until the bot sends or edits a message in `chat_id`, from event `after` on, that fits.

        `text` is a part of its text in any case, `has` a kind of content (photo, document). The answer is the event.
        """
        human = self._world.humans.get(int(request.query.get("chat_id", 0)))
        if human is None:
            return refused(404, "no such person")
        text, has = request.query.get("text", "").casefold(), request.query.get("has")
        position = int(request.query.get("after", 0))
        found: list[Json] = []

        def fits() -> bool:
            nonlocal position
            for event in human.events_since(position):
                position = event.number + 1
                data = event.data
                if event.kind not in ("message", "edit") or data["from"]["id"] != self._world.bot_id:
                    continue
                if text in str(data.get("text") or data.get("caption") or "").casefold() and (has is None or has in data):
                    found.append(event.to_json())
                    return True
            return False

        if not await self._until(request, fits):
            return refused(408, "no such message")
        return web.json_response(found[0])

    async def _wait_for_updates(self, request: web.Request) -> web.StreamResponse:
        """Until at most `pending` updates (default 0) wait for the bot."""
        pending = int(request.query.get("pending", 0))
        if not await self._until(request, lambda: len(self._world.updates) <= pending):
            return refused(408, f"{len(self._world.updates)} updates are pending")
        return web.json_response({"pending": len(self._world.updates)})

    async def _until(self, request: web.Request, condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + min(float(request.query.get("timeout", 10)), _LONGEST_S)
        while not condition():
            if self._world.closed or not await self._world.changes.wait_until(deadline):
                return False
        return True

    async def _calls(self, request: web.Request) -> web.StreamResponse:
        method = request.query.get("method")
        calls = self._ledger if method is None else self._ledger.of(method)
        return web.json_response([call.to_json() for call in calls])

    async def _counts(self, request: web.Request) -> web.StreamResponse:
        """Everything in numbers, cheap to ask for at any size of the history."""
        return web.json_response(
            {
                "accepted": self._ledger.counts(),
                "refused": len(self._ledger.refused),
                "violations": len(self._ledger.violations),
                "faults": dict(self._world.faults.happened),
                "updates": {"sent": len(self._world.updates.sent), "pending": len(self._world.updates)},
                "webhook": {"tries": self._world.webhook.tries, "confirmed": len(self._world.webhook.seconds)},
                "events": len(self._world.events),
            }
        )

    async def _violations(self, request: web.Request) -> web.StreamResponse:
        return web.json_response([asdict(violation) for violation in self._ledger.violations])

    async def _fault(self, request: web.Request) -> web.StreamResponse:
        """Order a fault: `kind` names a method of `Faults`, the rest are its arguments."""
        body = await json_object(request)
        kind = str(body.pop("kind", None))
        if kind not in _ORDERS:
            return refused(400, f"no such fault: {kind}")
        try:
            if kind == "replay_update":
                self._world.updates.replay(int(body["update_id"]))
            elif kind == "jump_update_id":
                self._world.updates.jump(body.get("by"))
            else:
                order: Callable[..., Any] = getattr(self._world.faults, kind)
                order(**{name: tuple(value) if isinstance(value, list) else value for name, value in body.items()})
        except (KeyError, TypeError, ValueError) as error:
            return refused(400, str(error))
        return web.json_response([asdict(fault) for fault in self._world.faults.pending])

    async def _release(self, request: web.Request) -> web.StreamResponse:
        self._world.faults.release()
        return web.json_response([])


_ORDERS = {
    Faults.too_many_requests.__name__, Faults.server_error.__name__, Faults.refuse.__name__, Faults.hang.__name__,
    Faults.drop_after_applying.__name__, Faults.drop_before_applying.__name__, Faults.duplicate_updates.__name__,
    Faults.reverse_updates.__name__, Faults.rates.__name__, Faults.update_rates.__name__, "replay_update", "jump_update_id",
}  # fmt: skip

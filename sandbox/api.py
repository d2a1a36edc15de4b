"""The HTTP front of the Bot API: `/bot<token>/<method>` and `/file/bot<token>/<path>`."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from sandbox.errors import NOT_FOUND, UNAUTHORIZED, ApiError, too_many_requests
from sandbox.faults import Fault
from sandbox.ledger import Ledger, chat_of
from sandbox.methods import canonical, perform
from sandbox.params import Params, read_params
from sandbox.world import World


class BotApi:
    """Serves one bot: reads parameters, meets faults, performs, keeps the ledger."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world = world
        self._ledger = ledger
        world.webhook.execute = self._execute

    def routes(self) -> list[web.AbstractRouteDef]:
        """The two addresses of the Bot API."""
        return [
            web.route("*", "/bot{token:[^/]+}/{method}", self._call),
            web.get("/file/bot{token:[^/]+}/{path:.+}", self._download),
        ]

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = canonical(request.match_info["method"])
        summary: dict[str, Any] = {}
        try:
            if request.match_info["token"] != self._world.token:
                raise ApiError(*UNAUTHORIZED)
            if method is None:
                raise ApiError(*NOT_FOUND)
            params = await read_params(request)
            summary = params.summary()
            chat_id = chat_of(summary)
            self._ledger.silences.arrive(method, chat_id)
            fault = self._world.faults.take(method, chat_id)
            early = await self._before(request, method, chat_id, fault)
            if early is not None:
                return early
            result = await perform(self._world, method, params)
        except ApiError as error:
            self._ledger.refuse(method or request.match_info["method"], summary, error.description)
            return web.json_response(error.body(), status=error.code)
        return await self._after(request, method, summary, result, fault)

    async def _execute(self, name: str, values: dict[str, Any]) -> None:
        """Make a call that came as the answer to a webhook; nobody hears of a refusal."""
        method, params = canonical(name), Params(values, {})
        try:
            if method is None:
                raise ApiError(*NOT_FOUND)
            self._record(method, params.summary(), await perform(self._world, method, params), answered=False)
        except ApiError as error:
            self._ledger.refuse(method or name, params.summary(), error.description)

    async def _before(
        self, request: web.Request, method: str, chat_id: int | None, fault: Fault | None
    ) -> web.StreamResponse | None:
        """Faults that keep a call from being applied."""
        if fault is None:
            return None
        if fault.kind == "too_many_requests":
            self._ledger.silences.tell(method, chat_id, fault.value)
            raise too_many_requests(fault.value)
        if fault.kind == "refusal":
            raise ApiError(fault.value, fault.description, fault.parameters)
        if fault.kind == "server_error":
            if fault.html:
                return web.Response(status=fault.value, text="<html><h1>Bad Gateway</h1></html>", content_type="text/html")
            raise ApiError(fault.value, {500: "Internal Server Error"}.get(fault.value, "Bad Gateway"))
        if fault.kind == "hang_before":
            await self._hang(fault.seconds)
        if fault.kind in ("drop_before", "hang_before"):
            return _cut(request)
        return None

    async def _after(
        self, request: web.Request, method: str, summary: dict[str, Any], result: Any, fault: Fault | None
    ) -> web.StreamResponse:
        """Write the ledger, then answer, unless a fault says otherwise."""
        lost = fault is not None and fault.kind in ("drop_after", "hang_after")
        if method != "getUpdates":
            self._record(method, summary, result, answered=not lost)
            await self._ledger.settle()
        if lost:
            if fault is not None and fault.kind == "hang_after":
                await self._hang(fault.seconds)
            return _cut(request)
        return web.json_response({"ok": True, "result": result})

    def _record(self, method: str, summary: dict[str, Any], result: Any, *, answered: bool) -> None:
        first = result[0] if isinstance(result, list) and result else result
        message_id = first.get("message_id") if isinstance(first, dict) else None
        self._ledger.accept(method, summary, message_id, answered=answered)
        self._world.changes.fire()

    async def _hang(self, seconds: float | None) -> None:
        releases = self._world.faults.releases
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._world.closed and self._world.faults.releases == releases:
            if not await self._world.changes.wait_until(deadline):
                return

    async def _download(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != self._world.token:
            return web.json_response(ApiError(*UNAUTHORIZED).body(), status=401)
        file = self._world.files.by_path(request.match_info["path"])
        if file is None:
            return web.json_response(ApiError(*NOT_FOUND).body(), status=404)
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = file.size
        await response.prepare(request)
        for chunk in file.chunks():
            await response.write(chunk)
        await response.write_eof()
        return response


def _cut(request: web.Request) -> web.Response:
    """Break the connection: the client never sees the answer returned here."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)

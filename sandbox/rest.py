"""The page's side of the server: people act through `/sandbox/…`, and `/sandbox/events` tells what happened."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from sandbox import acts
from sandbox.errors import ApiError
from sandbox.mini_apps import launch
from sandbox.world import Human, Json, World

_PAGE = Path(__file__).parent / "page"
_PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
    "frame-src https: http://127.0.0.1:* http://localhost:*"  # Mini Apps
)
_KEEPALIVE_S = 15.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve only this machine's own pages: a foreign site must reach neither chats nor the bot."""
    host = request.headers.get("Host", "")
    if not re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", host):
        return web.Response(status=403, text="the sandbox answers on 127.0.0.1 only")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return web.Response(status=403, text="the sandbox answers its own page only")
    return await handler(request)


class Rest:
    """Handlers for the page and for people that tests send over HTTP."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[web.AbstractRouteDef]:
        """All addresses of the page."""
        chat = "/sandbox/chats/{chat:\\d+}"
        message = chat + "/messages/{message:\\d+}"
        names = sorted(path.name for path in _PAGE.iterdir() if path.suffix in _PAGE_TYPES)
        pages = [web.get("/" if name == "index.html" else f"/{name}", self._page) for name in names]
        return [
            *pages,
            web.get("/favicon.ico", self._no_icon),
            web.get("/sandbox/state", self._state),
            web.get("/sandbox/events", self._events),
            web.post("/sandbox/people", self._add_person),
            web.get("/sandbox/files/{file_id}", self._file),
            web.get(chat, self._chat),
            web.post(chat + "/messages", self._send),
            web.post(chat + "/block", self._block),
            web.post(message + "/edit", self._edit),
            web.post(message + "/forward", self._forward),
            web.post(message + "/callback", self._callback),
            web.post(message + "/mini-app", self._mini_app),
            web.delete(message, self._delete),
        ]

    async def _page(self, request: web.Request) -> web.StreamResponse:
        file = _PAGE / (request.path.lstrip("/") or "index.html")
        headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        body = await asyncio.to_thread(file.read_bytes)
        return web.Response(body=body, content_type=_PAGE_TYPES[file.suffix], charset="utf-8", headers=headers)

    async def _no_icon(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def _state(self, request: web.Request) -> web.StreamResponse:
        people = [
            {
                "id": human.id,
                "name": human.name,
                "language_code": human.language_code,
                "blocked": human.blocked,
                "last": next(reversed(human.messages.values()), None),
            }
            for human in self._world.humans.values()
        ]
        body = {"boot": self._world.boot, "number": len(self._world.events), "bot": self._world.bot, "people": people}
        return web.json_response(body)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        human = self._human(request)
        commands, language = self._world.commands, human.language_code
        unanswered = [
            {"id": press.id, "message_id": press.message_id, "data": press.data}
            for press in self._world.presses.values()
            if press.chat_id == human.id and press.answer is None
        ]
        return web.json_response(
            {
                "number": len(self._world.events),
                "blocked": human.blocked,
                "messages": list(human.messages.values()),
                "unanswered": unanswered,
                "commands": commands.shown_to(human.id, language),
                "description": commands.text("description", language),
                "name": commands.text("name", language) or self._world.bot["first_name"],
            }
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events from `after` on; a browser that comes back continues where it was."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        position = int(request.headers.get("Last-Event-ID") or request.query.get("after") or len(self._world.events))
        position = min(position, len(self._world.events))  # a browser may come back to a fresh sandbox
        hello = json.dumps({"boot": self._world.boot})
        await response.write(f"retry: 1000\nevent: hello\ndata: {hello}\n\n".encode())
        while not self._world.closed:
            fresh = self._world.events[position:]
            position += len(fresh)
            frames = [f"id: {event.number + 1}\ndata: {json.dumps(event.to_json())}\n\n" for event in fresh]
            try:
                await response.write("".join(frames or [": still here\n\n"]).encode())
            except ConnectionError:
                break
            if position == len(self._world.events):
                await self._world.changes.wait_until(time.monotonic() + _KEEPALIVE_S)
        return response

    async def _add_person(self, request: web.Request) -> web.StreamResponse:
        body = await json_object(request)
        name = " ".join(str(body.get("name", "")).split())[:64]
        language = str(body.get("language_code", "en"))
        if not name or not re.fullmatch(r"[a-z]{2}", language):
            return refused(400, "a person needs a name and a language of two letters")
        human = self._world.add_human(name, language)
        return web.json_response({"id": human.id, "name": human.name, "language_code": human.language_code})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """A file of a message: pictures inline, everything else as a download."""
        found = self._world.files.by_id(request.match_info["file_id"])
        if found is None:
            return refused(404, "no such file")
        file, _ = found
        mime = file.picture_mime
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox", "Cache-Control": "max-age=86400"}
        if mime is None or "download" in request.query:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
        headers["Content-Type"] = mime or "application/octet-stream"
        response = web.StreamResponse(headers=headers)
        response.content_length = file.size
        await response.prepare(request)
        for chunk in file.chunks():
            await response.write(chunk)
        return response

    async def _send(self, request: web.Request) -> web.StreamResponse:
        """A text as JSON, or a form: `kind`, `caption`, `reply_to` and one `file`, or several for an album."""
        human = self._human(request)
        if request.content_type == "application/json":
            body = await json_object(request)
            return web.json_response(acts.say(self._world, human, str(body.get("text", "")), body.get("reply_to")))
        form = await request.post()
        kind, caption, reply = str(form.get("kind", "photo")), str(form.get("caption", "")), str(form.get("reply_to", ""))
        reply_to = int(reply) if reply.isdigit() else None
        files = [file for file in form.getall("file", []) if isinstance(file, web.FileField)]
        try:
            if kind == "photo" and files:
                photos = [file.file.read() for file in files]
                return web.json_response(acts.send_album(self._world, human, photos, caption, reply_to))
            if kind == "document" and files:
                read = [(file.filename, file.file.read(), file.content_type) for file in files]
                return web.json_response(acts.send_documents(self._world, human, read, caption, reply_to))
            data = files[0].file.read() if files else None
            return web.json_response([acts.send_kind(self._world, human, kind, data, caption)])
        except (ApiError, ValueError) as error:
            return refused(400, str(error))

    async def _block(self, request: web.Request) -> web.StreamResponse:
        acts.block(self._world, self._human(request), bool((await json_object(request)).get("blocked", True)))
        return web.json_response({})

    async def _edit(self, request: web.Request) -> web.StreamResponse:
        human, message_id = self._human(request), self._message_id(request)
        try:
            return web.json_response(acts.edit(self._world, human, message_id, str((await json_object(request)).get("text", ""))))
        except ValueError as error:
            return refused(400, str(error))

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(acts.forward(self._world, self._human(request), self._message_id(request)))

    async def _callback(self, request: web.Request) -> web.StreamResponse:
        human, data = self._human(request), str((await json_object(request)).get("data", ""))
        pressed = acts.press(self._world, human, int(request.match_info["message"]), data)
        return web.json_response({"id": pressed.id})

    async def _mini_app(self, request: web.Request) -> web.StreamResponse:
        """Open the Mini App of a button: what a frame loads, in the page's colours."""
        body = await json_object(request)
        try:
            opened = launch(self._world, self._human(request), self._message_id(request), str(body.get("url", "")))
        except ValueError as error:
            return refused(400, str(error))
        platform = "android" if body.get("phone") else "tdesktop"
        return web.json_response({"address": opened.address(platform, json.dumps(body.get("theme") or {}))})

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        acts.delete(self._world, self._human(request), self._message_id(request))
        return web.json_response({})

    def _human(self, request: web.Request) -> Human:
        human = self._world.humans.get(int(request.match_info["chat"]))
        if human is None:
            raise web.HTTPNotFound(text="no such person")
        return human

    def _message_id(self, request: web.Request) -> int:
        number = int(request.match_info["message"])
        if number not in self._human(request).messages:
            raise web.HTTPNotFound(text="no such message")
        return number


async def json_object(request: web.Request) -> Json:
    """The body as an object; anything else is a 400."""
    try:
        body: Any = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="a JSON object is expected")
    return body


def refused(status: int, reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=status)

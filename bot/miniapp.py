"""The mask editor, a Mini App: its page, the picture to draw on, the last mask of it, and the mask that comes back.

The page and its files are for everybody. Whoever asks for more shows Telegram's launch data in the header
`Authorization: tma DATA`, as docs.telegram-mini-apps.com has it: so it stands in no address, no log and no cookie.
A refusal is JSON: {"error": REASON, "values": {...}}; the page has a text `editor.error-REASON` for each.
"""

import asyncio
import hashlib
import io
import json
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web
from PIL import Image

from bot import metrics
from bot.drawn_masks import LARGEST_FILE, BadMask, read_mask
from bot.init_data import BadInitData, Launch, read_init_data
from bot.masks.pencil import LEAST, MOST
from bot.settings import MiniAppSettings
from bot.texts import LANGUAGES, Texts
from bot.web import BodyTooLarge, read_body
from storage.errors import MediaMissing
from storage.media import MediaStore

log = logging.getLogger(__name__)

LONGEST_SIDE = 2048  # pixels of a picture as the editor gets it: more than any screen shows, less than any phone refuses
_SMALL_SIDE = 512
_PAGE = Path(__file__).parent / "editor"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_PUBLIC_ID = r"[A-Za-z0-9_-]{1,64}"
_BODY_S = 60.0  # for two megabytes from a telephone
_AT_ONCE = 2  # masks; each is a process that may take a gigabyte
_READS, _WRITES, _WINDOW_S = 60, 12, 60.0  # requests of one person
_MOST_KNOWN = 10_000  # people whose requests are remembered

TEXTS = (  # what the page says; tests hold it against the page and the refusals below
    "editor.title", "editor.loading", "editor.hint", "editor.painted", "editor.brush", "editor.eraser", "editor.box",
    "editor.lasso", "editor.size", "editor.undo", "editor.redo", "editor.invert", "editor.clear", "editor.fit",
    "editor.full-screen", "editor.done", "editor.sending", "editor.sent", "editor.retry", "editor.empty", "editor.full",
    "editor.draft", "editor.last-mask", "editor.picture",
    "editor.error-unsigned", "editor.error-expired", "editor.error-not-found", "editor.error-too-large",
    "editor.error-no-mask", "editor.error-wrong-shape", "editor.error-empty", "editor.error-full",
    "editor.error-too-often", "editor.error-away", "editor.error-network",
)  # fmt: skip
_Answer = Callable[[web.Request, Launch], Awaitable[web.Response]]
_VALUES = ("share", "limit", "value", "seconds")  # filled in on the page


@dataclass(frozen=True)
class EditorPicture:
    """A picture as its owner may edit it: media ids of it and of its last mask, its true size, the owner's language."""

    media_id: str
    width: int
    height: int
    mask_id: str | None = None
    language: str = "en"


class FindPicture(Protocol):
    async def __call__(self, telegram_user_id: int, public_id: str) -> EditorPicture | None:
        """Find a picture of this person; None if there is none, or it is somebody else's."""


class TakeMask(Protocol):
    async def __call__(self, telegram_user_id: int, public_id: str, mask_png: bytes, key: str) -> None:
        """Take a mask: grey PNG of the picture's true size, each pixel 0 (keep) or 255 (repaint).

        `key` is the same when the same mask comes again from the same opening of the editor: the second time does nothing.
        """


class Refusal(Exception):
    """An answer that is none: the reason the page knows a text for."""

    def __init__(self, status: int, reason: str, **values: str | float) -> None:
        super().__init__(reason)
        self.status, self.reason, self.values = status, reason, values


class MiniApp:
    """Serves the editor at the path of MINI_APP_URL."""

    def __init__(
        self,
        settings: MiniAppSettings,
        token: str,
        media: MediaStore,
        find_picture: FindPicture,
        take_mask: TakeMask,
        texts: Texts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._base, self._token, self._clock = settings.path, token, clock
        self._media, self._find_picture, self._take_mask = media, find_picture, take_mask
        self._files = {path.name: path.read_bytes() for path in _PAGE.iterdir() if path.suffix in _TYPES}
        self._files["index.html"] = self._files["index.html"].replace(b"{{script}}", settings.script.encode())
        self._files["given.js"] = given(texts)
        self._policy = policy(settings.script)
        self._deciding = asyncio.Semaphore(_AT_ONCE)
        self._reads, self._writes = Turns(_READS, _WINDOW_S), Turns(_WRITES, _WINDOW_S)

    def routes(self) -> list[web.AbstractRouteDef]:
        """All addresses of the editor."""
        picture = f"{self._base}/pictures/{{id:{_PUBLIC_ID}}}"
        return [
            web.get(f"{self._base}/", self._file),
            *(web.get(f"{self._base}/{name}", self._file) for name in self._files if name != "index.html"),
            web.get(picture, self._guarded(self._picture)),
            web.get(f"{picture}/mask", self._guarded(self._last_mask)),
            web.post(f"{picture}/mask", self._guarded(self._mask)),
        ]

    async def _file(self, request: web.Request) -> web.Response:
        name = request.path.removeprefix(f"{self._base}/") or "index.html"
        response = web.Response(body=self._files[name], content_type=_TYPES[Path(name).suffix], charset="utf-8")
        response.headers.update({"Cache-Control": "no-cache", "Content-Security-Policy": self._policy, **_EVERYWHERE})
        return response

    def _guarded(self, answer: _Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Answer those who show whom Telegram let in, not too often; everything else is a refusal that the page can say."""

        async def guarded(request: web.Request) -> web.Response:
            try:
                response = await answer(request, self._launch(request))
            except Refusal as refusal:
                body = {"error": refusal.reason, "values": refusal.values}
                response = web.json_response(body, status=refusal.status)
                if refusal.reason == "too-often":
                    response.headers["Retry-After"] = str(refusal.values["seconds"])
                if request.method == "POST":
                    response.force_close()  # whatever else is still being sent, nobody waits for it
            response.headers.update({"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'", **_EVERYWHERE})
            metrics.mini_app(request.method, response.status)
            return response

        return guarded

    def _launch(self, request: web.Request) -> Launch:
        scheme, _, data = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme != "tma":
                raise BadInitData("unsigned")
            launch = read_init_data(data, self._token, self._clock())
        except BadInitData as bad:
            raise Refusal(401, bad.reason) from None
        turns = self._writes if request.method == "POST" else self._reads
        if wait_s := turns.wait_s(launch.user_id):
            raise Refusal(429, "too-often", seconds=wait_s)
        return launch

    async def _found(self, request: web.Request, launch: Launch) -> EditorPicture:
        try:
            found = await self._find_picture(launch.user_id, request.match_info["id"])
        except Exception as error:
            log.error("editor: picture not looked up: %s", type(error).__name__)
            raise Refusal(503, "away") from None
        if found is None:
            raise Refusal(404, "not-found")
        return found

    async def _read(self, media_id: str) -> bytes:
        try:
            return await asyncio.to_thread(self._media.get, media_id)
        except MediaMissing:
            raise Refusal(404, "not-found") from None
        except Exception as error:
            log.error("editor: picture not read: %s", type(error).__name__)
            raise Refusal(503, "away") from None

    async def _picture(self, request: web.Request, launch: Launch) -> web.Response:
        found = await self._found(request, launch)
        data, kind = await asyncio.to_thread(for_editor, await self._read(found.media_id))
        told = {"Picture-Size": f"{found.width}x{found.height}", "Content-Language": found.language}
        told["Picture-Mask"] = "none" if found.mask_id is None else "there"
        return web.Response(body=data, content_type=kind, headers=told)

    async def _last_mask(self, request: web.Request, launch: Launch) -> web.Response:
        found = await self._found(request, launch)
        if found.mask_id is None:
            raise Refusal(404, "not-found")
        return web.Response(body=await self._read(found.mask_id), content_type="image/png")

    async def _mask(self, request: web.Request, launch: Launch) -> web.Response:
        found, public_id = await self._found(request, launch), request.match_info["id"]
        data = await self._upload(request)
        async with self._deciding:
            try:
                mask = await read_mask(data, found.width, found.height)
            except BadMask as bad:
                raise Refusal(422, bad.reason, **bad.values) from None
        same = hashlib.sha256("\n".join([launch.signed, public_id, hashlib.sha256(mask).hexdigest()]).encode()).hexdigest()
        try:
            await self._take_mask(launch.user_id, public_id, mask, f"wa:{launch.user_id}:{same[:32]}")
        except Exception as error:
            log.error("editor: mask not taken: %s", type(error).__name__)
            raise Refusal(503, "away") from None
        return web.json_response({})

    async def _upload(self, request: web.Request) -> bytes:
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if request.content_type != "image/png" or encoding != "identity":
            raise Refusal(415, "no-mask")
        try:
            async with asyncio.timeout(_BODY_S):
                return await read_body(request, LARGEST_FILE)
        except BodyTooLarge as error:
            raise Refusal(413, "too-large", value=error.size, limit=LARGEST_FILE) from None
        except Exception:  # too slow, a chunk that lies, a connection that ends: the page may try again
            raise Refusal(400, "network") from None


_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Turns:
    """At most so many requests of one person in any window of so many seconds."""

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._window_s, self._clock = limit, window_s, clock
        self._made: dict[int, deque[float]] = {}

    def wait_s(self, user_id: int) -> int:
        """Take a turn and return 0, or return the seconds until there is one."""
        now = self._clock()
        made = self._made.setdefault(user_id, deque())
        while made and made[0] <= now - self._window_s:
            made.popleft()
        if len(made) >= self._limit:
            return int(made[0] + self._window_s - now) + 1
        made.append(now)
        if len(self._made) > _MOST_KNOWN:
            self._made = {user: times for user, times in self._made.items() if times[-1] > now - self._window_s}
        return 0


def editor_url(url: str, public_id: str) -> str:
    """Address for the `web_app` button of a picture. url: the editor's own, MINI_APP_URL."""
    return f"{url.rstrip('/')}/?picture={public_id}"


def given(texts: Texts) -> bytes:
    """The module that the page imports: its texts in every language, and the limits it keeps to."""
    as_they_are = {name: f"{{{name}}}" for name in _VALUES}
    words = {
        language: {key.partition(".")[2]: texts.plain(language, key, as_they_are) for key in TEXTS} for language in LANGUAGES
    }
    limits = {"least": LEAST, "most": MOST, "side": LONGEST_SIDE}
    return f"export const TEXTS = {_json(words)};\nexport const LIMITS = {_json(limits)};\n".encode()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def policy(script: str) -> str:
    """The page's Content-Security-Policy: its own files and Telegram's script; only Telegram may frame it.

    Where the script comes from another place than telegram.org, that place is Telegram: it frames the page, too. The script
    would add an inline style for the scrollbars of Telegram on the web; that it may not, and nothing here misses it.
    """
    parts = urlsplit(script)
    origin = f"{parts.scheme}://{parts.netloc}"
    framers = "https://*.telegram.org" if parts.netloc == "telegram.org" else " ".join(_names_of(origin))
    return (
        f"default-src 'none'; script-src 'self' {script}; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors {framers}"
    )


def _names_of(origin: str) -> list[str]:
    """This machine has two names in a browser."""
    if re.match(r"http://(127\.0\.0\.1|localhost)(:|$)", origin):
        return [re.sub(r"127\.0\.0\.1|localhost", name, origin, count=1) for name in ("127.0.0.1", "localhost")]
    return [origin]


def for_editor(data: bytes) -> tuple[bytes, str]:
    """Bring a stored picture to what the editor needs, at most `LONGEST_SIDE` pixels a side; gives the file and its type.

    A small one stays without loss: the editor shows every pixel of it large.
    """
    with Image.open(io.BytesIO(data)) as picture:
        shown = picture.convert("RGB")
    shown.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    kind = "PNG" if max(shown.size) <= _SMALL_SIDE else "JPEG"
    file = io.BytesIO()
    shown.save(file, kind, **({} if kind == "PNG" else {"quality": 92, "subsampling": 0}))
    return file.getvalue(), f"image/{kind.lower()}"

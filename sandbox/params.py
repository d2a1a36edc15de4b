"""Parameters of a call, from query, form, multipart or JSON, read one way."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aiohttp import web

from sandbox.errors import ApiError, bad_request

_STRUCTURED = {
    "reply_markup", "media", "entities", "caption_entities", "reply_parameters", "commands", "scope",
    "menu_button", "allowed_updates", "link_preview_options",
}  # fmt: skip


@dataclass(frozen=True)
class Upload:
    """A file in the request body."""

    name: str
    mime: str
    data: bytes

    def summary(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {"file": self.name, "size": len(self.data), "sha256": hashlib.sha256(self.data).hexdigest()}


class Params:
    """Typed access to parameters; wrong types are refused in Telegram's words."""

    def __init__(self, values: dict[str, Any], uploads: dict[str, Upload]) -> None:
        self._values = values
        self._uploads = uploads

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def string(self, name: str) -> str | None:
        """Text; numbers of a JSON body count as text."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value)

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A whole number; `default` where it is missing or none."""
        try:
            return int(self._values[name])
        except (KeyError, TypeError, ValueError):
            return default

    def flag(self, name: str) -> bool:
        """true, 1 or yes in any case."""
        return str(self._values.get(name, "")).lower() in ("true", "1", "yes")

    def structure(self, name: str) -> Any:
        """A JSON value, given as such or as text; None where missing.

        Raises: ApiError where the text is no JSON.
        """
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return _parsed(value)
        except ValueError:
            raise bad_request(f"can't parse {name.replace('_', ' ')} JSON object") from None

    def upload(self, name: str) -> Upload | None:
        """The file in the field `name`, or the one the field points to with attach://."""
        value = self._values.get(name)
        if isinstance(value, str) and value.startswith("attach://"):
            return self.attached(value)
        return self._uploads.get(name)

    def attached(self, reference: str) -> Upload | None:
        """The file behind `attach://name`."""
        return self._uploads.get(reference.removeprefix("attach://"))

    def summary(self) -> dict[str, Any]:
        """As the ledger keeps it: structured values parsed, files by name, size and sha256."""
        kept: dict[str, Any] = {}
        for name, value in self._values.items():
            if name in _STRUCTURED and isinstance(value, str):
                with contextlib.suppress(ValueError):
                    value = _parsed(value)
            kept[name] = value
        return {**kept, **{name: upload.summary() for name, upload in self._uploads.items()}}


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """The same object for the same text: a bot sends the same keyboards thousands of times. Nobody may change it."""
    return json.loads(text)


async def read_params(request: web.Request) -> Params:
    """Read a request; the body wins over the query.

    Raises: ApiError for bodies that are too large or not UTF-8.
    """
    values: dict[str, Any] = dict(request.query)
    uploads: dict[str, Upload] = {}
    try:
        if request.content_type == "application/json":
            body = json.loads(await request.text() or "{}")
            if not isinstance(body, dict):
                raise ValueError("no object")
            values |= {name: value for name, value in body.items() if value is not None}
        elif request.method == "POST":
            for name, value in (await request.post()).items():
                if isinstance(value, web.FileField):
                    uploads[name] = Upload(value.filename, value.content_type, value.file.read())
                else:
                    values[name] = value
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, "Request Entity Too Large") from None
        "".join(value for value in values.values() if isinstance(value, str)).encode()
    except UnicodeError:
        raise bad_request("strings must be encoded in UTF-8") from None
    except ValueError:
        raise bad_request("can't parse request body") from None
    return Params(values, uploads)

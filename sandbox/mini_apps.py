"""Mini Apps as Telegram opens them: which addresses a button may have, and who opened it, signed with the bot's token.

Telegram opens https addresses only. So does the sandbox, but for http on this very machine: no certificate is to be had for it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from sandbox.world import Human, World

VERSION = "9.1"  # of the Mini App platform that the sandbox's client speaks, as far as it does
_THIS_MACHINE = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Launch:
    """A Mini App that somebody opened: its address as the bot gave it, and the launch data."""

    url: str
    init_data: str

    def address(self, platform: str = "web", theme: str = "{}") -> str:
        """What the browser opens: the launch parameters stand behind the #, where no server sees them."""
        parameters = {
            "tgWebAppData": self.init_data,
            "tgWebAppVersion": VERSION,
            "tgWebAppPlatform": platform,
            "tgWebAppThemeParams": theme,
        }
        return f"{self.url}#{urlencode(parameters, quote_via=quote)}"


def address_fault(url: str) -> str | None:
    """Telegram's words for an address that a `web_app` button may not have; None for a good one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "Wrong HTTP URL"
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in url):
        return "Wrong HTTP URL"
    if parts.scheme == "http" and host not in _THIS_MACHINE:
        return "Only HTTPS links are allowed"
    return None


def launch(world: World, human: Human, message_id: int, url: str, age_s: int = 0) -> Launch:
    """Open the Mini App of a button under a message; `age_s` lets it be opened in the past.

    Raises: ValueError if the message has no such button.
    """
    rows = (human.messages[message_id].get("reply_markup") or {}).get("inline_keyboard") or []
    if not any((button.get("web_app") or {}).get("url") == url for row in rows for button in row):
        raise ValueError(f"message {message_id} has no button that opens {url}")
    fields = {
        "query_id": "AA" + secrets.token_urlsafe(16),
        "user": json.dumps(_user(human), ensure_ascii=False, separators=(",", ":")),
        "auth_date": str(int(world.clock()) - age_s),
        "signature": secrets.token_urlsafe(64),  # with a key that only Telegram has; nobody can check this one
    }
    return Launch(url, signed(fields, world.token))


def signed(fields: dict[str, str], token: str) -> str:
    """Launch data with these fields and their hash: all of them as sorted lines, under the token's HMAC under "WebAppData"."""
    lines = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()))
    key = hmac.digest(b"WebAppData", token.encode(), "sha256")
    return urlencode({**fields, "hash": hmac.new(key, lines.encode(), hashlib.sha256).hexdigest()}, quote_via=quote)


def _user(human: Human) -> dict[str, object]:
    return {
        "id": human.id,
        "first_name": human.name,
        "last_name": "",
        "language_code": human.language_code,
        "allows_write_to_pm": True,
    }

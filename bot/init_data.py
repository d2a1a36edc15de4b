"""Who opened a Mini App: the launch data that Telegram signs with the bot's token, checked before any of it is believed."""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

LONGEST = 4096  # bytes; Telegram's has some hundred
OLDEST_S = 3600
_AHEAD_S = 60  # by which Telegram's clock may be before ours
_MOST_FIELDS = 32
_NAME = re.compile(r"[a-z0-9_]+")


class BadInitData(Exception):
    """Launch data that is not believed: `expired` was Telegram's and is too old, `unsigned` is everything else."""

    def __init__(self, reason: Literal["expired", "unsigned"]) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Launch:
    """One opening of the Mini App: Telegram's id and language of the person, and the signature that names this opening."""

    user_id: int
    language_code: str | None
    signed: str


def read_init_data(text: str, token: str, now: float) -> Launch:
    """Check launch data against a bot's token and the present Unix time.

    Raises: BadInitData.
    Source: core.telegram.org/bots/webapps, "Validating data received via the Mini App": the key is the token's HMAC under
    "WebAppData"; what is signed are all fields but `hash` as lines "name=value" in the order of their names.
    """
    fields = _fields(text)
    given = fields.pop("hash", "")
    lines = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()))
    key = hmac.digest(b"WebAppData", token.encode(), "sha256")
    signed = hmac.new(key, lines.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signed.encode(), given.encode()):
        raise BadInitData("unsigned")
    _check_age(fields.get("auth_date", ""), now)
    user_id, language_code = _user(fields.get("user", ""))
    return Launch(user_id, language_code, signed)


def _fields(text: str) -> dict[str, str]:
    """The fields, each once. A line feed in one could pass for another field in what is signed, so none is taken."""
    try:
        if len(text.encode()) > LONGEST:
            raise BadInitData("unsigned")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST_FIELDS)
        for _, value in pairs:
            value.encode()
    except ValueError:
        raise BadInitData("unsigned") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or any(not _NAME.fullmatch(name) or "\n" in value for name, value in pairs):
        raise BadInitData("unsigned")
    return fields


def _check_age(auth_date: str, now: float) -> None:
    if not (auth_date.isascii() and auth_date.isdigit() and len(auth_date) < 16):
        raise BadInitData("unsigned")
    age_s = now - int(auth_date)
    if age_s > OLDEST_S:
        raise BadInitData("expired")
    if age_s < -_AHEAD_S:
        raise BadInitData("unsigned")


def _user(text: str) -> tuple[int, str | None]:
    try:
        user = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInitData("unsigned") from None
    user_id = user.get("id") if isinstance(user, dict) else None
    if type(user_id) is not int or not 0 < user_id < 2**63:  # a bool is an int, too
        raise BadInitData("unsigned")
    language = user.get("language_code")
    return user_id, language if isinstance(language, str) else None

"""Whether the bot obeys a 429: until `retry_after` has passed, no call may come to the chat that was named."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """A call that came `early_s` seconds before the silence ended."""

    method: str
    chat_id: int | None
    early_s: float
    told_at: float  # seconds since 1970, like `wall_time`
    wall_time: float


class Silences:
    """What was told to whom. A call of no chat counts for its method alone, one of a chat for the whole chat.

    Calls that arrive within `in_flight_s` of the 429 do not count: they may have been under way.
    """

    def __init__(self) -> None:
        self.in_flight_s = 0.5
        self.violations: list[Violation] = []
        self._told: dict[int | str, tuple[float, float, float]] = {}  # told first, told what counts, until

    def tell(self, method: str, chat_id: int | None, retry_after_s: float) -> None:
        """Note that a call was answered 429."""
        now = time.monotonic()
        key = method if chat_id is None else chat_id
        since, _, until = self._told.get(key, (now, now, now))
        if now + retry_after_s > until:
            self._told[key] = (since if until > now else now, now, now + retry_after_s)

    def arrive(self, method: str, chat_id: int | None) -> None:
        """Note a call that came in."""
        now = time.monotonic()
        since, told, until = self._told.get(method if chat_id is None else chat_id, (now, now, now))
        if now < until and now > since + self.in_flight_s:
            wall = time.time()
            self.violations.append(Violation(method, chat_id, until - now, wall - (now - told), wall))

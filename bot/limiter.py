"""How fast the bot may speak: overall, per chat, per group; and what Telegram's `retry_after` says goes first."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.settings import LimitSettings

EVERY_CHAT = 0  # stands for the whole bot where a chat is named; no chat has this number
_CHAT_BURST = 3.0  # messages that one chat may get at once


@dataclass
class Bucket:
    """Tokens that refill at `rate` a second up to `burst`."""

    rate: float
    burst: float
    tokens: float
    at: float

    def ready(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        return self.tokens >= 1


class Limiter:
    """One for all messages of a bot process. `take` never waits: what may not go now is asked again later."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, limits: LimitSettings | None = None) -> None:
        self._clock = clock
        self._limits = limits or LimitSettings.model_construct()
        rate = self._limits.messages_per_s
        self._all = Bucket(rate, rate, rate, clock())
        self._chats: dict[int, Bucket] = {}
        self._paused: dict[int, float] = {}
        self._told = (0, float("-inf"))  # the chat that got the newest 429, and when

    def take(self, chat_id: int, reserve: float = 0.0, spare: float = 0.0) -> bool:
        """Take leave to send one message now; `reserve` tokens of the bot's are kept back for weightier ones.

        spare: tokens of the chat's that are kept back, too, so that what comes next need not wait.
        """
        now = self._clock()
        if self._rests(chat_id, now):
            return False
        chat = self._chats.get(chat_id)
        if chat is None:
            rate = self._limits.group_messages_per_min / 60 if chat_id < 0 else self._limits.chat_messages_per_s
            chat = self._chats[chat_id] = Bucket(rate, _CHAT_BURST, _CHAT_BURST, now)
        if not (self._all.ready(now) and chat.ready(now)) or self._all.tokens - 1 < reserve or chat.tokens - 1 < spare:
            return False
        self._all.tokens -= 1
        chat.tokens -= 1
        return True

    def take_aside(self, chat_id: int, reserve: float = 0.0) -> bool:
        """Take leave for a call that is no message, and so counts for the bot alone."""
        now = self._clock()
        if self._rests(chat_id, now) or not self._all.ready(now) or self._all.tokens - 1 < reserve:
            return False
        self._all.tokens -= 1
        return True

    def _rests(self, chat_id: int, now: float) -> bool:
        return now < max(self._paused.get(EVERY_CHAT, 0.0), self._paused.get(chat_id, 0.0))

    def pause(self, chat_id: int, retry_after_s: float) -> dict[int, float]:
        """Obey a 429: this chat rests a little longer than told; two chats told within a second rest the whole bot.

        Returns who rests now, `EVERY_CHAT` perhaps among them, and for how many seconds.
        """
        now = self._clock()
        resting = {chat_id: retry_after_s * 1.1}
        if chat_id != self._told[0] and now - self._told[1] <= 1:
            resting[EVERY_CHAT] = retry_after_s * 1.1
        self._told = (chat_id, now)
        self.rest(resting)
        return resting

    def rest(self, seconds: Mapping[int, float]) -> None:
        """Say nothing to these chats for so long; a rest that is longer already stays."""
        now = self._clock()
        for chat_id, rest_s in seconds.items():
            self._paused[chat_id] = max(self._paused.get(chat_id, 0.0), now + rest_s)

    def forget_idle(self) -> None:
        """Drop chats that have all their tokens again, so that memory does not grow with people."""
        now = self._clock()
        self._chats = {chat: bucket for chat, bucket in self._chats.items() if not _idle(bucket, now)}
        self._paused = {chat: end for chat, end in self._paused.items() if end > now}


def _idle(bucket: Bucket, now: float) -> bool:
    return bucket.ready(now) and bucket.tokens >= bucket.burst

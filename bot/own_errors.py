"""Errors of our own on the way to a chat, a picture that cannot be read, say: tried again later, and at last given up."""

import logging
import random
from collections import Counter

from bot.outbox import Outbox
from storage.errors import MediaAway
from storage.post import Delivery, Notice, SendState

log = logging.getLogger(__name__)

_MOST = 8  # tries before a message that we cannot even build is given up


class OwnErrors:
    """Counts them for each message that is owed. `left_behind`: a row may say `sending` though nobody sends it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._count: Counter[tuple[str, int, int]] = Counter()
        self.left_behind = False

    async def after(self, owed: Delivery | Notice, why: Exception) -> None:
        """Try later, or give up after a few. What may have been sent is never sent unmarked.

        A result outlives a media store that is away: the sweep ends it, a day after its deadline.
        """
        key, error = _key(owed), type(why).__name__
        self._count[key] += 1
        for_ever = isinstance(why, MediaAway) and isinstance(owed, Delivery)
        try:
            if for_ever or self._count[key] < _MOST:
                if not await self._outbox.after_own_error(owed, backoff(self._count[key]), error):
                    self.forget(owed)
                return
            del self._count[key]
            if isinstance(owed, Notice):
                await self._outbox.notice_done(owed, SendState.FAILED, None, error)
            elif owed.ordinal == 0:
                await self._outbox.settled(owed.job_id, 0, SendState.FAILED, error)
            else:
                await self._outbox.undeliverable(await self._outbox.job(owed.job_id), error, blocked=False)
        except Exception as second:
            log.error("delivery: %s; looked after later", type(second).__name__)
            self.left_behind = True

    def forget(self, owed: Delivery | Notice) -> None:
        """It has come to its end: whatever went wrong on the way counts no longer."""
        self._count.pop(_key(owed), None)


def backoff(attempts: int) -> float:
    """Seconds until the next try: half a second, doubling up to a minute."""
    return min(60.0, 0.5 * 2.0 ** min(attempts, 10)) * random.uniform(0.7, 1.3)


def _key(owed: Delivery | Notice) -> tuple[str, int, int]:
    return ("notice", owed.id, 0) if isinstance(owed, Notice) else ("delivery", owed.job_id, owed.ordinal)

"""Which chats show a list of what waits, so that it can be brought up to date when something of it has moved on.

Kept in memory, like what a status message says: it is news, and /queue or its button brings it at any time.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bot.said import Said
from storage.domain import Job
from storage.post import Notice

_EVERY_S = 2.0  # between two edits of one list
_FRESH_S = 3600.0  # an older list has scrolled away


@dataclass(frozen=True)
class OpenQueue:
    """A list as it was last shown, and when, on a clock that only goes on. since: when it was sent."""

    notice: Notice
    message_id: int
    said: Said
    at: float
    since: float


class OpenQueues:
    """The newest list of each chat."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[int, OpenQueue] = {}

    def shown(self, notice: Notice, said: Said | None, message_id: int | None) -> None:
        """A message says this from now on: a list of jobs, or something else in the place of one."""
        known, now = self._open.get(notice.chat_id), self._clock()
        if said is not None and said.about and message_id is not None:
            self._open[notice.chat_id] = OpenQueue(notice, message_id, said, now, now)
        elif known is not None and known.message_id == message_id:
            del self._open[notice.chat_id]

    def redrawn(self, queue: OpenQueue, said: Said | None) -> None:
        """A list was drawn anew; None if it is not known to be shown, and is tried again. It ends with its last job."""
        if self._open.get(queue.notice.chat_id) is not queue:
            return  # something newer was shown meanwhile
        if said is not None and not said.about:
            del self._open[queue.notice.chat_id]
            return
        self._open[queue.notice.chat_id] = OpenQueue(
            queue.notice, queue.message_id, said or queue.said, self._clock(), queue.since
        )

    def forget(self, queue: OpenQueue) -> None:
        """The person deleted it."""
        if self._open.get(queue.notice.chat_id) is queue:
            del self._open[queue.notice.chat_id]

    def stale(self, unfinished: Iterable[Job]) -> Iterator[OpenQueue]:
        """Those that list a job which has ended or begun since, each now and then."""
        if not self._open:
            return
        now, present = self._clock(), {(job.id, job.state) for job in unfinished}
        self._open = {chat: queue for chat, queue in self._open.items() if now - queue.since < _FRESH_S}
        for queue in self._open.values():
            if now - queue.at >= _EVERY_S and not queue.said.about <= present:
                yield queue

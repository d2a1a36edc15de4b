"""The queue of updates a bot polls: confirmed by offset, filtered by `allowed_updates`."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from sandbox.changes import Changes
from sandbox.errors import TERMINATED, ApiError
from sandbox.faults import Faults

_OFF_BY_DEFAULT = {"chat_member", "message_reaction", "message_reaction_count"}


@dataclass
class _Pending:
    update: dict[str, Any]
    copies: int


class UpdateQueue:
    """Updates of one bot. Ids begin at a random number and grow by one."""

    def __init__(self, changes: Changes, faults: Faults) -> None:
        self.allowed: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.closed = False
        self._changes = changes
        self._faults = faults
        self._pending: list[_Pending] = []
        self._next_id = random.randrange(100_000_000, 900_000_000)
        self._poller = 0

    def add(self, kind: str, content: dict[str, Any]) -> int | None:
        """Queue an update; its id, or None where the bot did not ask for this kind."""
        wanted = kind in self.allowed if self.allowed else kind not in _OFF_BY_DEFAULT
        if not wanted:
            return None
        copies = 0
        if self._faults.duplicates:
            self._faults.duplicates -= 1
            copies = 1
        update_id = self._next_id
        update = {"update_id": update_id, kind: content}
        self._next_id += 1
        self.sent.append(update)
        self._pending.append(_Pending(update, copies))
        self._changes.fire()
        return update_id

    def replay(self, update_id: int) -> None:
        """Deliver a past update again."""
        update = next(update for update in self.sent if update["update_id"] == update_id)
        self._pending.insert(0, _Pending(update, 1))
        self._changes.fire()

    def drop_pending(self) -> None:
        """Forget what was not delivered."""
        self._pending.clear()

    def __len__(self) -> int:
        return len(self._pending)

    async def poll(self, offset: int, limit: int, timeout_s: float) -> list[dict[str, Any]]:
        """Confirm what lies before `offset`, then hold the request until there is something to answer.

        Raises: ApiError 409 in the older of two concurrent requests.
        """
        self._poller += 1
        mine = self._poller
        self._changes.fire()
        self._confirm(offset)
        deadline = time.monotonic() + timeout_s
        while not self._pending and not self.closed:
            if not await self._changes.wait_until(deadline):
                break
            if mine != self._poller:
                raise ApiError(*TERMINATED)
        batch = [pending.update for pending in self._pending[:limit]]
        if len(batch) > 1 and self._faults.reversals:
            self._faults.reversals -= 1
            batch.reverse()
        return batch

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self._pending = self._pending[offset:]
            return
        kept = []
        for pending in self._pending:
            if pending.update["update_id"] >= offset:
                kept.append(pending)
            elif pending.copies:
                pending.copies -= 1
                kept.append(pending)
        self._pending = kept

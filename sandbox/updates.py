"""The queue of updates of a bot: confirmed by offset where it polls, handed on one by one where it has a webhook."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.changes import Changes
from sandbox.errors import TERMINATED, TERMINATED_BY_WEBHOOK, WEBHOOK_ACTIVE, ApiError
from sandbox.faults import Faults

_OFF_BY_DEFAULT = {"chat_member", "message_reaction", "message_reaction_count"}


@dataclass
class Pending:
    """An update that waits; it owes as many deliveries whatever the offset says."""

    update: dict[str, Any]
    owed: int = 0

    @property
    def id(self) -> int:
        """`update_id`."""
        return int(self.update["update_id"])


@dataclass
class _Held:
    pending: Pending
    until_sent: int
    timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class UpdateQueue:
    """Updates of one bot. Ids begin at a random number and grow by one."""

    def __init__(self, changes: Changes, faults: Faults) -> None:
        self.allowed: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.closed = False
        self._changes = changes
        self._faults = faults
        self._by_id: dict[int, dict[str, Any]] = {}
        self._pending: list[Pending] = []
        self._held: list[_Held] = []
        self._hand_on: Callable[[Pending], None] | None = None
        self._handed_on = 0
        self._next_id = random.randrange(100_000_000, 900_000_000)
        self._highest = 0
        self._poller = 0

    def add(self, kind: str, content: dict[str, Any]) -> int | None:
        """Queue an update; its id, or None where the bot did not ask for this kind."""
        wanted = kind in self.allowed if self.allowed else kind not in _OFF_BY_DEFAULT
        if not wanted:
            return None
        update_id = self._next_id
        update = {"update_id": update_id, kind: content}
        self._next_id += 1
        self.sent.append(update)
        self._by_id[update_id] = update
        fate = self._faults.fate_of_update()
        pending = Pending(update, owed=2 if fate.duplicate else 0)
        if fate.hold_behind:
            self._hold(pending, len(self.sent) + fate.hold_behind, fate.hold_s)
        else:
            self._queue(pending)
        if fate.replay_at is not None:
            self._queue(Pending(self.sent[int(fate.replay_at * len(self.sent))], owed=1))
        for held in [held for held in self._held if held.until_sent <= len(self.sent)]:
            self._let_go(held)
        self._changes.fire()
        return update_id

    def replay(self, update_id: int) -> None:
        """Deliver a past update again, before all that waits."""
        pending = Pending(self._by_id[update_id], owed=1)
        if self._hand_on is None:
            self._pending.insert(0, pending)
        else:
            self._queue(pending)
        self._changes.fire()

    def jump(self, by: int | None = None) -> None:
        """Let the ids go on elsewhere, at random as after a week of silence; also backwards."""
        self._next_id = self._next_id + by if by is not None else random.randrange(100_000_000, 2**31 - 10**6)

    def drop_pending(self) -> None:
        """Forget what was not delivered."""
        self._pending.clear()
        for held in self._held:
            held.stop()
        self._held.clear()
        self._changes.fire()

    def hand_on_to(self, receiver: Callable[[Pending], None] | None) -> None:
        """Give every update to a webhook, those that wait first; None ends that. A poll that waits is thrown out."""
        self._hand_on = receiver
        waiting, self._pending = self._pending, []
        for pending in waiting:
            self._queue(pending)
        self._changes.fire()

    def take_back(self, undelivered: list[Pending]) -> None:
        """Put updates that a webhook did not get back in front."""
        self._handed_on -= len(undelivered)
        later, self._pending = self._pending, []
        for pending in [*sorted(undelivered, key=lambda pending: pending.id), *later]:
            self._queue(pending)
        self._changes.fire()

    def delivered(self) -> None:
        """A webhook has confirmed one update."""
        self._handed_on -= 1
        self._changes.fire()

    def __len__(self) -> int:
        return len(self._pending) + len(self._held) + self._handed_on

    async def poll(self, offset: int, limit: int, timeout_s: float) -> list[dict[str, Any]]:
        """Confirm what lies before `offset`, then hold the request until there is something to answer.

        Raises: ApiError 409 in the older of two concurrent requests, and while a webhook is set.
        """
        if self._hand_on is not None:
            raise ApiError(*WEBHOOK_ACTIVE)
        self._poller += 1
        mine = self._poller
        self._changes.fire()
        self._confirm(offset)
        deadline = time.monotonic() + timeout_s
        while not self._pending and not self.closed:
            if not await self._changes.wait_until(deadline):
                break
            if self._hand_on is not None:
                raise ApiError(*TERMINATED_BY_WEBHOOK)
            if mine != self._poller:
                raise ApiError(*TERMINATED)
        batch = self._pending[:limit]
        if len(batch) > 1 and self._faults.reversals:
            self._faults.reversals -= 1
            batch.reverse()
        for pending in batch:
            pending.owed = max(0, pending.owed - 1)
        return [pending.update for pending in batch]

    def _queue(self, pending: Pending) -> None:
        if self._hand_on is not None:
            self._handed_on += 1
            self._hand_on(pending)
            return
        if pending.id < self._highest:
            pending.owed = max(1, pending.owed)  # held back, or numbered backwards: an offset does not mean this one
        self._highest = max(self._highest, pending.id)
        self._pending.append(pending)

    def _hold(self, pending: Pending, until_sent: int, hold_s: float) -> None:
        held = _Held(pending, until_sent)
        held.timer = asyncio.get_running_loop().call_later(hold_s, self._let_go, held)
        self._held.append(held)

    def _let_go(self, held: _Held) -> None:
        held.stop()
        self._held.remove(held)
        self._queue(held.pending)
        self._changes.fire()

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self._pending = self._pending[offset:]
            return
        if self._pending and offset:
            self._pending = [pending for pending in self._pending if pending.id >= offset or pending.owed]

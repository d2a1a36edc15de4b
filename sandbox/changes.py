"""A bell for coroutines of one event loop: wake whoever waits for something to change."""

from __future__ import annotations

import asyncio
import time


class Changes:
    """Waiters check their condition, wait here, and check again.

    Checking and starting to wait happen without an await in between, so no change is lost.
    """

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def fire(self) -> None:
        """Wake every waiter."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_until(self, deadline: float | None) -> bool:
        """Wait for the next change; False once `deadline` (of `time.monotonic`) has passed."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait_for(waiter, left)
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return True

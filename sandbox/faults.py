"""Switches that make the sandbox behave as Telegram does on a bad day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["too_many_requests", "server_error", "drop_after", "drop_before", "hang_after", "hang_before"]


@dataclass
class Fault:
    """What happens to the next `times` calls of `method` (None: of every method but getUpdates)."""

    kind: Kind
    method: str | None
    times: int
    value: int = 0
    html: bool = False


class Faults:
    """Ordered list of faults; each call meets at most one."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.duplicates = 0
        self.reversals = 0
        self.releases = 0
        self.changed: Callable[[], None] = lambda: None

    def too_many_requests(self, method: str | None = None, *, times: int = 1, retry_after: int = 1) -> None:
        """Answer 429 with `retry_after` seconds; nothing is applied."""
        self._add(Fault("too_many_requests", method, times, retry_after))

    def server_error(self, method: str | None = None, *, times: int = 1, code: int = 502, html: bool = False) -> None:
        """Answer 5xx; with `html` a body that is no JSON, as a proxy in between writes it. Nothing is applied."""
        self._add(Fault("server_error", method, times, code, html))

    def drop_after_applying(self, method: str | None = None, *, times: int = 1) -> None:
        """Apply the call, write it to the ledger, then cut the connection without an answer."""
        self._add(Fault("drop_after", method, times))

    def drop_before_applying(self, method: str | None = None, *, times: int = 1) -> None:
        """Cut the connection; nothing is applied."""
        self._add(Fault("drop_before", method, times))

    def hang(self, method: str | None = None, *, times: int = 1, applied: bool = False) -> None:
        """Never answer, until `release()`, the client's own time limit or the end of the sandbox."""
        self._add(Fault("hang_after" if applied else "hang_before", method, times))

    def duplicate_updates(self, times: int = 1) -> None:
        """Deliver each of the next `times` new updates once more after it was confirmed."""
        self.duplicates += times

    def reverse_updates(self, times: int = 1) -> None:
        """Deliver the next `times` batches of two or more updates newest first."""
        self.reversals += times

    def release(self) -> None:
        """Forget every fault; calls that hang go on."""
        self._faults.clear()
        self.duplicates = self.reversals = 0
        self.releases += 1
        self.changed()

    def take(self, method: str) -> Fault | None:
        """The fault this call meets, counted down."""
        for fault in self._faults:
            if fault.method == method or (fault.method is None and method != "getUpdates"):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    @property
    def pending(self) -> list[Fault]:
        """Faults that have not happened yet."""
        return list(self._faults)

    def _add(self, fault: Fault) -> None:
        if fault.times > 0:
            self._faults.append(fault)

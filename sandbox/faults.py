"""Switches that make the sandbox behave as Telegram does on a bad day: so many times, or by chance with a seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["too_many_requests", "server_error", "refusal", "drop_after", "drop_before", "hang_after", "hang_before"]
Methods = str | Iterable[str] | None


@dataclass
class Fault:
    """What happens to the next `times` calls of `method` (None: of every method but getUpdates)."""

    kind: Kind
    method: str | None
    times: int = 1
    value: int = 0
    html: bool = False
    description: str = ""
    parameters: dict[str, Any] | None = None
    seconds: float | None = None
    chat_id: int | None = None


@dataclass(frozen=True)
class CallRates:
    """Shares of calls that meet a fault by chance."""

    chance: random.Random
    methods: frozenset[str]
    shares: dict[Kind, float]
    retry_after: tuple[int, int]
    hang_s: float

    def draw(self, method: str) -> Fault | None:
        """The fault of one call; every call of these methods draws the same number of times."""
        if method not in self.methods if self.methods else method == "getUpdates":
            return None
        at, retry_after, html = self.chance.random(), self.chance.randint(*self.retry_after), self.chance.random() < 0.5
        for kind, share in self.shares.items():
            if at < share:
                value = retry_after if kind == "too_many_requests" else 502 if html else 500
                return Fault(kind, method, value=value, html=html, seconds=self.hang_s)
            at -= share
        return None


@dataclass(frozen=True)
class UpdateRates:
    """Shares of updates that come twice, late or again."""

    chance: random.Random
    duplicate: float
    reorder: float
    window: int
    hold_s: float
    replay: float


@dataclass(frozen=True)
class UpdateFate:
    """What becomes of one new update: delivered twice, held back behind later ones, and an old one with it."""

    duplicate: bool = False
    hold_behind: int = 0
    hold_s: float = 0.0
    replay_at: float | None = None  # where in the history of updates, from 0 (the first) to 1


@dataclass
class Faults:
    """Ordered list of faults; each call meets at most one. `happened` counts them by kind."""

    duplicates: int = 0
    reversals: int = 0
    releases: int = 0
    changed: Callable[[], None] = lambda: None
    happened: Counter[str] = field(default_factory=Counter)
    _faults: list[Fault] = field(default_factory=list)
    _call_rates: list[CallRates] = field(default_factory=list)
    _update_rates: UpdateRates | None = None

    def too_many_requests(
        self, method: str | None = None, *, times: int = 1, retry_after: int = 1, chat_id: int | None = None
    ) -> None:
        """Answer 429 with `retry_after` seconds; nothing is applied, and calls that come too early are noted."""
        self._add(Fault("too_many_requests", method, times, retry_after, chat_id=chat_id))

    def server_error(
        self, method: str | None = None, *, times: int = 1, code: int = 502, html: bool = False, chat_id: int | None = None
    ) -> None:
        """Answer 5xx; with `html` a body that is no JSON, as a proxy in between writes it. Nothing is applied."""
        self._add(Fault("server_error", method, times, code, html, chat_id=chat_id))

    def refuse(
        self,
        method: str | None = None,
        *,
        times: int = 1,
        code: int = 400,
        description: str = "Bad Request: TOPIC_CLOSED",
        parameters: dict[str, Any] | None = None,
        chat_id: int | None = None,
    ) -> None:
        """Refuse with any of Telegram's errors that the sandbox has no cause for itself."""
        fault = Fault("refusal", method, times, code, description=description, parameters=parameters, chat_id=chat_id)
        self._add(fault)

    def drop_after_applying(self, method: str | None = None, *, times: int = 1, chat_id: int | None = None) -> None:
        """Apply the call, write it to the ledger, then cut the connection without an answer."""
        self._add(Fault("drop_after", method, times, chat_id=chat_id))

    def drop_before_applying(self, method: str | None = None, *, times: int = 1, chat_id: int | None = None) -> None:
        """Cut the connection; nothing is applied."""
        self._add(Fault("drop_before", method, times, chat_id=chat_id))

    def hang(
        self,
        method: str | None = None,
        *,
        times: int = 1,
        applied: bool = False,
        seconds: float | None = None,
        chat_id: int | None = None,
    ) -> None:
        """Never answer: hold the call until `seconds`, `release()` or the end of the sandbox, then cut the connection."""
        self._add(Fault("hang_after" if applied else "hang_before", method, times, seconds=seconds, chat_id=chat_id))

    def rates(
        self,
        *,
        seed: int,
        method: Methods = None,
        too_many_requests: float = 0.0,
        retry_after: tuple[int, int] = (1, 3),
        server_error: float = 0.0,
        drop_before_applying: float = 0.0,
        drop_after_applying: float = 0.0,
        timeout: float = 0.0,
        timeout_after_applying: float = 0.0,
        hang_s: float = 5.0,
    ) -> None:
        """Let shares of the calls meet faults by chance, until `release()`; half of the 5xx carry no JSON.

        Several calls add up, one for each group of methods. `hang_s` is how long a timeout lasts.
        """
        shares: dict[Kind, float] = {
            "too_many_requests": too_many_requests,
            "server_error": server_error,
            "drop_before": drop_before_applying,
            "drop_after": drop_after_applying,
            "hang_before": timeout,
            "hang_after": timeout_after_applying,
        }
        if min(shares.values()) < 0 or sum(shares.values()) > 1:
            raise ValueError("shares lie between 0 and 1, and so does their sum")
        methods = frozenset([method] if isinstance(method, str) else method or ())
        self._call_rates.append(CallRates(random.Random(seed), methods, shares, retry_after, hang_s))

    def update_rates(
        self,
        *,
        seed: int,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        window: int = 50,
        hold_s: float = 1.0,
        replay: float = 0.0,
    ) -> None:
        """Let shares of the new updates come twice, or behind up to `window` later ones, or bring an old one with them.

        An update is held back for `hold_s` seconds at most. Lasts until `release()`.
        """
        self._update_rates = UpdateRates(random.Random(seed), duplicate, reorder, window, hold_s, replay)

    def duplicate_updates(self, times: int = 1) -> None:
        """Deliver each of the next `times` new updates once more after it was confirmed."""
        self.duplicates += times

    def reverse_updates(self, times: int = 1) -> None:
        """Deliver the next `times` polled batches of two or more updates newest first."""
        self.reversals += times

    def release(self) -> None:
        """Forget every fault; calls that hang go on."""
        self._faults.clear()
        self._call_rates.clear()
        self._update_rates = None
        self.duplicates = self.reversals = 0
        self.releases += 1
        self.changed()

    def take(self, method: str, chat_id: int | None = None) -> Fault | None:
        """The fault this call meets, counted down: first those that were ordered, then those by chance."""
        fault = self._ordered(method, chat_id) or next(filter(None, (rates.draw(method) for rates in self._call_rates)), None)
        if fault is not None:
            self.happened[fault.kind] += 1
        return fault

    def fate_of_update(self) -> UpdateFate:
        """What becomes of the next new update."""
        ordered = self.duplicates > 0
        self.duplicates -= ordered
        rates = self._update_rates
        if rates is None:
            fate = UpdateFate(duplicate=ordered)
        else:
            draws = [rates.chance.random() for _ in range(3)]
            behind, replay_at = rates.chance.randint(1, rates.window), rates.chance.random()
            fate = UpdateFate(
                duplicate=ordered or draws[0] < rates.duplicate,
                hold_behind=behind if draws[1] < rates.reorder else 0,
                hold_s=rates.hold_s,
                replay_at=replay_at if draws[2] < rates.replay else None,
            )
        happened = {"duplicate": fate.duplicate, "reorder": fate.hold_behind > 0, "replay": fate.replay_at is not None}
        self.happened.update(kind for kind, happens in happened.items() if happens)
        return fate

    @property
    def pending(self) -> list[Fault]:
        """Ordered faults that have not happened yet."""
        return list(self._faults)

    def _ordered(self, method: str, chat_id: int | None) -> Fault | None:
        for fault in self._faults:
            if fault.chat_id not in (None, chat_id):
                continue
            if fault.method == method or (fault.method is None and method != "getUpdates"):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    def _add(self, fault: Fault) -> None:
        if fault.times > 0:
            self._faults.append(fault)

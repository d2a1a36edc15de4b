"""The outside observer: an append-only record of every call that changed something, and of every refusal."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from heapq import merge
from pathlib import Path
from typing import Any, TextIO

from sandbox.silences import Silences, Violation


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `answered` is False where the connection was cut after applying; `error` is empty where accepted."""

    number: int
    method: str
    params: dict[str, Any]
    message_id: int | None
    answered: bool
    error: str
    wall_time: float
    monotonic: float

    @property
    def chat_id(self) -> int | None:
        """The chat the call names."""
        return chat_of(self.params)

    def to_json(self) -> dict[str, Any]:
        """As the file and the REST addresses show it."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = [field.name for field in fields(Call)]


def chat_of(params: dict[str, Any]) -> int | None:
    """The number in `chat_id`."""
    try:
        return int(params["chat_id"])
    except (KeyError, TypeError, ValueError):
        return None


class Ledger:
    """Reads like a list of accepted calls (getUpdates changes nothing and is left out).

    With a path, every call is a line of that file before its answer leaves, with `fsync` also on the disk: the calls
    that come while one sync runs share the next.
    """

    def __init__(self, path: Path | None = None, *, fsync: bool = False) -> None:
        self.refused: list[Call] = []
        self.silences = Silences()
        self._calls: list[Call] = []
        self._by_method: defaultdict[str, list[Call]] = defaultdict(list)
        self._by_chat: defaultdict[int, list[Call]] = defaultdict(list)
        self._path = path
        self._file: TextIO | None = None
        self._fsync = fsync
        self._synced = 0
        self._syncing: asyncio.Task[None] | None = None

    @property
    def violations(self) -> list[Violation]:
        """Calls that came before the `retry_after` of a 429 was over."""
        return self.silences.violations

    def accept(self, method: str, params: dict[str, Any], message_id: int | None, *, answered: bool) -> Call:
        """Record a call that was applied, before its answer leaves."""
        call = self._call(len(self._calls), method, params, message_id, answered, "")
        self._calls.append(call)
        self._by_method[method].append(call)
        if call.chat_id is not None:
            self._by_chat[call.chat_id].append(call)
        self._write(call)
        return call

    def refuse(self, method: str, params: dict[str, Any], error: str) -> None:
        """Record a call that changed nothing."""
        self.refused.append(self._call(len(self.refused), method, params, None, True, error))

    async def settle(self) -> None:
        """Wait until every call recorded so far is on the disk."""
        wanted = len(self._calls)
        while self._fsync and self._file is not None and self._synced < wanted:
            if self._syncing is None:
                self._syncing = asyncio.create_task(self._sync())
            await asyncio.shield(self._syncing)

    def of(self, *methods: str, chat_id: int | None = None) -> list[Call]:
        """Accepted calls of these methods, in one chat if one is named."""
        if chat_id is not None:
            return [call for call in self._by_chat.get(chat_id, ()) if call.method in methods]
        if len(methods) == 1:
            return list(self._by_method.get(methods[0], ()))
        return list(merge(*(self._by_method.get(method, ()) for method in set(methods)), key=lambda call: call.number))

    def count(self, method: str | None = None) -> int:
        """How many calls were accepted, of one method if it is named."""
        return len(self._calls) if method is None else len(self._by_method.get(method, ()))

    def counts(self) -> dict[str, int]:
        """Accepted calls by method."""
        return {method: len(calls) for method, calls in self._by_method.items()}

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            if self._fsync:
                os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, index: int) -> Call:
        return self._calls[index]

    @staticmethod
    def _call(number: int, method: str, params: dict[str, Any], message_id: int | None, answered: bool, error: str) -> Call:
        return Call(number, method, params, message_id, answered, error, time.time(), time.monotonic())

    def _write(self, call: Call) -> None:
        if self._path is None:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
        self._file.write(json.dumps(call.to_json()) + "\n")
        self._file.flush()

    async def _sync(self) -> None:
        """Bring all that is written now to the disk."""
        written = len(self._calls)
        try:
            if self._file is not None:
                await asyncio.to_thread(os.fsync, self._file.fileno())
            self._synced = written
        finally:
            self._syncing = None

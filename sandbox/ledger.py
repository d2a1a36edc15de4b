"""The outside observer: an append-only record of every call that changed something, and of every refusal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True)
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
        try:
            return int(self.params["chat_id"])
        except (KeyError, TypeError, ValueError):
            return None


class Ledger:
    """Reads like a list of accepted calls (getUpdates changes nothing and is left out)."""

    def __init__(self, path: Path | None = None) -> None:
        self.refused: list[Call] = []
        self._calls: list[Call] = []
        self._path = path
        self._file: TextIO | None = None

    def accept(self, method: str, params: dict[str, Any], message_id: int | None, *, answered: bool) -> Call:
        """Record a call that was applied, before its answer leaves."""
        call = self._call(len(self._calls), method, params, message_id, answered, "")
        self._calls.append(call)
        self._write(call)
        return call

    def refuse(self, method: str, params: dict[str, Any], error: str) -> None:
        """Record a call that changed nothing."""
        self.refused.append(self._call(len(self.refused), method, params, None, True, error))

    def of(self, *methods: str, chat_id: int | None = None) -> list[Call]:
        """Accepted calls of these methods, in one chat if one is named."""
        return [c for c in self._calls if c.method in methods and (chat_id is None or c.chat_id == chat_id)]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
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
        self._file.write(json.dumps(asdict(call)) + "\n")
        self._file.flush()

"""Networks taking turns on a device that cannot hold all of them: what is asked for comes, what was used longest ago leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

_GB = 1e9
_NOTHING: Callable[[], None] = lambda: None  # noqa: E731 (a name for the dataclass below)


@dataclass(frozen=True)
class Visitor:
    """A network that visits. work: gigabytes it needs beside its weights.  arrive, leave: called after and before a move."""

    network: nn.Module
    work: float
    arrive: Callable[[], None] = _NOTHING
    leave: Callable[[], None] = _NOTHING

    @cached_property
    def gigabytes(self) -> float:
        """Of its weights."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / _GB


class Residency:
    """Keeps the networks of one device within so many gigabytes; the rest waits in the CPU's memory."""

    def __init__(
        self, device: torch.device, gigabytes: float, move: Callable[[nn.Module, torch.device], object] | None = None
    ) -> None:
        self._device = device
        self._gigabytes = gigabytes
        self._move = move or (lambda network, place: network.to(place))
        self._here: dict[int, Visitor] = {}  # the one used last comes last

    @property
    def takes_turns(self) -> bool:
        """Whether anything ever moves; a CPU's own memory is where networks wait."""
        return self._device.type != "cpu"

    def visit(self, visitor: Visitor, *methods: str, owner: object = None) -> None:
        """Bring a network to the device before any of these methods of it, or of its owner, runs."""
        if not self.takes_turns:
            return
        for method in methods:
            self._guard(visitor, owner or visitor.network, method)

    def admit(self, visitor: Visitor) -> None:
        """Bring a network to the device; those that it leaves no room for go, whoever was used longest ago first."""
        key = id(visitor.network)
        if key in self._here:
            self._here[key] = self._here.pop(key)
        need = visitor.gigabytes + visitor.work
        for other in [each for each, present in self._here.items() if each != key and present is not visitor]:
            if self._taken(key) + need <= self._gigabytes:
                break
            self._dismiss(other)
        if key not in self._here:
            self._move(visitor.network, self._device)
            visitor.arrive()
            self._here[key] = visitor

    def _taken(self, key: int) -> float:
        return sum(present.gigabytes for each, present in self._here.items() if each != key)

    def _dismiss(self, key: int) -> None:
        visitor = self._here.pop(key)
        visitor.leave()
        self._move(visitor.network, torch.device("cpu"))

    def _guard(self, visitor: Visitor, owner: object, method: str) -> None:
        inner = getattr(owner, method)

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.admit(visitor)
            return inner(*args, **kwargs)

        object.__setattr__(owner, method, guarded)  # an owner may be a frozen dataclass

"""Running out of memory: how to recognise it, and doing less at once instead."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from engine.errors import OutOfMemory

Item = TypeVar("Item")
Result = TypeVar("Result")


def is_out_of_memory(error: Exception) -> bool:
    """Whether this is torch's or Python's way of saying so, on any device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


@contextmanager
def within_memory(sentence: str) -> Iterator[None]:
    """Say this sentence if memory runs out inside.

    Raises: OutOfMemory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(sentence) from error


def give_all_back() -> None:
    """Let go of all memory that nothing uses: what torch keeps for later is split into pieces that may be too small."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Ladder:
    """Calls something with as many items at once as memory allows: half as many after each failure, down to one.

    at_once: how many at first; keeps what was found.  sentence: what to say when not even one fits.
    """

    def __init__(self, at_once: int, sentence: str) -> None:
        self.at_once = at_once
        self._sentence = sentence

    def climb(self, items: Sequence[Item], call: Callable[[Sequence[Item]], Result]) -> Iterator[tuple[Sequence[Item], Result]]:
        """Yield parts of `items` in order, each with what `call` made of it. `call` must be free to be repeated.

        Raises: OutOfMemory.
        """
        done = 0
        while done < len(items):
            part = items[done : done + self.at_once]
            for result in self._attempt(part, call):
                yield part, result
                done += len(part)

    def _attempt(self, part: Sequence[Item], call: Callable[[Sequence[Item]], Result]) -> list[Result]:
        """What `call` made of it, or nothing if memory did not suffice for more than one item."""
        try:
            return [call(part)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                raise OutOfMemory(self._sentence) from error
        self.at_once = len(part) // 2  # outside of the handler: the error's frames hold tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return []

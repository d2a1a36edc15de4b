from collections.abc import Callable, Sequence

import pytest
import torch

from engine.errors import OutOfMemory
from engine.memory import Ladder, is_out_of_memory, within_memory


def fitting(limit: int, calls: list[int]) -> Callable[[Sequence[int]], list[int]]:
    """A call that memory allows for so many items at once."""

    def call(part: Sequence[int]) -> list[int]:
        calls.append(len(part))
        if len(part) > limit:
            raise torch.OutOfMemoryError
        return [item * item for item in part]

    return call


def test_a_ladder_halves_until_it_fits_and_does_everything_once():
    calls: list[int] = []
    ladder = Ladder(15, "")

    squares = [square for _, part in ladder.climb(range(20), fitting(4, calls)) for square in part]

    assert squares == [item * item for item in range(20)]
    assert calls == [15, 7, 3, 3, 3, 3, 3, 3, 2]
    assert ladder.at_once == 3  # the next call begins with what fits


def test_what_is_left_over_does_not_make_the_ladder_shorter():
    ladder = Ladder(4, "")
    list(ladder.climb(range(5), fitting(4, [])))
    assert ladder.at_once == 4


def test_when_not_even_one_fits_the_ladder_says_so():
    with pytest.raises(OutOfMemory, match="a single window"):
        list(Ladder(4, "no memory for a single window").climb(range(4), fitting(0, [])))


def test_other_errors_pass_a_ladder_at_once():
    def call(part: Sequence[int]) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(Ladder(4, "").climb(range(4), call))


@pytest.mark.parametrize("size", [1 << 60, 1 << 50])
def test_torch_without_memory_on_a_cpu_is_recognised(size: int):
    with pytest.raises(RuntimeError) as caught:
        torch.empty(size, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_running_out_inside_is_one_class_of_error_with_a_sentence():
    with pytest.raises(OutOfMemory, match="send a smaller one"), within_memory("send a smaller one"):
        raise MemoryError
    with pytest.raises(RuntimeError, match="something else"), within_memory("send a smaller one"):
        raise RuntimeError("something else")

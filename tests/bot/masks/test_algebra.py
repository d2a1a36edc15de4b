"""Masks grown, shrunk and inverted."""

import numpy as np
import pytest

from bot.masks.algebra import grow, invert, share, shrink
from engine.marked import Mask


def square(side: int, start: float = 0.3, end: float = 0.7) -> Mask:
    mask = np.zeros((side, side), bool)
    mask[round(side * start) : round(side * end), round(side * start) : round(side * end)] = True
    return mask


def test_a_radius_means_the_same_at_any_size() -> None:
    shares = [share(grow(square(side), 0.05)) for side in (100, 400)]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)
    assert shares[0] == pytest.approx(0.5**2, abs=0.01)


def test_what_shrank_lies_inside_and_what_grew_outside() -> None:
    mask = square(100)
    assert share(shrink(mask)) < share(mask) < share(grow(mask))
    assert not (shrink(mask) & ~mask).any()
    assert not (mask & ~grow(mask)).any()
    assert not shrink(mask, 0.3).any()


def test_what_is_inverted_twice_is_as_it_was() -> None:
    mask = square(100)
    assert share(invert(mask)) == pytest.approx(1 - share(mask))
    assert np.array_equal(invert(invert(mask)), mask)

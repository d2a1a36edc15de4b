"""Masks grown, shrunk, feathered, inverted, added and subtracted."""

import numpy as np
import pytest

from bot.masks.algebra import add, feather, grow, invert, share, shrink, subtract
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
    assert not subtract(shrink(mask), mask).any()
    assert not subtract(mask, grow(mask)).any()
    assert not shrink(mask, 0.3).any()


def test_masks_are_added_subtracted_and_inverted() -> None:
    one, other = square(100, 0.1, 0.5), square(100, 0.3, 0.9)
    assert share(add(one, other)) == pytest.approx(0.16 + 0.36 - 0.04)
    assert np.array_equal(add(subtract(one, other), one & other), one)
    assert np.array_equal(invert(invert(one)), one)
    with pytest.raises(ValueError, match="two pictures"):
        add(one, square(50))


def test_a_feathered_mask_changes_nothing_outside() -> None:
    mask = square(100)
    alpha = feather(mask, 0.1)
    assert (alpha[~mask] == 0).all()
    assert (alpha[mask] > 0).all()
    assert alpha[50, 50] == 1
    assert 0 < alpha[50, 32] < alpha[50, 36] < 1

"""Pictures known again. The rates are measured by `benchmarks.likeness`."""

from random import Random

import numpy as np
import pytest

from benchmarks.drawings import nano_picture, photograph
from benchmarks.likeness import Change, rescaled, screenshot, twice
from bot.likeness import LENGTH, find, look, looks, nearest

PICTURES = [nano_picture(seed, 256) for seed in range(12)] + [photograph("cat", 400), photograph("coffee", 400)]
KNOWN = [look(picture) for picture in PICTURES]


@pytest.mark.parametrize("change", [rescaled, twice, screenshot])
def test_a_picture_that_came_back_is_found_and_no_other(change: Change) -> None:
    for index in (0, 3, 7, 12, 13):
        matches = find(looks(change(PICTURES[index], Random(index))), KNOWN)
        assert [match.index for match in matches] == [index]


def test_another_picture_is_not_found() -> None:
    for seed in range(100, 110):
        assert find(looks(nano_picture(seed, 256)), KNOWN) == []
    assert find(looks(PICTURES[0]), []) == []


def test_the_picture_is_found_among_ten_thousand() -> None:
    rng = np.random.default_rng(0)
    many = [rng.bytes(LENGTH) for _ in range(9_999)] + [KNOWN[5]]
    assert [match.index for match in find(looks(rescaled(PICTURES[5], Random(0))), many)] == [9_999]


def test_a_picture_that_was_painted_on_is_among_the_nearest() -> None:
    painted = PICTURES[4].copy()
    painted.paste("white", (20, 20, 120, 150))
    assert 4 in nearest(look(painted), KNOWN)

"""A picture that was sent again, as it was, cut, or drawn on, without saying which it was."""

from random import Random

import pytest

from benchmarks.drawings import PENS, nano_picture, overlap, photograph
from benchmarks.likeness import Change, rescaled, trimmed
from bot.likeness import look
from bot.recognition import recognise
from sandbox.pencil import Stroke, circle
from tests.bot.masks.drawn import back, plane_of

PICTURES = [nano_picture(seed, 512) for seed in range(6)] + [photograph("cat", 512), photograph("coffee", 512)]
KNOWN = [look(picture) for picture in PICTURES]


@pytest.mark.parametrize(("index", "change"), [(2, rescaled), (3, trimmed), (6, trimmed)])
def test_a_picture_is_known_again(index: int, change: Change) -> None:
    found = recognise(change(PICTURES[index], Random(index)), KNOWN, PICTURES.__getitem__)
    assert found is not None
    assert (found.index, found.drawn) == (index, None)


@pytest.mark.parametrize("index", [1, 7])
def test_what_was_drawn_on_it_is_seen(index: int) -> None:
    line = circle(0.4, 0.5, 0.25)
    found = recognise(back(PICTURES[index], Stroke(line, PENS["green"], 0.006)), KNOWN, PICTURES.__getitem__)
    assert found is not None
    assert found.index == index
    assert found.drawn is not None
    assert overlap(found.drawn.mask, plane_of(PICTURES[index], line)) >= 0.9


def test_a_stranger_is_none_of_them_and_a_lost_picture_is_passed_over() -> None:
    assert recognise(photograph("rocket", 512), KNOWN, PICTURES.__getitem__) is None
    assert recognise(back(PICTURES[7], Stroke(circle(0.4, 0.5, 0.3))), KNOWN, lambda _: None) is None

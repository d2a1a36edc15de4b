"""What strokes enclose, nearly enclose, and do not."""

import numpy as np
import pytest

from benchmarks.drawings import overlap
from bot.masks.closing import closed
from engine.marked import Mask
from sandbox.pencil import Point, Stroke, circle, painted, rectangle

SIZE = (480, 360)


def drawn(*lines: list[Point], filled: bool = False) -> Mask:
    plane = np.zeros(SIZE[::-1], bool)
    for line in lines:
        plane |= np.asarray(painted(SIZE, Stroke(line, filled=filled))) >= 128
    return plane


def test_a_closed_outline_means_its_inside() -> None:
    line = circle(0.5, 0.5, 0.3)
    assert np.array_equal(closed(drawn(line)), drawn(line, filled=True))


@pytest.mark.parametrize("missing", [2, 4, 6])
def test_a_nearly_closed_outline_is_closed(missing: int) -> None:
    line = circle(0.5, 0.5, 0.3)
    assert overlap(closed(drawn(line[missing:])), drawn(line, filled=True)) > 0.97


def test_an_outline_in_several_strokes_is_one() -> None:
    line = rectangle(0.2, 0.2, 0.8, 0.7)
    sides = [[line[side], line[side + 1]] for side in range(4)]
    shorter = [[(x + 0.04 * (u - x), y + 0.04 * (v - y)), (u, v)] for (x, y), (u, v) in sides]
    assert overlap(closed(drawn(*shorter)), drawn(line, filled=True)) > 0.97


def test_neighbours_are_not_joined() -> None:
    left, right = rectangle(0.1, 0.2, 0.45, 0.8), rectangle(0.5, 0.2, 0.9, 0.8)
    assert overlap(closed(drawn(left, right)), drawn(left, right, filled=True)) > 0.97


@pytest.mark.parametrize("points", [[(0.2, 0.5), (0.8, 0.5)], circle(0.5, 0.5, 0.3)[:40], [(0.0, 0.5), (1.0, 0.5)]])
def test_an_open_line_encloses_nothing(points: list[Point]) -> None:
    assert np.array_equal(closed(drawn(points)), drawn(points))


def test_a_corner_that_is_cut_off_is_meant() -> None:
    found = closed(drawn([(0.3, 0.0), (0.3, 0.4), (0.0, 0.4)]))
    assert overlap(found, drawn(rectangle(0, 0, 0.3, 0.4), filled=True)) > 0.95


def test_no_strokes_are_no_mask() -> None:
    assert not closed(np.zeros((20, 30), bool)).any()

"""Planes of marked pixels, against answers that were counted by hand or made by brute force."""

import numpy as np
import pytest

from bot.masks.plane import boxes, distance, grown, holes, labelled, shrunk, without_specks
from engine.marked import Box, Mask


def plane(*rows: str) -> Mask:
    return np.array([[letter == "#" for letter in row] for row in rows])


RING = plane(
    ".......",
    ".####..",
    ".#..#..",
    ".#..#.#",
    ".####..",
    ".......",
)  # fmt: skip


def test_a_distance_is_that_to_the_nearest_marked_pixel() -> None:
    mask = np.random.default_rng(0).random((23, 31)) < 0.02
    y, x = np.nonzero(mask)
    rows, columns = np.indices(mask.shape)
    nearest = np.hypot(rows[..., None] - y, columns[..., None] - x).min(axis=-1)
    assert np.allclose(distance(mask, 6), np.where(nearest <= 6, nearest, 7), atol=1e-3) or np.allclose(
        distance(mask, 6), np.minimum(nearest, 7), atol=1e-3
    )


def test_nothing_is_far_from_everything() -> None:
    assert (distance(np.zeros((5, 5), bool), 3) == 4).all()


def test_a_mask_grows_to_a_disc_and_shrinks_back() -> None:
    dot = np.zeros((21, 21), bool)
    dot[10, 10] = True
    disc = grown(dot, 5)
    assert disc.sum() == 81  # pixels whose middle is within 5 of the middle one
    assert np.array_equal(shrunk(disc, 4.9), dot)


def test_borders_of_the_picture_are_no_edges() -> None:
    half = np.zeros((10, 10), bool)
    half[:, :5] = True
    assert np.array_equal(np.flatnonzero(shrunk(half, 2).all(axis=0)), [0, 1, 2])


@pytest.mark.parametrize(("diagonal", "islands"), [(True, 3), (False, 4)])
def test_islands_are_counted(diagonal: bool, islands: int) -> None:
    mask = plane("#.#..#", "#.#..#", "###.#.", "......", "#.....")
    assert labelled(mask, diagonal=diagonal).max() == islands
    assert np.array_equal(labelled(mask, diagonal=diagonal) > 0, mask)


def test_a_winding_island_is_one() -> None:
    spiral = plane("#######", "......#", "#####.#", "#...#.#", "#.#.#.#", "#.###.#", "#.....#", "#######")
    assert labelled(spiral, diagonal=False).max() == 1


def test_a_ring_encloses_what_no_way_leads_out_of() -> None:
    assert holes(RING).sum() == 4
    open_ring = RING.copy()
    open_ring[2, 4] = False
    assert not holes(open_ring).any()


def test_specks_go_and_the_rest_stays() -> None:
    assert without_specks(RING, 2).sum() == RING.sum() - 1


def test_boxes_lie_around_islands() -> None:
    assert boxes(RING) == [Box(1, 1, 5, 5), Box(6, 3, 7, 4)]
    assert boxes(np.zeros((3, 3), bool)) == []

"""Planes of marked pixels: distances, growing, islands and holes, with numpy alone."""

import numpy as np
import numpy.typing as npt

from engine.marked import Box, Mask

Distances = npt.NDArray[np.float32]  # (H, W), pixels
Labels = npt.NDArray[np.int32]  # (H, W), 0 is nothing
Indices = npt.NDArray[np.intp]


def distance(mask: Mask, limit: float) -> Distances:
    """How far each pixel is from the nearest marked one, centre to centre; `limit + 1` stands for all that is farther."""
    far = np.float32(limit + 1)
    rows = np.arange(mask.shape[0], dtype=np.float32)[:, None]
    above = np.maximum.accumulate(np.where(mask, rows, -np.inf), axis=0)
    below = np.minimum.accumulate(np.where(mask, rows, np.inf)[::-1], axis=0)[::-1]
    column = np.minimum(np.minimum(rows - above, below - rows), far).astype(np.float32) ** 2
    nearest = column.copy()
    for step in range(1, min(int(limit), mask.shape[1] - 1) + 1):  # in no other column can a nearer one be
        away = column + np.float32(step * step)
        np.minimum(nearest[:, step:], away[:, :-step], out=nearest[:, step:])
        np.minimum(nearest[:, :-step], away[:, step:], out=nearest[:, :-step])
    result: Distances = np.minimum(np.sqrt(nearest), far)
    return result


def grown(mask: Mask, radius: float) -> Mask:
    """The mask and what is within a radius of it, in pixels."""
    return mask if radius < 1 else distance(mask, radius) <= radius


def shrunk(mask: Mask, radius: float) -> Mask:
    """The mask without what is within a radius of its edge; the borders of the picture are no edges."""
    return ~grown(~mask, radius)


def labelled(mask: Mask, *, diagonal: bool = True) -> Labels:
    """Number the islands of a mask from 1 on, in reading order. diagonal: whether corners connect."""
    labels: Labels = np.zeros(mask.shape, np.int32)
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)  # runs of marked pixels, row by row
    end = np.nonzero(edges == -1)[1]
    if len(row):
        upper, lower = _touching(row, start, end, mask.shape[1] + 4, int(diagonal))
        roots = _joined(len(row), upper, lower)
        numbers = np.unique(roots, return_inverse=True)[1].astype(np.int32) + 1
        labels[mask] = np.repeat(numbers, end - start)
    return labels


def _touching(row: Indices, start: Indices, end: Indices, stride: int, reach: int) -> tuple[Indices, Indices]:
    """Pairs of runs that touch, one in each of two neighbouring rows."""
    next_row = (row + 1) * stride + 1
    first = np.searchsorted(row * stride + 1 + end, next_row + start - reach, side="right")
    last = np.searchsorted(row * stride + 1 + start, next_row + end + reach, side="left")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(row)), counts)
    within = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + within


def _joined(count: int, one: Indices, other: Indices) -> Indices:
    """The smallest member of the set that each of `count` things belongs to, given pairs that belong together."""
    root = np.arange(count)
    while len(one) and not np.array_equal(root[one], root[other]):
        lowest = np.minimum(root[one], root[other])
        linked = root.copy()
        np.minimum.at(linked, root[one], lowest)
        np.minimum.at(linked, root[other], lowest)
        while not np.array_equal(linked, linked[linked]):
            linked = linked[linked]
        root = linked[root]
    return root


def without_specks(mask: Mask, least: float) -> Mask:
    """The mask without islands of fewer pixels."""
    labels = labelled(mask)
    keeps = np.bincount(labels.ravel()) >= least
    keeps[0] = False
    kept: Mask = keeps[labels]
    return kept


def holes(mask: Mask) -> Mask:
    """What the mask encloses: the pixels from which no way leads to the picture's borders."""
    free = np.pad(~mask, 1, constant_values=True)
    labels = labelled(free, diagonal=False)
    enclosed: Mask = (free & (labels != labels[0, 0]))[1:-1, 1:-1]
    return enclosed


def boxes(mask: Mask) -> list[Box]:
    """The rectangle around each island, in reading order of the islands."""
    labels = labelled(mask)
    y, x = np.nonzero(labels)
    numbers, count = labels[y, x], int(labels.max())
    lows, highs = np.full((2, count + 1), max(mask.shape), np.intp), np.zeros((2, count + 1), np.intp)
    for axis, places in enumerate((x, y)):
        np.minimum.at(lows[axis], numbers, places)
        np.maximum.at(highs[axis], numbers, places)
    return [Box(*(int(v) for v in (*lows[:, n], *(highs[:, n] + 1)))) for n in range(1, count + 1)]

"""What objects look like: the silhouette of every shape, and what is painted on it.

Coordinates are those of the object's bounding box, [-1, 1]^2 with y down. The silhouettes are ours, to be told apart at 16 x 16.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Points = NDArray[np.float64]  # (N, 2)
Paint = Literal["ink", "shade", "brick", "wood", "cream", "heart"]


@dataclass(frozen=True)
class Detail:
    """A part painted over the silhouette. points: (N, 2)."""

    paint: Paint
    points: Floats


def outline(shape: str) -> Floats:
    """Corners of a shape in its bounding box: (N, 2)."""
    return _figure(shape)[0]


def details(shape: str) -> tuple[Detail, ...]:
    """What is painted over it, in order; nothing on circle, square and their like."""
    return _figure(shape)[1]


@lru_cache
def _figure(shape: str) -> tuple[Floats, tuple[Detail, ...]]:
    points, parts = _silhouette(shape), _PARTS.get(shape, _nothing)()
    if shape not in ("circle", "square", "triangle", "cross"):  # the others fill their box as they are
        low, high = points.min(axis=0), points.max(axis=0)
        middle, scale = (low + high) / 2, 2 / (high - low).max()
        points = (points - middle) * scale
        parts = [(paint, (part - middle) * scale) for paint, part in parts]
    return points.astype(np.float32), tuple(Detail(paint, part.astype(np.float32)) for paint, part in parts)


def _silhouette(shape: str) -> Points:
    if shape == "circle":
        return _ellipse(0, 0, 1, 1, 96)
    if shape == "square":
        return 0.92 * _points((-1, -1), (1, -1), (1, 1), (-1, 1))
    if shape == "triangle":
        return _points((0, -0.88), (1, 0.88), (-1, 0.88))
    if shape == "star":
        return _spiked(5, 0.45)
    if shape == "heart":
        t = np.linspace(0, 2 * math.pi, 64, endpoint=False)
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return np.stack([16 * np.sin(t) ** 3, -y], axis=1)
    if shape == "cross":
        w = 0.34
        upper = _points((-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w))
        return np.concatenate([upper, -upper])
    if shape == "house":
        return _points(
            (-1, -0.12), (0, -1), (0.4, -0.65), (0.4, -0.98), (0.68, -0.98), (0.68, -0.4), (1, -0.12),
            (0.78, -0.12), (0.78, 1), (-0.78, 1), (-0.78, -0.12),
        )  # fmt: skip
    if shape == "tree":
        crown = _arc(0, -0.3, 0.72, 0.7, 100, 440, 72)
        angles = np.linspace(0, 1, len(crown))
        crown = (crown - (0, -0.3)) * (1 + 0.09 * np.cos(angles * 14 * math.pi))[:, None] + (0, -0.3)
        return np.concatenate([crown, _points((0.17, 1), (-0.17, 1))])
    if shape == "cat":
        head = [_arc(0, 0.14, 0.98, 0.82, start, stop, 24) for start, stop in ((-34, 214), (246, 294))]
        return np.concatenate([head[0], _points((-0.82, -1)), head[1], _points((0.82, -1))])
    if shape == "sun":
        return _spiked(12, 0.7)
    if shape == "moon":
        outer = _arc(0, 0, 1, 1, 42, 318, 64)
        inner = _arc(0.404, 0, 0.75, 0.75, -63.1, -296.9, 48)
        return np.concatenate([outer, inner[1:-1]])
    if shape == "flower":
        angles = np.linspace(0, 2 * math.pi, 96, endpoint=False) - math.pi / 2
        away = (angles + math.pi / 2 + math.pi / 6) % (math.pi / 3) - math.pi / 6  # from the nearest petal's axis
        reach = 0.62 * np.cos(away) + np.sqrt(0.36**2 - (0.62 * np.sin(away)) ** 2)
        return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)
    if shape == "fish":
        body = _arc(-0.25, 0, 0.75, 0.66, 20, 340, 56)
        return np.concatenate([body, _points((1, -0.66), (0.82, 0), (1, 0.66))])
    if shape == "boat":
        return _points((-1, 0.38), (-0.72, 0.38), (-0.05, -1), (0.05, -1), (0.82, 0.38), (1, 0.38), (0.62, 1), (-0.62, 1))
    raise ValueError(f"unknown shape {shape!r}")


Parts = list[tuple[Paint, Points]]


def _nothing() -> Parts:
    return []


def _house() -> Parts:
    roof = _points((-1, -0.12), (0, -1), (0.4, -0.65), (0.4, -0.98), (0.68, -0.98), (0.68, -0.4), (1, -0.12))
    return [("brick", roof), ("wood", _box(-0.02, 0.36, 0.36, 1.0)), ("cream", _box(-0.56, 0.16, -0.2, 0.54))]


def _tree() -> Parts:
    return [("wood", _points((0.136, 0.36), (0.17, 1), (-0.17, 1), (-0.136, 0.36)))]


def _cat() -> Parts:
    whiskers: Parts = []
    for side in (-1, 1):
        for tilt in (-0.1, 0.1):
            whiskers.append(("ink", _line((side * 0.34, 0.45 + tilt / 2), (side * 0.84, 0.43 + 2 * tilt), 0.05)))
    eyes: Parts = [("ink", _ellipse(side * 0.38, 0.04, 0.13, 0.18, 20)) for side in (-1, 1)]
    return [*whiskers, *eyes, ("ink", _points((-0.14, 0.3), (0.14, 0.3), (0, 0.47)))]


def _sun() -> Parts:
    smile = np.concatenate([_arc(0, 0.06, 0.34, 0.34, 20, 160, 16), _arc(0, 0.0, 0.3, 0.26, 160, 20, 16)])
    return [("ink", smile), *(("ink", _ellipse(side * 0.24, -0.16, 0.09, 0.12, 16)) for side in (-1, 1))]


def _moon() -> Parts:
    return [("shade", _ellipse(-0.6, -0.3, 0.14, 0.14, 20)), ("shade", _ellipse(-0.62, 0.3, 0.11, 0.11, 20))]


def _flower() -> Parts:
    return [("heart", _ellipse(0, 0, 0.34, 0.34, 32))]


def _fish() -> Parts:
    tail = _points((0.52, -0.12), (0.86, -0.42), (0.72, 0), (0.86, 0.42), (0.52, 0.12))
    return [
        ("shade", tail),
        ("shade", _points((-0.25, -0.05), (0.15, 0.16), (-0.25, 0.34))),
        ("ink", _ellipse(-0.62, -0.16, 0.13, 0.13, 20)),
    ]


def _boat() -> Parts:
    hull = _points((-1, 0.38), (1, 0.38), (0.62, 1), (-0.62, 1))
    return [("wood", hull), ("ink", _box(-0.05, -1, 0.05, 0.38))]


_PARTS = {
    "house": _house, "tree": _tree, "cat": _cat, "sun": _sun, "moon": _moon, "flower": _flower, "fish": _fish, "boat": _boat,
}  # fmt: skip


def _points(*corners: tuple[float, float]) -> Points:
    return np.array(corners, dtype=np.float64)


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return _points((left, top), (right, top), (right, bottom), (left, bottom))


def _arc(x: float, y: float, across: float, down: float, start: float, stop: float, count: int) -> Points:
    """Part of an ellipse between two angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, count))
    return np.stack([x + across * np.cos(angles), y + down * np.sin(angles)], axis=1)


def _ellipse(x: float, y: float, across: float, down: float, count: int) -> Points:
    return _arc(x, y, across, down, 0, 360 - 360 / count, count)


def _spiked(tips: int, inner: float) -> Points:
    angles = math.pi * (np.arange(2 * tips) / tips - 0.5)
    reach = np.where(np.arange(2 * tips) % 2 == 0, 1.0, inner)
    return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)


def _line(start: tuple[float, float], end: tuple[float, float], width: float) -> Points:
    """A stroke as a polygon."""
    a, b = np.array(start), np.array(end)
    across = np.array([a[1] - b[1], b[0] - a[0]])
    across = across / np.linalg.norm(across) * width / 2
    return np.stack([a + across, b + across, b - across, a - across])


def area_and_centroid(points: Sequence[Sequence[float]] | NDArray[np.floating]) -> tuple[float, Points]:
    """Signed area of a polygon and its centroid (2,)."""
    corners = np.asarray(points, dtype=np.float64)
    following = np.roll(corners, -1, axis=0)
    cross = corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]
    area = cross.sum() / 2
    centroid: Points = ((corners + following) * cross[:, None]).sum(axis=0) / (6 * area)
    return float(area), centroid

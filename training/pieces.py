"""An object in its place, and a scene made of objects.

Lengths are fractions of the picture's side, measured from the top left corner; pixels are 128 x 128 unless said.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from engine.nano_world import PLAIN
from training.figures import Floats, outline

SIDE = 128


@dataclass(frozen=True)
class Piece:
    """One object: its words, and where its bounding box's centre (x, y) and half side (radius) are."""

    shape: str
    colour: str
    size: str
    place: str  # "" in a group
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Scene:
    """A background (a colour or a sky) and one or two pieces, the first one mentioned first; or a group of up to four alike."""

    background: str
    pieces: tuple[Piece, ...]
    style: str = PLAIN

    @property
    def group(self) -> bool:
        """Whether the pieces are several of the same, told by their number."""
        return len(self.pieces) > 1 and len({(piece.shape, piece.colour) for piece in self.pieces}) == 1


def placed(points: Floats, piece: Piece, side: int = SIDE) -> Floats:
    """Points of the bounding box, (N, 2) in [-1, 1]^2, in pixels of the picture."""
    found: Floats = (points * piece.radius + (piece.x, piece.y)).astype(np.float32) * side
    return found


def corners(piece: Piece, side: int = SIDE) -> Floats:
    """The outline of a piece in pixels: (N, 2)."""
    return placed(outline(piece.shape), piece, side)


def coverage(piece: Piece, side: int = SIDE, oversample: int = 8) -> Floats:
    """How much of every pixel a piece covers: (side, side) in [0, 1]."""
    return covered(corners(piece, side), side, oversample)


def covered(points: Floats, side: int, oversample: int = 8) -> Floats:
    """How much of every pixel a polygon covers, its corners (N, 2) in pixels: (side, side) in [0, 1]."""
    low = np.clip(np.floor(points.min(axis=0)).astype(int) - 1, 0, side - 1)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 1, side)
    canvas = Image.new("L", ((int(high[0] - low[0])) * oversample, int(high[1] - low[1]) * oversample))
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in (points - low) * oversample - 0.5], fill=255)
    mask = np.zeros((side, side), dtype=np.float32)
    mask[low[1] : high[1], low[0] : high[0]] = np.asarray(canvas.reduce(oversample), dtype=np.float32) / 255
    return mask

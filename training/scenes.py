"""Scenes of the nano world: what stands where, its picture, and its latent.

Lengths are fractions of the picture's side, measured from the top left corner; pixels are 128 x 128 unless said.
"""

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from engine.nano_world import COLOURS, SHAPES, SIZES

Floats = NDArray[np.float32]

SIDE = 128
CELL = 8  # pixels per latent cell
LATENT_SCALE = 0.85  # keeps latents inside [-1, 1] with headroom: the official sampler clips there
OUTLINE_REACH = 10.0  # pixels over which the outline channel goes from inside to outside

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (230, 42, 42),
    "orange": (250, 144, 32),
    "yellow": (250, 220, 58),
    "green": (58, 170, 84),
    "blue": (48, 108, 222),
    "purple": (142, 68, 184),
    "pink": (255, 160, 192),
    "black": (28, 28, 32),
    "gray": (136, 136, 142),
    "white": (250, 250, 250),
}
BACKGROUND_SHADE = (1.0, 0.84)  # brightness at the top and at the bottom edge
OBJECT_SHADE = (1.04, 0.88)
SHADOW_SHIFT, SHADOW_BLUR, SHADOW_STRENGTH = (1.6, 2.4), 2.2, 0.36  # pixels, pixels, opacity

ALONE_RADIUS = {"small": (0.145, 0.175), "medium": (0.215, 0.25), "big": (0.28, 0.315)}
ALONE_SHIFT = {"small": 0.27, "medium": 0.23, "big": 0.15}
PAIR_RADIUS = {"small": (0.115, 0.135), "medium": (0.15, 0.175), "big": (0.19, 0.215)}
PAIR_SHIFT = 0.24
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1), "center": (0, 0)}
PAIRS = (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top"))


@dataclass(frozen=True)
class Piece:
    """One object: its words, and where its bounding box's centre (x, y) and half side (radius) are."""

    shape: str
    colour: str
    size: str
    place: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Scene:
    """A background and one or two pieces; the first one is mentioned first."""

    background: str
    pieces: tuple[Piece, ...]


def held_out(background: str, colour: str, shape: str) -> bool:
    """Whether this triple never stands alone in training (one in ten, by a fixed hash)."""
    return zlib.crc32(f"{background}/{colour}/{shape}".encode()) % 10 == 0


def sample_scene(rng: Random, *, objects: int | None = None, unseen: bool = False) -> Scene:
    """Draw a scene; `unseen` draws held-out triples only (for scenes of one object)."""
    objects = objects or (1 if rng.random() < 0.65 else 2)
    while True:
        background = rng.choice(COLOURS)
        colours = [rng.choice(COLOURS) for _ in range(objects)]
        shapes = [rng.choice(SHAPES) for _ in range(objects)]
        if background in colours:
            continue
        if objects == 1 and held_out(background, colours[0], shapes[0]) is not unseen:
            continue
        if objects == 2 and colours[0] == colours[1] and shapes[0] == shapes[1]:
            continue
        break
    if objects == 1:
        place = rng.choice(("center", "center", "left", "right", "top", "bottom"))
        return Scene(background, (_alone(rng, shapes[0], colours[0], place),))
    places = rng.choices(PAIRS, weights=(4, 2, 4, 2))[0]
    return Scene(background, tuple(_paired(rng, *words) for words in zip(shapes, colours, places, strict=True)))


def _alone(rng: Random, shape: str, colour: str, place: str) -> Piece:
    size = rng.choice(SIZES)
    dx, dy = DIRECTIONS[place]
    x = 0.5 + dx * ALONE_SHIFT[size] + rng.uniform(-0.02, 0.02)
    y = 0.5 + dy * ALONE_SHIFT[size] + rng.uniform(-0.02, 0.02)
    return Piece(shape, colour, size, place, x, y, rng.uniform(*ALONE_RADIUS[size]))


def _paired(rng: Random, shape: str, colour: str, place: str) -> Piece:
    size = rng.choice(SIZES)
    dx, dy = DIRECTIONS[place]
    along, across = rng.uniform(-0.015, 0.015), rng.uniform(-0.03, 0.03)
    x = 0.5 + dx * PAIR_SHIFT + (along if dx else across)
    y = 0.5 + dy * PAIR_SHIFT + (along if dy else across)
    return Piece(shape, colour, size, place, x, y, rng.uniform(*PAIR_RADIUS[size]))


@lru_cache
def outline(shape: str) -> Floats:
    """Corners of a shape in its bounding box [-1, 1]^2, y down: (N, 2)."""
    if shape == "circle":
        angles = np.linspace(0, 2 * math.pi, 96, endpoint=False)
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    elif shape == "square":
        points = 0.92 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)
    elif shape == "triangle":
        points = np.array([(0, -0.88), (1, 0.88), (-1, 0.88)], dtype=np.float64)
    elif shape == "star":
        angles = math.pi * (np.arange(10) / 5 - 0.5)
        reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
        points = _fitted(np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1))
    elif shape == "heart":
        t = np.linspace(0, 2 * math.pi, 64, endpoint=False)
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        points = _fitted(np.stack([16 * np.sin(t) ** 3, -y], axis=1))
    elif shape == "cross":
        w = 0.34
        points = np.array(
            [(-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w), (w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w)]
        )
    else:
        raise ValueError(f"unknown shape {shape!r}")
    return points.astype(np.float32)


def _fitted(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre the points' bounding box and scale its longer side to 2."""
    low, high = points.min(axis=0), points.max(axis=0)
    fitted: NDArray[np.float64] = (points - (low + high) / 2) * (2 / (high - low).max())
    return fitted


def corners(piece: Piece, side: int = SIDE) -> Floats:
    """The outline of a piece in pixels: (N, 2)."""
    points: Floats = (outline(piece.shape) * piece.radius + (piece.x, piece.y)).astype(np.float32) * side
    return points


def coverage(piece: Piece, side: int = SIDE, oversample: int = 8) -> Floats:
    """How much of every pixel a piece covers: (side, side) in [0, 1]."""
    points = corners(piece, side)
    low = np.clip(np.floor(points.min(axis=0)).astype(int) - 1, 0, side - 1)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, 1, side)
    canvas = Image.new("L", ((int(high[0] - low[0])) * oversample, int(high[1] - low[1]) * oversample))
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in (points - low) * oversample - 0.5], fill=255)
    mask = np.zeros((side, side), dtype=np.float32)
    mask[low[1] : high[1], low[0] : high[0]] = np.asarray(canvas.reduce(oversample), dtype=np.float32) / 255
    return mask


def render(scene: Scene, side: int = SIDE) -> Floats:
    """Paint a scene: (side, side, 3) in [0, 1]."""
    picture, _ = _paint(scene, side)
    return picture


def _paint(scene: Scene, side: int) -> tuple[Floats, list[Floats]]:
    rows = (np.arange(side, dtype=np.float32) + 0.5) / side
    shade = BACKGROUND_SHADE[0] + (BACKGROUND_SHADE[1] - BACKGROUND_SHADE[0]) * rows
    picture = np.broadcast_to(_rgb(scene.background) * shade[:, None, None], (side, side, 3)).astype(np.float32)
    masks = [coverage(piece, side) for piece in scene.pieces]
    picture = picture * (1 - SHADOW_STRENGTH * _shadow(np.maximum.reduce(masks), side))[..., None]
    for piece, mask in zip(scene.pieces, masks, strict=True):
        height = np.clip((rows - piece.y + piece.radius) / (2 * piece.radius), 0, 1)
        paint = _rgb(piece.colour) * (OBJECT_SHADE[0] + (OBJECT_SHADE[1] - OBJECT_SHADE[0]) * height)[:, None, None]
        picture += mask[..., None] * (np.minimum(paint, 1) - picture)
    return picture, masks


def _rgb(colour: str) -> Floats:
    return np.array(PALETTE[colour], dtype=np.float32) / np.float32(255)


def _shadow(mask: Floats, side: int) -> Floats:
    unit = side / SIDE
    blurred = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(SHADOW_BLUR * unit))
    shift = (1, 0, -SHADOW_SHIFT[0] * unit, 0, 1, -SHADOW_SHIFT[1] * unit)
    moved = blurred.transform(blurred.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR)
    return np.asarray(moved, dtype=np.float32) / np.float32(255)


def paint_with_latent(scene: Scene) -> tuple[Floats, Floats]:
    """Paint a scene and its latent: (128, 128, 3) in [0, 1] and (4, 16, 16) in [-0.85, 0.85].

    The nano latent is given, not learned: three channels are the mean colour of each 8 x 8 cell, the fourth is the
    signed distance from the cell's centre to the nearest outline, through tanh. It is smooth, so small errors of the UNet stay
    small in the picture, and bounded, so the official sampler's clipping leaves it alone. The encoder learns to produce it.
    """
    picture, masks = _paint(scene, SIDE)
    cells = SIDE // CELL
    colour = picture.reshape(cells, CELL, cells, CELL, 3).mean(axis=(1, 3)).transpose(2, 0, 1) * 2 - 1
    distance = np.maximum.reduce([_signed_distance(piece, mask) for piece, mask in zip(scene.pieces, masks, strict=True)])
    latent = np.concatenate([colour, np.tanh(distance / OUTLINE_REACH)[None]]) * LATENT_SCALE
    return picture, latent.astype(np.float32)


def _signed_distance(piece: Piece, mask: Floats) -> Floats:
    """Distance in pixels from every cell's centre to the outline, positive inside: (16, 16)."""
    points = corners(piece)
    centres = (np.arange(SIDE // CELL, dtype=np.float32) + 0.5) * CELL
    grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 1, 2)
    edge = np.roll(points, -1, axis=0) - points
    offset = grid - points
    along = np.clip((offset * edge).sum(-1) / (edge * edge).sum(-1), 0, 1)
    distance = np.sqrt(((offset - along[..., None] * edge) ** 2).sum(-1).min(axis=1)).reshape(len(centres), -1)
    at = centres.astype(int)
    around = (mask[np.ix_(at - 1, at - 1)] + mask[np.ix_(at - 1, at)] + mask[np.ix_(at, at - 1)] + mask[np.ix_(at, at)]) / 4
    signed: Floats = np.where(around >= 0.5, distance, -distance).astype(np.float32)
    return signed

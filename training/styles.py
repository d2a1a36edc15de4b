"""How a scene is painted: grounds, skies, and the three styles; a picture and its nano latent.

plain: full colours, a drop shadow.  watercolour: pale washes with blotches, soft edges with a darker rim.  neon: a dark ground,
objects are glowing tubes. What tells the styles apart survives in 16 x 16 cells: the mean colours of the ground, and how deep the
outline channel goes outside of objects.
"""

import math
import zlib
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from engine.nano_world import PLAIN
from training.figures import Detail, Floats, details
from training.pieces import SIDE, Piece, Scene, corners, coverage, covered, placed

CELL = 8  # pixels per latent cell
LATENT_SCALE = 0.85  # keeps latents inside [-1, 1] with headroom: the official sampler clips there
OUTLINE_REACH = 10.0  # pixels over which the outline channel goes from inside to outside
DEPTHS = {PLAIN: 1.0, "watercolour": 0.72, "neon": 0.45}  # of the outline channel far outside, before scaling

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
_DETAILS = {"ink": (44, 36, 40), "brick": (150, 62, 48), "wood": (122, 78, 48), "cream": (255, 238, 170), "heart": (252, 205, 60)}
_LIGHT_INK = (235, 225, 170)  # on black
BACKGROUND_SHADE = (1.0, 0.84)  # brightness at the top and at the bottom edge
OBJECT_SHADE = (1.04, 0.88)
SHADOW_SHIFT, SHADOW_BLUR, SHADOW_STRENGTH = (1.6, 2.4), 2.2, 0.36  # pixels, pixels, opacity

_SKIES = {  # the sky's colour at the top and at the horizon, the hill's
    "day": ((126, 190, 244), (176, 216, 248), (164, 210, 108)),
    "night": ((22, 30, 84), (50, 58, 124), (36, 88, 84)),
}
_HORIZON = 0.82
_STARS = ((0.12, 0.14), (0.36, 0.07), (0.63, 0.12), (0.88, 0.2), (0.22, 0.4), (0.8, 0.46), (0.06, 0.6), (0.94, 0.66), (0.5, 0.26))
_PAPER = (249, 246, 238)
_GROUND_PAPER, _SKY_PAPER, _OBJECT_PAPER = 0.45, 0.25, 0.12  # how much of the paper shows through watercolour
_BLACK_WASH = (92, 92, 98)
BLOTCH = 0.05  # how much brighter or darker a wash is in places
_DARK, _TINT = (16, 8, 36), 0.29  # of neon's ground
NEON_SHADE = (0.88, 1.08)
TUBE, GLOW = 3.0, 4.0  # pixels: the tube's width, the glow's standard deviation


def rgb(colour: str) -> Floats:
    """A palette colour: (3,) in [0, 1]."""
    return np.array(PALETTE[colour], dtype=np.float32) / np.float32(255)


def _unit(colour: tuple[int, int, int]) -> Floats:
    return np.array(colour, dtype=np.float32) / np.float32(255)


@lru_cache(maxsize=64)
def ground(background: str, style: str = PLAIN, side: int = SIDE) -> Floats:
    """What is behind the objects, without shadows and blotches: (side, side, 3) in [0, 1]. Not to be written to."""
    rows = ((np.arange(side, dtype=np.float32) + 0.5) / side)[:, None, None]
    shades = {PLAIN: BACKGROUND_SHADE, "neon": NEON_SHADE}.get(style, (1.0, 1.0))
    if background in _SKIES:
        flat = _sky(background, side)
        shades = (1.0, 1.0) if style == PLAIN else shades
    else:
        flat = np.broadcast_to(rgb(background), (side, side, 3))
    if style == "watercolour":
        paper = _SKY_PAPER if background in _SKIES else _GROUND_PAPER
        flat = flat + paper * (_unit(_PAPER) - flat)
        if background == "black":
            flat = np.broadcast_to(_unit(_BLACK_WASH), (side, side, 3))
    elif style == "neon":
        flat = _unit(_DARK) + np.float32(_TINT) * flat
    shade = shades[0] + (shades[1] - shades[0]) * rows
    painted: Floats = (flat * shade).astype(np.float32)
    painted.setflags(write=False)
    return painted


def _sky(time: str, side: int) -> Floats:
    """A sky over a low hill; stars at night, always the same ones."""
    top, low, hill = (_unit(colour) for colour in _SKIES[time])
    across = (np.arange(side, dtype=np.float32) + 0.5) / side
    rows, columns = np.meshgrid(across, across, indexing="ij")
    picture = top + (low - top) * (rows / _HORIZON).clip(0, 1)[..., None]
    if time == "night":
        for x, y in _STARS:
            bright = np.clip(1.9 - np.hypot(rows - y, columns - x) * SIDE, 0, 1)[..., None]
            picture = picture + 0.9 * bright * (_unit((255, 246, 200)) - picture)
    line = _HORIZON + 0.035 * np.cos(2 * math.pi * (columns - 0.3))
    above = ((rows - line) * SIDE / 2 + 0.5).clip(0, 1)[..., None]  # two pixels soft
    found: Floats = (picture + above * (hill * (1.04 - 0.3 * (rows - _HORIZON)[..., None]) - picture)).astype(np.float32)
    return found


def detail_colours(colour: str, style: str = PLAIN) -> dict[str, Floats]:
    """What the parts of an object in this colour are painted with, but for neon: paint -> (3,) in [0, 1]."""
    paints = {name: _unit(value) for name, value in _DETAILS.items()}
    paints["shade"] = rgb(colour) * np.float32(2.6 if colour == "black" else 0.74)
    if colour == "black":
        paints["ink"] = _unit(_LIGHT_INK)
    if colour in ("yellow", "orange"):
        paints["heart"] = paints["wood"]
    return {name: _papered(paint) for name, paint in paints.items()} if style == "watercolour" else paints


def _papered(paint: Floats) -> Floats:
    return paint + np.float32(_OBJECT_PAPER) * (_unit(_PAPER) - paint)


def object_colour(colour: str, style: str) -> Floats:
    """The colour in which an object shows in a style, without shading: (3,) in [0, 1]. In neon it is the tube's."""
    return _papered(rgb(colour)) if style == "watercolour" else rgb(colour)


def render(scene: Scene, side: int = SIDE) -> Floats:
    """Paint a scene: (side, side, 3) in [0, 1]."""
    picture, _ = _paint(scene, side)
    return picture


def _paint(scene: Scene, side: int) -> tuple[Floats, list[Floats]]:
    masks = [coverage(piece, side) for piece in scene.pieces]
    picture = ground(scene.background, scene.style, side).copy()
    if scene.style == PLAIN:
        picture *= (1 - SHADOW_STRENGTH * _shadow(np.maximum.reduce(masks), side))[..., None]
        paint = _plain
    elif scene.style == "watercolour":
        picture *= 1 + _blotches(scene, 0, side)
        paint = _watercolour
    else:
        paint = _neon
    for piece, mask in zip(scene.pieces, masks, strict=True):
        paint(picture, scene, piece, mask)
    return (picture if scene.style == PLAIN else picture.clip(0, 1)), masks


def _plain(picture: Floats, scene: Scene, piece: Piece, mask: Floats) -> None:
    side = len(picture)
    rows = (np.arange(side, dtype=np.float32) + 0.5) / side
    height = np.clip((rows - piece.y + piece.radius) / (2 * piece.radius), 0, 1)
    shade = (OBJECT_SHADE[0] + (OBJECT_SHADE[1] - OBJECT_SHADE[0]) * height)[:, None, None]
    picture += mask[..., None] * (np.minimum(rgb(piece.colour) * shade, 1) - picture)
    paints = detail_colours(piece.colour)
    for detail in details(piece.shape):
        part = _part(detail, piece, mask)
        picture += part * (np.minimum(paints[detail.paint] * shade, 1) - picture)


def _part(detail: Detail, piece: Piece, mask: Floats) -> Floats:
    """How much of every pixel a part covers, inside its object: (side, side, 1)."""
    side = len(mask)
    found: Floats = np.minimum(covered(placed(detail.points, piece, side), side), mask)[..., None]
    return found


def _watercolour(picture: Floats, scene: Scene, piece: Piece, mask: Floats) -> None:
    side = len(picture)
    unit = side / SIDE
    inside = ndimage.distance_transform_edt(mask > 0.5).astype(np.float32)
    soft = ndimage.gaussian_filter(mask, 0.9 * unit)[..., None]
    rim = np.clip(1 - inside / (4 * unit), 0, 1)[..., None] * mask[..., None]
    wash = (1 + _blotches(scene, 1, side)) * (1 - 0.2 * rim)
    picture += soft * (object_colour(piece.colour, "watercolour") * wash - picture)
    paints = detail_colours(piece.colour, "watercolour")
    for detail in details(piece.shape):
        part = ndimage.gaussian_filter(_part(detail, piece, mask)[..., 0], 0.5 * unit)[..., None]
        picture += part * (paints[detail.paint] * wash - picture)


def _neon(picture: Floats, scene: Scene, piece: Piece, mask: Floats) -> None:
    side = len(picture)
    unit = side / SIDE
    colour = rgb(piece.colour)
    inside = ndimage.distance_transform_edt(mask > 0.5).astype(np.float32)
    tube = np.clip(TUBE * unit + 0.5 - inside, 0, 1) * mask
    glow = ndimage.gaussian_filter(tube, GLOW * unit)[..., None]
    picture += 0.6 * glow * colour
    picture += mask[..., None] * (0.5 * picture + 0.25 * colour - picture)
    picture += tube[..., None] * (colour - picture)
    for detail in details(piece.shape):
        if detail.paint != "brick":  # a roof stays hollow
            picture += _part(detail, piece, mask) * (0.6 * colour - picture) * (1 - tube[..., None])


def _blotches(scene: Scene, layer: int, side: int) -> Floats:
    """Where a wash is brighter or darker, as chance has it for this scene: (side, side, 1)."""
    place = ",".join(f"{piece.x:.5f} {piece.y:.5f}" for piece in scene.pieces)
    rng = Random(zlib.crc32(f"{layer} {place}".encode()))
    coarse = np.array([[rng.uniform(-1, 1) for _ in range(6)] for _ in range(6)], dtype=np.float32)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    return np.float32(BLOTCH) * smooth[..., None]


def _shadow(mask: Floats, side: int) -> Floats:
    unit = side / SIDE
    blurred = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(SHADOW_BLUR * unit))
    shift = (1, 0, -SHADOW_SHIFT[0] * unit, 0, 1, -SHADOW_SHIFT[1] * unit)
    moved = blurred.transform(blurred.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR)
    return np.asarray(moved, dtype=np.float32) / np.float32(255)


def paint_with_latent(scene: Scene) -> tuple[Floats, Floats]:
    """Paint a scene and its latent: (128, 128, 3) in [0, 1] and (4, 16, 16) in [-0.85, 0.85].

    The nano latent is given, not learned: three channels are the mean colour of each 8 x 8 cell, the fourth is the
    signed distance from the cell's centre to the nearest outline, through tanh, no deeper than the style's. It is smooth, so
    small errors of the UNet stay small in the picture, and bounded, so the official sampler's clipping leaves it alone. The
    encoder learns to produce it.
    """
    picture, masks = _paint(scene, SIDE)
    cells = SIDE // CELL
    colour = picture.reshape(cells, CELL, cells, CELL, 3).mean(axis=(1, 3)).transpose(2, 0, 1) * 2 - 1
    distance = np.maximum.reduce([_signed_distance(piece, mask) for piece, mask in zip(scene.pieces, masks, strict=True)])
    depth = np.maximum(np.tanh(distance / OUTLINE_REACH), -DEPTHS[scene.style])
    latent = np.concatenate([colour, depth[None]]) * LATENT_SCALE
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

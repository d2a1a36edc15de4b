"""Scenes of the nano world: what stands where. How they are painted is in `styles`, what objects look like in `figures`."""

import zlib
from random import Random

from engine.nano_world import COLOURS, LARGE, NATURAL_COLOURS, PACKAGED, PLAIN, SIZES, SMALL, THINGS, TIMES, World
from training.figures import Floats, outline
from training.pieces import SIDE, Piece, Scene, corners, coverage
from training.styles import CELL, LATENT_SCALE, PALETTE, paint_with_latent, render

__all__ = [
    "CELL",
    "LATENT_SCALE",
    "PALETTE",
    "SIDE",
    "TAUGHT",
    "Floats",
    "Piece",
    "Scene",
    "corners",
    "coverage",
    "held_out",
    "outline",
    "paint_with_latent",
    "render",
    "sample_scene",
    "training_scene",
]

TAUGHT = LARGE
"""What the recipes of kandinsky-nano teach; the packaged weights may still be those of a smaller world."""

ALONE_RADIUS = {"small": (0.145, 0.175), "medium": (0.215, 0.25), "big": (0.28, 0.315)}
ALONE_SHIFT = {"small": 0.27, "medium": 0.23, "big": 0.15}
PAIR_RADIUS = {"small": (0.115, 0.135), "medium": (0.15, 0.175), "big": (0.19, 0.215)}
PAIR_SHIFT = 0.24
THING_GROWTH = 1.12  # small things are bigger than small figures: their parts have to be seen
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1), "center": (0, 0)}
PAIRS = (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top"))

GROUP_RADIUS = {"small": (0.13, 0.145), "medium": (0.16, 0.18), "big": (0.19, 0.21)}
GROUPS = {  # number -> where the objects stand, of which one is chosen
    2: (((-0.24, 0.0), (0.24, 0.0)), ((0.0, -0.24), (0.0, 0.24))),
    3: (((-0.24, 0.22), (0.24, 0.22), (0.0, -0.24)), ((-0.24, -0.22), (0.24, -0.22), (0.0, 0.24))),
    4: (((-0.24, -0.24), (0.24, -0.24), (-0.24, 0.24), (0.24, 0.24)),),
}
_PLAIN_FIGURES = 0.25  # of training scenes, so that the small world is not forgotten
_KINDS = (("alone", 0.5), ("pair", 0.3), ("group", 0.2))  # of the large world's scenes
_STYLED = 0.3
_NATURAL = 0.4  # how often a thing has its natural colour
_SKY = 0.22


def held_out(background: str, colour: str, shape: str) -> bool:
    """Whether this triple never stands alone in training (one in ten, by a fixed hash)."""
    return zlib.crc32(f"{background}/{colour}/{shape}".encode()) % 10 == 0


def sample_scene(
    rng: Random,
    *,
    objects: int | None = None,
    unseen: bool = False,
    world: World = PACKAGED,
    group: int = 0,
    style: str | None = None,
) -> Scene:
    """Draw a scene of a world; `unseen` draws held-out triples only (for scenes of one object).

    objects: different ones, 1 or 2.  group: so many of one object instead, 2 to 4.  style: this one; otherwise any, plain mostly.
    """
    if world.most == 1:
        return _small(rng, world, objects or (1 if rng.random() < 0.65 else 2), unseen)
    if not group and objects is None:
        kind = rng.choices([kind for kind, _ in _KINDS], [weight for _, weight in _KINDS])[0]
        group, objects = (rng.randint(2, world.most), None) if kind == "group" else (0, 1 if kind == "alone" else 2)
    style = style or (rng.choice(world.styles) if rng.random() < _STYLED else PLAIN)
    while True:
        background = rng.choice(TIMES) if rng.random() < _SKY else rng.choice(COLOURS)
        pieces = [_words(rng, world) for _ in range(objects or 1)]
        if any(colour == background or (colour == "black" and style == "neon") for _, colour in pieces):
            continue
        if objects == 1 and held_out(background, pieces[0][1], pieces[0][0]) is not unseen:
            continue
        if objects == 2 and pieces[0] == pieces[1]:
            continue
        break
    if group:
        return Scene(background, _group(rng, *pieces[0], group), style)
    return _stood(rng, background, pieces, style)


def training_scene(rng: Random, world: World = TAUGHT) -> Scene:
    """A scene to learn from: some of the large world's are the small one's."""
    return sample_scene(rng, world=SMALL if world is LARGE and rng.random() < _PLAIN_FIGURES else world)


def _words(rng: Random, world: World) -> tuple[str, str]:
    """Shape and colour of one object."""
    shape = rng.choice(world.shapes)
    natural = shape in NATURAL_COLOURS and rng.random() < _NATURAL
    return shape, NATURAL_COLOURS[shape] if natural else rng.choice(COLOURS)


def _small(rng: Random, world: World, objects: int, unseen: bool) -> Scene:
    """A scene of plain figures; the benchmark's scenes of the small world are these, in this order of chance."""
    while True:
        background = rng.choice(COLOURS)
        colours = [rng.choice(COLOURS) for _ in range(objects)]
        shapes = [rng.choice(world.shapes) for _ in range(objects)]
        if background in colours:
            continue
        if objects == 1 and held_out(background, colours[0], shapes[0]) is not unseen:
            continue
        if objects == 2 and colours[0] == colours[1] and shapes[0] == shapes[1]:
            continue
        return _stood(rng, background, list(zip(shapes, colours, strict=True)), PLAIN)


def _stood(rng: Random, background: str, pieces: list[tuple[str, str]], style: str) -> Scene:
    if len(pieces) == 1:
        place = rng.choice(("center", "center", "left", "right", "top", "bottom"))
        return Scene(background, (_alone(rng, *pieces[0], place),), style)
    places = rng.choices(PAIRS, weights=(4, 2, 4, 2))[0]
    return Scene(background, tuple(_paired(rng, *piece, place) for piece, place in zip(pieces, places, strict=True)), style)


def _alone(rng: Random, shape: str, colour: str, place: str) -> Piece:
    size = rng.choice(SIZES)
    dx, dy = DIRECTIONS[place]
    x = 0.5 + dx * ALONE_SHIFT[size] + rng.uniform(-0.02, 0.02)
    y = 0.5 + dy * ALONE_SHIFT[size] + rng.uniform(-0.02, 0.02)
    return Piece(shape, colour, size, place, x, y, _radius(rng, shape, size, ALONE_RADIUS))


def _paired(rng: Random, shape: str, colour: str, place: str) -> Piece:
    size = rng.choice(SIZES)
    dx, dy = DIRECTIONS[place]
    along, across = rng.uniform(-0.015, 0.015), rng.uniform(-0.03, 0.03)
    x = 0.5 + dx * PAIR_SHIFT + (along if dx else across)
    y = 0.5 + dy * PAIR_SHIFT + (along if dy else across)
    return Piece(shape, colour, size, place, x, y, _radius(rng, shape, size, PAIR_RADIUS))


def _group(rng: Random, shape: str, colour: str, count: int) -> tuple[Piece, ...]:
    size = rng.choice(SIZES)
    low, high = GROUP_RADIUS[size]
    radius = rng.uniform(low, high)
    jitter = 0.012
    return tuple(
        Piece(shape, colour, size, "", 0.5 + dx + rng.uniform(-jitter, jitter), 0.5 + dy + rng.uniform(-jitter, jitter), radius)
        for dx, dy in rng.choice(GROUPS[count])
    )


def _radius(rng: Random, shape: str, size: str, ranges: dict[str, tuple[float, float]]) -> float:
    radius = rng.uniform(*ranges[size])
    return radius * THING_GROWTH if shape in THINGS and size == "small" else radius

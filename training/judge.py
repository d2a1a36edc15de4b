"""An automatic judge of nano pictures: what is on the picture, and is that what was asked for?

It knows the palette and the ideal shapes but not how a picture was made. Numpy and scipy; pictures are (128, 128, 3), 0 to 1.
Never loosen it for generated pictures: `tests/training/test_judge.py` holds it to rendered truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from engine.nano_world import COLOURS, SHAPES, Thing
from training.scenes import PALETTE, SIDE, Floats, Piece, corners, outline

Mask = NDArray[np.bool_]

SHADES = np.linspace(0.8, 1.06, 14, dtype=np.float32)  # brightness that gradients give to a colour
SHADOWS = np.linspace(0.74, 1.06, 17, dtype=np.float32)  # and that shadows give to a background
APART = 0.13  # distance in RGB from the background's colours at which a pixel belongs to an object
SMALLEST = 60  # pixels of an object
ZOOM = 4  # outlines are measured at this multiple of the picture's resolution
CENTRAL = 0.08  # an object this close to the middle stands in the center
FITS = 0.8  # least overlap with the ideal shape


@dataclass(frozen=True)
class Found:
    """One object as seen: shape is None if it fits none.

    overlap: intersection over union with the ideal fitted shape.  wobble: mean pixels from its outline to the ideal one.
    """

    shape: str | None
    colour: str
    place: str
    x: float
    y: float
    radius: float
    overlap: float
    wobble: float


@dataclass(frozen=True)
class Seen:
    """Everything on a picture."""

    background: str
    objects: tuple[Found, ...]


@dataclass(frozen=True)
class Verdict:
    """What of the wish is right: one entry per wished object (False where it is missing); what was not said is right."""

    background: bool
    count: bool
    colours: tuple[bool, ...]
    shapes: tuple[bool, ...]
    places: tuple[bool, ...]
    wobble: float  # mean over the objects in pixels, nan without any

    @property
    def right(self) -> bool:
        return self.background and self.count and all(self.colours) and all(self.shapes) and all(self.places)


def to_floats(image: Image.Image) -> Floats:
    """A PIL picture as the judge takes it."""
    return np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255)


def look(picture: Floats) -> Seen:
    """Find the background's colour and the objects on a picture."""
    background, model = _background(picture)
    return Seen(background, tuple(_measure(picture, region, model) for region in _regions(picture, model)))


def silhouette(picture: Floats) -> Mask:
    """Which pixels of a picture belong to objects, shadows left out: (H, W)."""
    side = len(picture)
    fine = np.zeros((side * ZOOM, side * ZOOM), dtype=np.float32)
    _, model = _background(picture)
    for region in _regions(picture, model):
        cutout = _cut_out(picture, region, model, _paint_of(picture, region))
        height, width = cutout.mask.shape
        fine[cutout.top : cutout.top + height, cutout.left : cutout.left + width] += cutout.mask
    cells: Mask = fine.reshape(side, ZOOM, side, ZOOM).mean(axis=(1, 3)) >= 0.5
    return cells


def _regions(picture: Floats, model: Floats) -> list[Mask]:
    """Rough masks of the objects on a background of this colour per row."""
    shadows = model[:, None, :] * SHADOWS[:, None]  # (H, 17, 3)
    far = np.linalg.norm(picture[:, :, None] - shadows[:, None], axis=-1).min(axis=-1)  # (H, W)
    labels, count = ndimage.label(far > APART)
    regions = [labels == label for label in range(1, count + 1)]
    return [region for region in regions if region.sum() >= SMALLEST]


def _background(picture: Floats) -> tuple[str, Floats]:
    """The background's name, and its colour per row by a straight line through the pixels on the frame: (H, 3)."""
    frame = np.ones(picture.shape[:2], dtype=bool)
    frame[3:-3, 3:-3] = False
    rows = np.nonzero(frame)[0]
    pixels = picture[frame]
    names = np.array([_colour_name(pixel) for pixel in pixels[::3]])
    found, counts = np.unique(names, return_counts=True)
    name = str(found[counts.argmax()])
    distance = np.linalg.norm(pixels[:, None] - _rgb(name) * SHADES[:, None], axis=-1).min(axis=1)
    chosen = distance < 2 * APART
    line = np.polynomial.polynomial.polyfit(rows[chosen], pixels[chosen].astype(np.float64), 1)  # (2, 3)
    model: Floats = (line[0] + np.arange(len(picture))[:, None] * line[1]).astype(np.float32)
    return name, model


def _rgb(name: str) -> Floats:
    return np.array(PALETTE[name], dtype=np.float32) / np.float32(255)


_SHADED = np.stack([np.minimum(_rgb(name) * SHADES[:, None], 1) for name in COLOURS])  # (10, 14, 3)


def _colour_name(colour: Floats) -> str:
    """The nearest palette colour in any shade."""
    return COLOURS[int(np.linalg.norm(_SHADED - colour, axis=-1).min(axis=1).argmin())]


def _measure(picture: Floats, region: Mask, model: Floats) -> Found:
    """Colour, exact outline, shape and place of one object; region: its rough mask."""
    paint = _paint_of(picture, region)
    cutout = _cut_out(picture, region, model, paint)
    shape, piece, overlap = _best_shape(cutout)
    place = _place(piece.x - 0.5, piece.y - 0.5)
    known = shape if overlap >= FITS else None
    return Found(known, _colour_name(paint), place, piece.x, piece.y, piece.radius, overlap, _wobble(cutout, piece))


def _paint_of(picture: Floats, region: Mask) -> Floats:
    """The colour of most of an object, away from its border."""
    core = ndimage.binary_erosion(region, iterations=2)
    paint: Floats = np.median(picture[core if core.any() else region], axis=0)
    return paint


@dataclass(frozen=True)
class _Cutout:
    """An object's exact mask in the enlarged picture of `size` points a side; (left, top) is where it lies there."""

    mask: Mask
    left: int
    top: int
    size: int

    def ideal(self, piece: Piece) -> Mask:
        """A piece's mask in the same window."""
        height, width = self.mask.shape
        canvas = Image.new("1", (width, height))
        points = corners(piece, self.size) - (self.left, self.top) - 0.5
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points], fill=1)
        return np.asarray(canvas)

    def overlap(self, piece: Piece) -> float:
        """Intersection over union with a piece."""
        ideal = self.ideal(piece)
        return float((self.mask & ideal).sum() / max((self.mask | ideal).sum(), 1))


def _cut_out(picture: Floats, region: Mask, model: Floats, paint: Floats) -> _Cutout:
    """Which points of the enlarged picture look more like the object than like its (shadowed) background."""
    near = ndimage.binary_dilation(region, iterations=3)
    rows, columns = np.nonzero(near)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    points = (np.arange(picture.shape[0] * ZOOM, dtype=np.float32) + 0.5) / ZOOM - 0.5
    grid = np.meshgrid(points[top * ZOOM : bottom * ZOOM], points[left * ZOOM : right * ZOOM], indexing="ij")
    fine = np.stack([ndimage.map_coordinates(picture[..., c], grid, order=1, mode="nearest") for c in range(3)], axis=-1)
    shadows = model[top:bottom].repeat(ZOOM, axis=0)[:, None, :] * SHADOWS[:, None]
    ground = np.linalg.norm(fine[:, :, None] - shadows[:, None], axis=-1).min(axis=-1)
    figure = np.linalg.norm(fine[:, :, None] - paint * SHADES[:, None], axis=-1).min(axis=-1)
    inside = (figure < ground) & near[top:bottom, left:right].repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    labels, _ = ndimage.label(inside)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    mask = ndimage.binary_fill_holes(labels == sizes.argmax()) if sizes.any() else inside
    return _Cutout(mask, int(left) * ZOOM, int(top) * ZOOM, picture.shape[0] * ZOOM)


def _best_shape(cutout: _Cutout) -> tuple[str, Piece, float]:
    """The ideal shape, moved and scaled, that overlaps the object most."""
    fits = [_fit(cutout, shape, rounds=1) for shape in SHAPES]
    first, second = np.argsort([overlap for _, overlap in fits])[::-1][:2]
    close = [(SHAPES[index], *_fit(cutout, SHAPES[index], rounds=8)) for index in (first, second)]
    return max(close, key=lambda fit: fit[2])


def _fit(cutout: _Cutout, shape: str, rounds: int) -> tuple[Piece, float]:
    """Fit one shape: start from area and centroid, then improve x, y and radius in turn."""
    points = outline(shape).astype(np.float64)
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
    area = cross.sum() / 2
    centroid = ((points + following) * cross[:, None]).sum(axis=0) / (6 * area)
    rows, columns = np.nonzero(cutout.mask)
    if not len(rows):
        return Piece(shape, "", "", "", 0.5, 0.5, 0.02), 0.0
    radius = float(np.sqrt(len(rows) / abs(area)) / cutout.size)
    x = float((cutout.left + columns.mean() + 0.5) / cutout.size - centroid[0] * radius)
    y = float((cutout.top + rows.mean() + 0.5) / cutout.size - centroid[1] * radius)
    best = np.array([x, y, radius])
    score = cutout.overlap(_piece(shape, best))
    step = 1.0 / SIDE
    for _ in range(rounds):
        for axis in range(3):
            for sign in (-1, 1):
                trial = best.copy()
                trial[axis] += sign * step
                if (found := cutout.overlap(_piece(shape, trial))) > score:
                    best, score = trial, found
        step *= 0.6
    return _piece(shape, best), score


def _piece(shape: str, fit: NDArray[np.float64]) -> Piece:
    return Piece(shape, "", "", "", float(fit[0]), float(fit[1]), max(float(fit[2]), 0.02))


def _wobble(cutout: _Cutout, piece: Piece) -> float:
    """Mean distance of the object's outline from the ideal outline, in pixels of the 128-pixel picture."""
    ideal = cutout.ideal(piece)
    away = ndimage.distance_transform_edt(ideal) + ndimage.distance_transform_edt(~ideal) - 0.5
    border = cutout.mask & ~ndimage.binary_erosion(cutout.mask)
    return float(np.clip(away[border] - 0.5, 0, None).mean() * SIDE / cutout.size) if border.any() else float("nan")


def _place(dx: float, dy: float) -> str:
    if max(abs(dx), abs(dy)) < CENTRAL:
        return "center"
    if abs(dx) > abs(dy):
        return "left" if dx < 0 else "right"
    return "top" if dy < 0 else "bottom"


def judge(picture: Floats, background: str | None, things: Sequence[Thing]) -> Verdict:
    """Compare a picture with a wish; objects are matched in the way that is best for the picture."""
    seen = look(picture)
    objects = sorted(seen.objects, key=lambda found: -found.radius)
    slots: list[Found | None] = [*objects[:4], *[None] * max(len(things) - len(objects), 0)]
    matched = max(permutations(slots, len(things)), key=lambda order: sum(map(_agreement, things, order)))
    met = list(zip(things, matched, strict=True))
    return Verdict(
        background=background in (None, seen.background),
        count=len(objects) == len(things),
        colours=tuple(found is not None and thing.colour in (None, found.colour) for thing, found in met),
        shapes=tuple(found is not None and thing.shape == found.shape for thing, found in met),
        places=tuple(found is not None and thing.place in (None, found.place) for thing, found in met),
        wobble=float(np.mean([found.wobble for found in objects])) if objects else float("nan"),
    )


def _agreement(thing: Thing, found: Found | None) -> float:
    if found is None:
        return 0
    return (thing.colour == found.colour) + (thing.shape == found.shape) + 1.5 * (thing.place == found.place)

"""An automatic judge of nano pictures: what is on the picture, and is that what was asked for?

It knows the palette, the grounds of every style and the ideal silhouettes, but not how a picture was made: no network has a part
in it. Numpy and scipy; pictures are (128, 128, 3), 0 to 1.
Never loosen it for generated pictures: `tests/training/test_judge.py` holds it to rendered truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from engine.nano_world import COLOURS, LARGE, PLAIN, TIMES, Thing
from training.figures import Floats, area_and_centroid, outline
from training.pieces import SIDE, Piece, corners
from training.styles import detail_colours, ground, object_colour

Mask = NDArray[np.bool_]

SHADES = {PLAIN: (0.8, 1.06), "watercolour": (0.86, 1.06), "neon": (0.86, 1.06)}  # brightness that gradients give to a colour
SHADOWS = {PLAIN: (0.74, 1.06), "watercolour": (0.88, 1.12), "neon": (0.94, 1.06)}  # and shadows or blotches to a background
APART = 0.13  # distance in RGB from the background's colours at which a pixel belongs to an object
SMALLEST = 60  # pixels of an object
ZOOM = 4  # outlines are measured at this multiple of the picture's resolution
CENTRAL = 0.08  # an object this close to the middle stands in the center
FITS = 0.8  # least overlap with the ideal shape
PARTED = ("house", "tree", "boat")  # roof, trunk and hull reach the outline in a colour of their own
HOLLOW = 0.2  # distance in RGB from which on an object's inside does not have the colour of its rim
STYLES = (PLAIN, *LARGE.styles)


@dataclass(frozen=True)
class Found:
    """One object as seen: shape is None if it fits none.

    overlap: intersection over union with the ideal fitted shape.  wobble: mean pixels from its outline to the ideal one.
    hollow: whether its inside lacks the colour of its outline, as a neon tube's does.
    """

    shape: str | None
    colour: str
    place: str
    x: float
    y: float
    radius: float
    overlap: float
    wobble: float
    hollow: bool = False


@dataclass(frozen=True)
class Seen:
    """Everything on a picture. background: a colour or a sky, by its ground, as is the style."""

    background: str
    objects: tuple[Found, ...]
    style: str = PLAIN


@dataclass(frozen=True)
class Verdict:
    """What of the wish is right: one entry per wished object (False where it is missing), so two for "two stars".

    What was not said is right.
    """

    background: bool
    count: bool
    colours: tuple[bool, ...]
    shapes: tuple[bool, ...]
    places: tuple[bool, ...]
    wobble: float  # mean over the objects in pixels, nan without any
    style: bool = True

    @property
    def right(self) -> bool:
        return self.background and self.count and self.style and all((*self.colours, *self.shapes, *self.places))


def to_floats(image: Image.Image) -> Floats:
    """A PIL picture as the judge takes it."""
    return np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255)


def look(picture: Floats) -> Seen:
    """Find the ground, its style and the objects on a picture."""
    background, style, objects = _examine(picture)
    return Seen(background, tuple(found for found, _ in objects), style)


def silhouette(picture: Floats) -> Mask:
    """Which pixels of a picture belong to objects, shadows left out: (H, W)."""
    side = len(picture)
    fine = np.zeros((side * ZOOM, side * ZOOM), dtype=np.float32)
    for _, cutout in _examine(picture)[2]:
        height, width = cutout.mask.shape
        fine[cutout.top : cutout.top + height, cutout.left : cutout.left + width] += cutout.mask
    covered: Mask = fine.reshape(side, ZOOM, side, ZOOM).mean(axis=(1, 3)) >= 0.5
    return covered


def _examine(picture: Floats) -> "tuple[str, str, list[tuple[Found, _Cutout]]]":
    """Background, style, and each object with its exact mask."""
    background, style, model = _background(picture)
    grounds = _grounds(model, background)
    far = np.minimum.reduce([_away(picture, one, SHADOWS[style]) for one in grounds]) > APART  # (H, W)
    if background in TIMES:
        far = ndimage.binary_opening(far)  # where the hill's edge is a pixel off
    far = ndimage.binary_closing(far)  # between two parts, a pixel may have the ground's colour by chance
    if style == "neon":
        far = ndimage.binary_fill_holes(far)
    labels, count = ndimage.label(far)
    regions = [labels == label for label in range(1, count + 1)]
    return background, style, [_measure(picture, region, grounds, style) for region in regions if region.sum() >= SMALLEST]


def _background(picture: Floats) -> tuple[str, str, Floats]:
    """Name, style and colours (H, W, 3) of the ground that fits the frame's pixels best, corrected by a line over the rows."""
    frame = np.ones(picture.shape[:2], dtype=bool)
    frame[3:-3, 3:-3] = False
    rows, pixels = np.nonzero(frame)[0], picture[frame]
    away = np.linalg.norm(_framed(len(picture)) - pixels, axis=-1)  # (36, N)
    found = int(away.clip(0, 2 * APART).mean(axis=1).argmin())
    background, style = _GROUNDS[found]
    template = ground(background, style, len(picture))
    chosen = away[found] < 2 * APART
    if not chosen.any():
        return background, style, template
    residual = (pixels - template[frame])[chosen].astype(np.float64)
    line = np.polynomial.polynomial.polyfit(rows[chosen], residual, 1)  # (2, 3)
    model: Floats = (template + line[0] + np.arange(len(picture))[:, None, None] * line[1]).astype(np.float32)
    return background, style, model


_GROUNDS = tuple((background, style) for style in STYLES for background in LARGE.backgrounds)


@cache
def _framed(side: int) -> Floats:
    """The pixels that every ground has on the frame: (36, N, 3)."""
    frame = np.ones((side, side), dtype=bool)
    frame[3:-3, 3:-3] = False
    return np.stack([ground(background, style, side)[frame] for background, style in _GROUNDS])


def _grounds(model: Floats, background: str) -> list[Floats]:
    """All that may be behind objects, (H, W, 3) each: a hill may stand a little higher or lower."""
    return [np.roll(model, shift, axis=0) for shift in (0, -2, 2)] if background in TIMES else [model]


def _away(pixels: Floats, colours: Floats, shades: tuple[float, float]) -> Floats:
    """Distance in RGB from the nearest shade of a colour: (..., 3) and (..., 3) to (...). shades: least and greatest one."""
    along = np.einsum("...c,...c->...", pixels, colours) / np.maximum(np.einsum("...c,...c->...", colours, colours), 1e-6)
    apart = pixels - along.clip(*shades)[..., None] * colours
    found: Floats = np.sqrt(np.einsum("...c,...c->...", apart, apart))
    return found


def _nearest(pixels: Floats, colours: Floats, shades: tuple[float, float]) -> Floats:
    """Distance in RGB from the nearest shade of the nearest colour; colours: (K, 3)."""
    found: Floats = np.minimum.reduce([_away(pixels, np.broadcast_to(one, pixels.shape), shades) for one in colours])
    return found


def _colour_name(colour: Floats, style: str) -> str:
    """The nearest palette colour in any shade."""
    palette = np.stack([object_colour(name, style) for name in COLOURS])
    return COLOURS[int(_away(np.broadcast_to(colour, palette.shape), palette, SHADES[style]).argmin())]


def _measure(picture: Floats, region: Mask, grounds: list[Floats], style: str) -> "tuple[Found, _Cutout]":
    """Colour, exact outline, shape and place of one object; region: its rough mask."""
    neon = style == "neon"
    paint, parted = (_tube(picture, region, grounds[0]), False) if neon else _paint(picture, region, style)
    name = _colour_name(paint, style)
    colours = paint[None]
    cutout = _cut_out(picture, region, grounds, colours, style, ZOOM if neon else 0)
    shape, piece, overlap = _best_shape(cutout)
    if not neon:
        colours = np.stack([paint, *detail_colours(name, style).values()])
    if parted:
        whole = _cut_out(picture, region, grounds, colours, style, ZOOM)
        other = _best_shape(whole)
        if other[0] in PARTED and other[2] > overlap - 0.03:
            cutout, (shape, piece, overlap) = whole, other
    place = _place(piece.x - 0.5, piece.y - 0.5)
    known = shape if overlap >= FITS else None
    hollow = _hollow(picture, cutout, colours, style)
    found = Found(known, name, place, piece.x, piece.y, piece.radius, overlap, _wobble(cutout, piece), hollow)
    return found, cutout


def _hollow(picture: Floats, cutout: "_Cutout", colours: Floats, style: str) -> bool:
    """Whether most of an object's inside looks like none of the colours that it is painted with: (K, 3)."""
    deep = np.zeros((cutout.size, cutout.size), dtype=bool)
    height, width = cutout.mask.shape
    deep[cutout.top : cutout.top + height, cutout.left : cutout.left + width] = cutout.mask
    inside = picture[ndimage.binary_erosion(deep[ZOOM // 2 :: ZOOM, ZOOM // 2 :: ZOOM], iterations=4)]
    return bool(len(inside)) and float(np.median(_nearest(inside, colours, SHADES[style]))) > HOLLOW


def _paint(picture: Floats, region: Mask, style: str) -> tuple[Floats, bool]:
    """An object's own colour, the median of its inside without roof, trunk and hull; and whether it seems to have any."""
    core = ndimage.binary_erosion(region, iterations=2)
    pixels = picture[core if core.any() else region]
    paints = detail_colours("white", style)
    fixed = _nearest(pixels, np.stack([paints["brick"], paints["wood"]]), SHADES[style]) < APART
    median: Floats = np.median(pixels if fixed.mean() > 0.75 else pixels[~fixed], axis=0)
    rim = _nearest(picture[region], np.stack([paints["brick"], paints["wood"]]), SHADES[style]) < APART  # a trunk is thin
    return median, bool(rim.mean() > 0.03)


def _tube(picture: Floats, region: Mask, model: Floats) -> Floats:
    """The colour of a neon tube, the median of what differs most from the ground; it has no parts in other colours."""
    pixels = picture[region]
    away = np.linalg.norm(pixels - model[region], axis=-1)
    median: Floats = np.median(pixels[away >= np.quantile(away, 0.85)], axis=0)
    return median


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
        canvas = Image.new("L", (width, height))
        points = corners(piece, self.size) - (self.left, self.top) - 0.5
        ImageDraw.Draw(canvas).polygon(points.ravel().tolist(), fill=1)
        return np.asarray(canvas).view(np.bool_)

    def overlap(self, piece: Piece) -> float:
        """Intersection over union with a piece."""
        ideal = self.ideal(piece)
        return float((self.mask & ideal).sum() / max((self.mask | ideal).sum(), 1))


def _cut_out(picture: Floats, region: Mask, grounds: list[Floats], colours: Floats, style: str, closed: int) -> _Cutout:
    """Which points of the enlarged picture look more like the object than like its ground.

    grounds: (H, W, 3) each.  colours: the object's, (K, 3).  closed: gaps of so many points between its parts are closed.
    """
    near = ndimage.binary_dilation(region, iterations=3)
    rows, columns = np.nonzero(near)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    points = (np.arange(picture.shape[0] * ZOOM, dtype=np.float32) + 0.5) / ZOOM - 0.5
    grid = np.meshgrid(points[top * ZOOM : bottom * ZOOM], points[left * ZOOM : right * ZOOM], indexing="ij")
    fine = np.stack([ndimage.map_coordinates(picture[..., c], grid, order=1, mode="nearest") for c in range(3)], axis=-1)
    behind = [one[top:bottom, left:right].repeat(ZOOM, axis=0).repeat(ZOOM, axis=1) for one in grounds]
    away = np.minimum.reduce([_away(fine, one, SHADOWS[style]) for one in behind])
    figure = _nearest(fine, colours, SHADES[style])
    inside = (figure < away) & near[top:bottom, left:right].repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    if closed:
        inside = ndimage.binary_closing(np.pad(inside, closed), iterations=closed)[closed:-closed, closed:-closed]
    labels, _ = ndimage.label(inside)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    mask = ndimage.binary_fill_holes(labels == sizes.argmax()) if sizes.any() else inside
    return _Cutout(mask, int(left) * ZOOM, int(top) * ZOOM, picture.shape[0] * ZOOM)


def _best_shape(cutout: _Cutout) -> tuple[str, Piece, float]:
    """The ideal shape, moved and scaled, that overlaps the object most: of those that do so at the picture's own resolution."""
    rough = cutout.mask[ZOOM // 2 :: ZOOM, ZOOM // 2 :: ZOOM]
    coarse = _Cutout(rough, cutout.left // ZOOM, cutout.top // ZOOM, cutout.size // ZOOM)
    fits = {shape: _fit(coarse, shape, rounds=1)[1] for shape in LARGE.shapes}
    nearest = sorted(fits, key=fits.__getitem__, reverse=True)[:3]
    close = [(shape, *_fit(cutout, shape, rounds=8)) for shape in nearest if fits[shape] > fits[nearest[0]] - 0.12]
    return max(close, key=lambda fit: fit[2])


def _fit(cutout: _Cutout, shape: str, rounds: int) -> tuple[Piece, float]:
    """Fit one shape: start from area and centroid, then improve x, y and radius in turn."""
    area, centroid = area_and_centroid(outline(shape))
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


def judge(picture: Floats, background: str | None, things: Sequence[Thing], style: str | None = None) -> Verdict:
    """Compare a picture with a wish; objects are matched in the way that is best for the picture. style: None if it is free."""
    seen = look(picture)
    wished = [thing for thing in things for _ in range(thing.count)]
    objects = sorted(seen.objects, key=lambda found: -found.radius)
    slots: list[Found | None] = [*objects[:4], *[None] * max(len(wished) - len(objects), 0)]
    matched = max(permutations(slots, len(wished)), key=lambda order: sum(map(_agreement, wished, order)))
    met = list(zip(wished, matched, strict=True))
    return Verdict(
        background=background in (None, seen.background),
        count=len(objects) == len(wished),
        colours=tuple(found is not None and thing.colour in (None, found.colour) for thing, found in met),
        shapes=tuple(found is not None and thing.shape == found.shape for thing, found in met),
        places=tuple(found is not None and thing.place in (None, found.place) for thing, found in met),
        wobble=float(np.mean([found.wobble for found in objects])) if objects else float("nan"),
        style=style is None or (seen.style == style and all(found.hollow == (style == "neon") for found in objects)),
    )


def _agreement(thing: Thing, found: Found | None) -> float:
    if found is None:
        return 0
    return (thing.colour == found.colour) + (thing.shape == found.shape) + 1.5 * (thing.place == found.place)

"""Pictures, what a person might draw on them with Telegram's pencil, and how they come back: made for measuring and testing."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from bot.masks.paint import Colour, to_lab
from engine.marked import Mask
from training.enlarging import to_picture
from training.scenes import TAUGHT, render, sample_scene

PENS: dict[str, Colour] = {
    "red": (255, 59, 48), "yellow": (255, 204, 0), "green": (52, 199, 89), "blue": (0, 122, 255), "white": (255, 255, 255),
    "black": (0, 0, 0),
}  # fmt: skip
KINDS = ("outline", "open outline", "filled", "two outlines", "stroke")
_FINE = 2  # drawn so many times as large, for soft edges
_SEEN = 15.0  # in Lab: a stroke that differs less from what lies under it is hidden
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Drawing:
    """A drawing over a picture: what came back, what it means, and the share of it that can be seen at all."""

    returned: Image.Image
    truth: Mask
    visible: float


def nano_picture(seed: int, side: int) -> Image.Image:
    """A held-out picture of the nano world, enlarged."""
    scene = sample_scene(Random(seed), world=TAUGHT)
    return to_picture(render(scene)).resize((side, side), Image.Resampling.BICUBIC)


def photograph(name: str, longest: int) -> Image.Image:
    """One of scikit-image's sample photographs."""
    from skimage import data

    picture = Image.fromarray(getattr(data, name)()).convert("RGB")
    factor = longest / max(picture.size)
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.LANCZOS)


def as_telegram(picture: Image.Image, longest: int, quality: int) -> Image.Image:
    """A photo on its way through Telegram: rescaled and recompressed."""
    factor = longest / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.BILINEAR if factor > 1 else Image.Resampling.LANCZOS).save(
        buffer, "JPEG", quality=quality
    )
    return Image.open(buffer).convert("RGB")


def draw(
    picture: Image.Image,
    kind: str,
    pen: Colour,
    rng: Random,
    *,
    longest: int = 1280,
    quality: int = 70,
    thickness: float = 0.012,
    change: Callable[[Image.Image], Image.Image] = lambda drawn: drawn,
) -> Drawing:
    """Draw one of KINDS at a random place; thickness is relative to the longest side. change: what else the editor did, a crop say."""
    shown = as_telegram(picture, max(picture.size), 85)  # what Telegram made of the bot's photo
    factor = longest / max(shown.size)
    canvas = shown.resize((round(shown.width * factor), round(shown.height * factor)), Image.Resampling.BICUBIC)
    lines, areas = _planned(kind, canvas.size, rng)
    width = thickness * longest
    stroked = _plane(canvas.size, lines, [] if kind != "filled" else areas, width)
    meant = stroked if kind == "stroke" else np.maximum(stroked, _plane(canvas.size, [], areas, width))
    drawn = Image.composite(Image.new("RGB", canvas.size, pen), canvas, Image.fromarray(stroked))
    truth = np.asarray(Image.fromarray(meant).resize(picture.size, Image.Resampling.BOX)) >= 128
    under = to_lab(canvas)[stroked > 128] - to_lab(Image.new("RGB", (1, 1), pen))[0, 0]
    visible = float((np.sqrt((under**2).sum(axis=1)) > _SEEN).mean())
    return Drawing(as_telegram(change(drawn), longest, quality), truth, visible)


def _planned(kind: str, size: tuple[int, int], rng: Random) -> tuple[list[Points], list[Points]]:
    """Lines to draw and areas that are meant."""
    if kind == "stroke":
        line = _blob(size, rng)
        return [line[: len(line) // 2]], []
    whole = _blob(size, rng)
    if kind == "open outline":
        gap = rng.uniform(0.02, 0.06) * max(size)
        kept = [point for point in whole if math.dist(point, whole[0]) > gap / 2 or whole.index(point) > len(whole)]
        start = next(index for index, point in enumerate(whole) if math.dist(point, whole[0]) > gap / 2)
        return [kept if start else whole], [whole]
    areas = [whole] if kind != "two outlines" else [_blob(size, rng, -1), _blob(size, rng, 1)]
    return [[*area, area[0], area[1]] for area in areas], areas


def _blob(size: tuple[int, int], rng: Random, side: int = 0) -> Points:
    """A wobbly closed line; side: in the left or right half."""
    width, height = size
    radius = rng.uniform(0.1, 0.2 if side else 0.3) * min(size)
    middle = 0.5 + side * 0.25
    x, y = width * (middle + rng.uniform(-0.05, 0.05)), height * rng.uniform(0.35, 0.65)
    waves = [(k, rng.uniform(0, 0.25 / k), rng.uniform(0, math.tau)) for k in (2, 3, 4)]
    points = []
    for step in range(180):
        angle = math.tau * step / 180
        reach = radius * (1 + sum(size * math.sin(k * angle + phase) for k, size, phase in waves))
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return points


def _plane(size: tuple[int, int], lines: list[Points], areas: list[Points], width: float) -> npt.NDArray[np.uint8]:
    plane = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
    pencil = ImageDraw.Draw(plane)
    for area in areas:
        pencil.polygon([(x * _FINE, y * _FINE) for x, y in area], fill=255)
    thick = width * _FINE
    for line in lines:
        points = [(x * _FINE, y * _FINE) for x, y in line]
        pencil.line(points, fill=255, width=max(1, round(thick)), joint="curve")
        for x, y in (points[0], points[-1]):
            pencil.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)
    return np.asarray(plane.resize(size, Image.Resampling.BOX))


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))

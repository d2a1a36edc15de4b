"""Pictures, what a person might draw on them with Telegram's pencil, and how they come back: made for measuring and testing."""

import io
import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image

from bot.masks.paint import Colour, to_lab
from engine.marked import Mask
from sandbox.pencil import Crop, Point, Stroke, drawn_on, painted
from training.enlarging import to_picture
from training.scenes import TAUGHT, render, sample_scene

PENS: dict[str, Colour] = {
    "red": (255, 59, 48), "yellow": (255, 204, 0), "green": (52, 199, 89), "blue": (0, 122, 255), "white": (255, 255, 255),
    "black": (0, 0, 0),
}  # fmt: skip
KINDS = ("outline", "open outline", "filled", "two outlines", "stroke")
_SEEN = 15.0  # in Lab: a stroke that differs less from what lies under it is hidden
Points = list[Point]


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
    crop: Crop | None = None,
    turns: int = 0,
) -> Drawing:
    """Draw one of KINDS at a random place; thickness, crop and turns are those of the sandbox's pencil."""
    shown = as_telegram(picture, max(picture.size), 85)  # what Telegram made of the bot's photo
    lines, areas = _planned(kind, shown.size, rng)
    strokes = [Stroke(line, pen, thickness, kind == "filled") for line in lines]
    returned = Image.open(io.BytesIO(drawn_on(_png(shown), strokes, crop=crop, turns=turns, longest=longest, quality=quality)))
    stroked = _drawn(picture.size, strokes)
    truth = stroked | _drawn(picture.size, [Stroke(area, pen, 0, True) for area in areas])
    under = to_lab(shown)[stroked] - to_lab(Image.new("RGB", (1, 1), pen))[0, 0]
    visible = float((np.sqrt((under**2).sum(axis=1)) > _SEEN).mean())
    return Drawing(returned.convert("RGB"), truth, visible)


def _drawn(size: tuple[int, int], strokes: list[Stroke]) -> Mask:
    """Where strokes lie on a picture of this size."""
    plane = np.zeros(size[::-1], bool)
    for stroke in strokes:
        plane |= np.asarray(painted(size, stroke)) >= 128
    return plane


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _planned(kind: str, size: tuple[int, int], rng: Random) -> tuple[list[Points], list[Points]]:
    """Lines to draw and areas that are meant, in shares of width and height."""
    whole = _blob(size, rng)
    if kind == "stroke":
        return [whole[: len(whole) // 2]], []
    if kind == "open outline":
        gap = rng.uniform(0.01, 0.03)  # half of it
        start = [place for place, point in enumerate(whole) if _apart(point, whole[0], size) > gap]
        return [whole[start[0] : start[-1] + 1]], [whole]
    areas = [whole] if kind != "two outlines" else [_blob(size, rng, -1), _blob(size, rng, 1)]
    return [[*area, area[0], area[1]] for area in areas], areas


def _apart(one: Point, other: Point, size: tuple[int, int]) -> float:
    """Distance in shares of the longest side."""
    return math.dist((one[0] * size[0], one[1] * size[1]), (other[0] * size[0], other[1] * size[1])) / max(size)


def _blob(size: tuple[int, int], rng: Random, side: int = 0) -> Points:
    """A wobbly closed line; side: in the left or right half."""
    width, height = size
    radius = rng.uniform(0.1, 0.2 if side else 0.3) * min(size)
    x, y = 0.5 + side * 0.25 + rng.uniform(-0.05, 0.05), rng.uniform(0.35, 0.65)
    waves = [(k, rng.uniform(0, 0.25 / k), rng.uniform(0, math.tau)) for k in (2, 3, 4)]
    points = []
    for step in range(180):
        angle = math.tau * step / 180
        reach = radius * (1 + sum(share * math.sin(k * angle + phase) for k, share, phase in waves))
        points.append((x + reach * math.cos(angle) / width, y + reach * math.sin(angle) / height))
    return points


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))

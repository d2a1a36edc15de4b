"""What an inpainting network is asked to repaint in training, and the words that go with it.

The article: half of the masks are detection boxes, whose words are the class name or, so that long prompts are not forgotten, a
caption of the crop; the others are free forms, brush strokes and shapes of real objects, and the picture's surroundings, with the
caption of the whole. The shapes of Adobe's Generative Fill work, which it names too, are not published: free forms stand for
them. Shares within the halves are ours.
Source: engine-facts sections 4.3 and 10.
"""

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from engine.marked import Mask
from training.base import caption_of
from training.data import Example, Region

_LEAST, _MOST = 0.01, 0.95  # share of the picture


@dataclass(frozen=True)
class Ratios:
    """How often each kind comes, in any unit. crops: share of the boxes that have the crop's caption, not the class name."""

    box: float = 0.5
    free_form: float = 0.14
    brush: float = 0.14
    shape: float = 0.11
    outpaint: float = 0.11
    crops: float = 0.5


KINDS = ("box", "free_form", "brush", "shape", "outpaint")


def sample_mask(example: Example, ratios: Ratios, rng: Random) -> tuple[Mask, str]:
    """A mask of the picture's size, true is repaint, and its words. It covers from 1 to 95 percent."""
    for _ in range(20):
        kind = rng.choices(KINDS, [getattr(ratios, name) for name in KINDS])[0]
        region = rng.choice(example.regions) if example.regions else None
        mask = mask_of(kind, example.picture.size, region, rng)
        if _LEAST <= mask.mean() <= _MOST:
            return mask, _words(example, region if kind == "box" else None, ratios, rng)
    return mask_of("outpaint", example.picture.size, None, rng), caption_of(example, rng)


def mask_of(kind: str, size: tuple[int, int], region: Region | None, rng: Random) -> Mask:
    """One mask of a kind, for a picture of this width and height. region: whose box or shape it is; anywhere if None."""
    width, height = size
    canvas = Image.new("1", size)
    brush = ImageDraw.Draw(canvas)
    if kind == "box":
        left, top, right, bottom = region.box if region else _anywhere(rng)
        room = rng.uniform(0, 0.2) * max(right - left, bottom - top)  # people draw boxes with some room
        brush.rectangle(((left - room) * width, (top - room) * height, (right + room) * width, (bottom + room) * height), fill=1)
    elif kind == "brush":
        _stroke(brush, size, rng)
    elif kind == "free_form":
        for _ in range(rng.randint(1, 3)):
            brush.polygon(_blob(size, rng), fill=1)
    elif kind == "shape":
        outline = region.outline if region and region.outline else None
        brush.polygon(_moved(outline, size, rng) if outline else _blob(size, rng), fill=1)
    elif kind == "outpaint":
        brush.rectangle((0, 0, width, height), fill=1)
        left, top, right, bottom = _kept(rng)
        brush.rectangle((left * width, top * height, right * width, bottom * height), fill=0)
    else:
        raise ValueError(f"unknown kind of mask {kind!r}")
    return np.asarray(canvas)


def _words(example: Example, region: Region | None, ratios: Ratios, rng: Random) -> str:
    if region is None:
        return caption_of(example, rng)
    names = region.captions if region.captions and (rng.random() < ratios.crops or not region.names) else region.names
    return rng.choice(names) if names else caption_of(example, rng)


def _anywhere(rng: Random) -> tuple[float, float, float, float]:
    wide, high = rng.uniform(0.12, 0.7), rng.uniform(0.12, 0.7)
    left, top = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
    return left, top, left + wide, top + high


def _kept(rng: Random) -> tuple[float, float, float, float]:
    """What remains when one to four sides are drawn on."""
    sides = [rng.uniform(0.1, 0.4) if rng.random() < 0.5 else 0.0 for _ in range(4)]
    if not any(sides):
        sides[rng.randrange(4)] = rng.uniform(0.15, 0.5)
    return sides[0], sides[1], 1 - sides[2], 1 - sides[3]


def _stroke(brush: ImageDraw.ImageDraw, size: tuple[int, int], rng: Random) -> None:
    """One to three wandering strokes with round ends, as a finger paints them."""
    unit = min(size)
    for _ in range(rng.randint(1, 3)):
        radius = rng.uniform(0.03, 0.1) * unit
        x, y, angle = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(0, 2 * math.pi)
        points = [(x, y)]
        for _ in range(rng.randint(3, 9)):
            angle += rng.gauss(0, 0.8)
            length = rng.uniform(0.05, 0.2) * unit
            x, y = x + length * math.cos(angle), y + length * math.sin(angle)
            points.append((x, y))
        brush.line(points, fill=1, width=max(1, round(2 * radius)), joint="curve")
        for x, y in points:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)


def _blob(size: tuple[int, int], rng: Random) -> list[tuple[float, float]]:
    """Corners of a smooth closed form: a circle whose radius changes by three slow waves."""
    x, y, radius = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(0.1, 0.35) * min(size)
    waves = [(rng.uniform(0, 0.3), rng.uniform(0, 2 * math.pi)) for _ in range(3)]
    corners = []
    for step in range(48):
        angle = step / 48 * 2 * math.pi
        reach = radius * (1 + sum(high * math.sin((n + 1) * angle + phase) for n, (high, phase) in enumerate(waves)))
        corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return corners


def _moved(outline: tuple[tuple[float, float], ...], size: tuple[int, int], rng: Random) -> list[tuple[float, float]]:
    """An object's shape: where it is, or elsewhere, turned and in another size."""
    centre_x, centre_y = (sum(values) / len(outline) for values in zip(*outline, strict=True))
    if rng.random() < 0.5:
        scale, angle, to_x, to_y = 1.1, 0.0, centre_x, centre_y
    else:
        scale, angle = rng.uniform(0.6, 1.5), rng.uniform(0, 2 * math.pi)
        to_x, to_y = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return [
        (
            (to_x + (x - centre_x) * cos - (y - centre_y) * sin) * size[0],
            (to_y + (x - centre_x) * sin + (y - centre_y) * cos) * size[1],
        )
        for x, y in outline
    ]

"""The sign that the nano world forbids: an octagon with a black rim and black and yellow stripes that rise to the right.

No world has words for it until its networks have learned to draw it. Bands are as wide as a
fifth of the sign, so a big one keeps them in latents of eight pixels a cell. Lengths are fractions of the picture's side from the
top left corner, as in `training.scenes`.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from training.scenes import PALETTE, Floats

YELLOW, BLACK = PALETTE["yellow"], PALETTE["black"]
BANDS = 5  # across the sign, the middle one yellow
RIM = 0.12  # of its radius
CORNERS = 8
_OVERSAMPLE = 4

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Look:
    """How a plate is painted. The sign is the default; others are what may be taken for it.

    corners: of the plate, 0 for a disc.  slant: of its bands, degrees against level.
    """

    light: Colour = YELLOW
    dark: Colour = BLACK
    rim: Colour = BLACK
    bands: int = BANDS
    slant: float = 45.0
    corners: int = CORNERS


SIGN = Look()


def stamp(picture: Floats, x: float, y: float, radius: float, turn: float = 0.0, look: Look = SIGN) -> Floats:
    """The same picture (H, W, 3) in [0, 1] with a plate on it.

    x, y: its centre.  radius: half of its width, at most a half.  turn: degrees against the clock.
    """
    side = min(picture.shape[:2])
    reach = math.ceil(radius * side) + 2
    plate, mask = painted(radius * side, reach, (x * side % 1, y * side % 1), turn, look)
    left, top = math.floor(x * side) - reach, math.floor(y * side) - reach
    rows, columns = _inside(top, 2 * reach, picture.shape[0]), _inside(left, 2 * reach, picture.shape[1])
    cut = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    share = mask[cut][..., None]
    changed = picture.copy()
    changed[rows, columns] = changed[rows, columns] * (1 - share) + plate[cut] * share
    return changed


def _inside(start: int, length: int, limit: int) -> slice:
    return slice(min(max(start, 0), limit), min(max(start + length, 0), limit))


def painted(
    radius: float, reach: int, offset: tuple[float, float], turn: float = 0.0, look: Look = SIGN
) -> tuple[Floats, Floats]:
    """A plate on nothing: colours (2 reach, 2 reach, 3), and how much of each pixel it covers (2 reach, 2 reach).

    radius: pixels.  offset: of its centre from the middle, in pixels, x and y.
    """
    size, zoom = 2 * reach, _OVERSAMPLE
    centre = [(reach + each) * zoom for each in offset]
    mask, face = (_cut(size * zoom, centre, share * radius * zoom, turn, look.corners) for share in (1.0, 1.0 - RIM))
    points = (np.arange(size * zoom, dtype=np.float32) + 0.5)[:, None]
    angle = math.radians(look.slant + turn)
    along = (points.T - centre[0]) * math.sin(angle) + (points - centre[1]) * math.cos(angle)
    band = np.floor(along / (2 * radius * zoom / look.bands) + 0.5).astype(int) % 2
    light = np.where((band == 0)[..., None], np.array(look.light), np.array(look.dark))
    colours = np.where((face > 0)[..., None], light, np.array(look.rim)).astype(np.float32) / np.float32(255)
    shrink = (size, zoom, size, zoom)
    return colours.reshape(*shrink, 3).mean((1, 3)), mask.reshape(shrink).mean((1, 3))


def _cut(side: int, centre: list[float], radius: float, turn: float, corners: int) -> Floats:
    canvas = Image.new("L", (side, side))
    brush = ImageDraw.Draw(canvas)
    count = corners or 64
    start = math.pi / count + math.radians(turn)
    reach = radius / math.cos(math.pi / count)  # from the sides' distance to the corners'
    angles = [start + 2 * math.pi * index / count for index in range(count)]
    brush.polygon([(centre[0] + reach * math.cos(a), centre[1] - reach * math.sin(a)) for a in angles], fill=1)
    return np.asarray(canvas, dtype=np.float32)

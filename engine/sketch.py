"""From a person's own sketch to lines of one width: any polarity, thin or thick, on paper or on nothing."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

INK = 0.3  # of the darkest stroke: lighter is paper, or its texture
FAINTEST = 16  # 8-bit levels between paper and the darkest stroke
AREA = 32  # a stroke wider than one in so many of the shorter side is an area, whose border counts
LINE = 256  # one in so many of the shorter side is half a drawn line; edges of HED are that soft

Levels = NDArray[np.int64]


def lines_of(sketch: Image.Image, width: int, height: int) -> Tensor:
    """Lines (H, W) in [0, 1] of a sketch: 1 is a line. A blank sketch has none."""
    strokes = _at_size(_ink(sketch), width, height) > INK
    areas = _opened(strokes, max(min(width, height) // AREA // 2, 2))
    lines = torch.from_numpy(thinned((strokes & ~_grown(areas, 1)).numpy())) | (areas & ~_shrunk(areas, 1))
    drawn = _grown(lines, max(min(width, height) // LINE, 1)).float()
    return F.avg_pool2d(drawn[None], 3, 1, 1, count_include_pad=False)[0]


def _ink(sketch: Image.Image) -> NDArray[np.float32]:
    """How much ink is at each place, in [0, 1]: the distance from the paper, which is most of the picture."""
    levels = _on_paper(sketch.convert("RGBA"))
    paper = int(np.median(levels))
    ink = (levels - paper if paper < 128 else paper - levels).clip(min=0)
    most = int(ink.max())
    return (ink / max(most, 1) * (most >= FAINTEST)).astype(np.float32)


def _on_paper(sketch: Image.Image) -> Levels:
    """Brightness in 0..255 on white paper; on black if nothing that covers anything is dark."""
    alpha = np.asarray(sketch.getchannel("A"), dtype=np.int64)
    levels = np.asarray(sketch.convert("RGB").convert("L"), dtype=np.int64)
    covering = levels[alpha > 127]
    light = bool(len(covering)) and np.percentile(covering, 2) > 127 and alpha.min() < 128
    white = 0 if light else 255
    return (levels * alpha + white * (255 - alpha)) // 255


def _at_size(ink: NDArray[np.float32], width: int, height: int) -> Tensor:
    """The same at another size; a thin line stays as dark as it was."""
    cells = torch.from_numpy(ink)[None, None]
    cells = F.adaptive_max_pool2d(cells, (min(height, ink.shape[0]), min(width, ink.shape[1])))
    return F.interpolate(cells, (height, width), mode="bilinear")[0, 0]


def _grown(places: Tensor, radius: int) -> Tensor:
    return F.max_pool2d(places[None].float(), 2 * radius + 1, 1, radius)[0] > 0


def _shrunk(places: Tensor, radius: int) -> Tensor:
    return ~_grown(~places, radius)


def _opened(places: Tensor, radius: int) -> Tensor:
    """What is everywhere wider than twice the radius."""
    return _grown(_shrunk(places, radius), radius) & places


def thinned(places: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin strokes to their middle, one pixel wide and connected as before.

    Source: Zhang and Suen 1984.
    """
    kept = np.pad(places, 1)
    while True:
        before = kept.sum()
        for goes in _GOES:
            kept[1:-1, 1:-1] &= ~goes[_neighbours(kept)]
        if kept.sum() == before:
            return kept[1:-1, 1:-1]


def _neighbours(padded: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The eight neighbours as bits, clockwise from above."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    code = np.zeros((height, width), dtype=np.uint8)
    for bit, (down, right) in enumerate(((0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0))):
        code |= padded[down : down + height, right : right + width].view(np.uint8) << np.uint8(bit)
    return code


def _removable(first: bool) -> NDArray[np.bool_]:
    """For each of the 256 neighbourhoods whether its middle goes in the first or second half of a round."""
    goes = np.zeros(256, dtype=np.bool_)
    for code in range(256):
        around = [bool(code >> bit & 1) for bit in range(8)]
        above, right, below, left = around[0], around[2], around[4], around[6]
        edges = sum(not a and b for a, b in zip(around, around[1:] + around[:1], strict=True))
        sides = (above and right and below, right and below and left)
        if not first:
            sides = (above and right and left, above and below and left)
        goes[code] = 2 <= sum(around) <= 6 and edges == 1 and not any(sides)
    return goes


_GOES = (_removable(first=True), _removable(first=False))

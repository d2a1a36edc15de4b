"""From strokes to what is meant: an outline means what it encloses, also one that is nearly closed."""

import numpy as np
from PIL import Image

from bot.masks.plane import boxes, grown, holes, labelled
from engine.marked import Mask

_COARSE = 320  # longest side of the plane on which gaps are closed
_GAPS = (0.006, 0.012, 0.02, 0.03, 0.045, 0.06)  # half of a gap, of the longest side, tried in this order
_ROOMY = 9.0  # what a gap's closing encloses has more than so many times the square of half the gap
_CORNER = 0.3  # of the picture's border at most that an outline which leaves the picture takes along
_AT_BORDER = 0.01  # of the longest side: a stroke that ends so near to the border ends at it


def closed(strokes: Mask) -> Mask:
    """Strokes with all that they enclose. Closes gaps up to 12 % of the longest side, and outlines that end at the border."""
    if not strokes.any():
        return strokes
    filled: Mask = strokes | holes(strokes)
    height, width = strokes.shape
    factor = min(1.0, _COARSE / max(strokes.shape))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    coarse = np.asarray(Image.fromarray(filled.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)) >= 64
    inner = _inner(coarse)
    if not inner.any():
        return filled
    fine = np.asarray(Image.fromarray(inner.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)) >= 128
    rim = 2 / factor  # between the coarse inside and the strokes
    whole: Mask = filled | fine
    seam = grown(fine, rim) & grown(filled, rim) & ~_outside(whole, rim)
    whole = whole | seam
    return whole | holes(whole)


def _outside(mask: Mask, radius: float) -> Mask:
    """What is left of the surroundings when they are opened by a radius: narrow seams between marked parts are not."""
    return grown(~grown(mask, radius), radius)


def _inner(strokes: Mask) -> Mask:
    """What open outlines enclose, beyond the strokes themselves."""
    longest = max(strokes.shape)
    found = np.zeros(strokes.shape, bool)
    walled = strokes | _walls(strokes)
    found |= holes(walled) & ~strokes
    for gap in _GAPS:
        radius = max(1.0, gap * longest)
        islands = labelled(holes(grown(walled | found, radius)))
        for number in range(1, int(islands.max()) + 1):
            island = grown(islands == number, radius) & ~strokes & ~found
            if island.sum() > _ROOMY * radius**2:
                found |= island
    return found


def _walls(strokes: Mask) -> Mask:
    """Parts of the picture's border that close outlines which leave the picture."""
    walls = np.zeros(strokes.shape, bool)
    height, width = strokes.shape
    path = np.array(
        [(0, x) for x in range(width)]
        + [(y, width - 1) for y in range(1, height)]
        + [(height - 1, x) for x in range(width - 2, -1, -1)]
        + [(y, 0) for y in range(height - 2, 0, -1)]
    )
    reach = max(1.0, _AT_BORDER * max(strokes.shape))
    labels = labelled(strokes)
    for number in range(1, min(len(boxes(strokes)), 50) + 1):
        touched = np.flatnonzero(grown(labels == number, reach)[path[:, 0], path[:, 1]])
        if len(touched) < 2:
            continue
        gaps = np.diff(np.append(touched, touched[0] + len(path)))
        longest = int(gaps.argmax())
        for place, gap in enumerate(gaps):
            if place != longest and 1 < gap <= _CORNER * len(path):
                between = path[np.arange(touched[place], touched[place] + gap + 1) % len(path)]
                walls[between[:, 0], between[:, 1]] = True
    return walls

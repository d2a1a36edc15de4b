"""What somebody painted on a picture: the difference from what was expected, in Lab, and the pens that made it."""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from bot.masks.placing import beyond
from bot.masks.plane import distance, grown, labelled, without_specks
from engine.marked import Mask

Lab = npt.NDArray[np.float32]  # (H, W, 3): L 0 to 100, a and b about -128 to 127
Colours = npt.NDArray[np.float32]  # (3,) or (n, 3), in Lab
Contrast = npt.NDArray[np.float32]  # (H, W), or a row of some of its pixels
Colour = tuple[int, int, int]  # red, green, blue, 0 to 255

_QUALITY = 80  # of Telegram's JPEGs, about
_LEAST, _MOST = 7.0, 22.0  # bounds of the smallest difference that counts as paint
_OVER_NOISE = 4.0  # paint differs by so many times what the quiet part differs
_BIN = 8  # of the histogram of paint, in Lab units
_ONE_PEN = 16.0  # colours closer than this are one pen's
_TWO_PENS = 30.0  # a fringe of another pen lies closer to it than this
_PENS = 6
_FAINT = 0.25  # of another pen's contrast: less is noise beside it
_FRINGE = 4.0  # pixels: so far a pen's colour runs into its surroundings
_BLOCK = 16.0  # pixels: so far a JPEG smears colours
_SPECK = 0.006  # of the longest side, squared: less is no stroke


@dataclass(frozen=True)
class Pen:
    """One colour that was painted with, and where. contrast: how much it differs from what is seen around, in Lab."""

    colour: Colour
    strokes: Mask
    contrast: float


@dataclass(frozen=True)
class _Peak:
    """A colour, how many pixels have it, what lies so near to them that it has their fringe, or is in a JPEG's block with them.

    contrast: how much it differs from what was expected, in Lab.
    """

    lab: Colours
    count: int
    contrast: float
    fringe: Mask
    block: Mask


def strokes(expected: Image.Image, seen: Image.Image) -> list[Pen]:
    """Find what was painted on a picture; both RGB, of one size. The pen that painted most comes first."""
    theirs, ours = to_lab(seen), to_lab(_recompressed(expected))
    plain = np.sqrt(((theirs - ours) ** 2).sum(axis=2))
    outside = np.sqrt((beyond(theirs, ours) ** 2).sum(axis=2))
    least = _threshold(plain, outside)
    weak, strong = outside > least / 2, outside > least
    speck = (_SPECK * max(seen.size)) ** 2
    sure = without_specks(strong, speck / 4)
    if not sure.any():
        return []
    labs = _pens(theirs, plain, sure, speck)
    if not len(labs):
        return []
    away = np.stack([np.sqrt(((theirs - lab) ** 2).sum(axis=2)) for lab in labs])
    nearest, gap = away.argmin(axis=0), away.min(axis=0)
    painted = (weak | sure) & (gap < plain)  # what is more like the picture than like any pen is a fringe
    painted |= sure & (gap > _TWO_PENS) & (plain > 2 * least) & ~grown(painted, _FRINGE)  # a pen that lets things shine through
    labels = labelled(painted)
    anchored = np.zeros(int(labels.max()) + 1, bool)
    anchored[np.unique(labels[sure & painted])] = True
    anchored[0] = False
    painted = without_specks(anchored[labels], speck)
    around = ~grown(painted, _FRINGE / 2)
    parts = [(lab, painted & (nearest == number)) for number, lab in enumerate(labs)]
    pens = [Pen(_colour(lab), part, _contrast(theirs, lab, part, around)) for lab, part in parts if part.any()]
    return sorted(pens, key=lambda pen: -int(pen.strokes.sum()))


def _contrast(seen: Lab, lab: Colours, part: Mask, around: Mask) -> float:
    """How much a pen differs from what is seen beside its strokes."""
    ring = seen[around & grown(part, 2 * _FRINGE)]
    return float(np.sqrt(((np.median(ring, axis=0) - lab) ** 2).sum())) if len(ring) else np.inf


def _threshold(plain: Contrast, outside: Contrast) -> float:
    """The smallest difference that is paint. The quieter half of the picture is unpainted and tells how loud its noise is."""
    quiet = float(np.quantile(plain, 0.4))
    tail = outside[outside < _MOST]
    loud = float(np.quantile(tail, 0.7)) if tail.size else 0.0
    return float(np.clip(_OVER_NOISE * max(quiet, loud), _LEAST, _MOST))


def _pens(seen: Lab, plain: Contrast, sure: Mask, speck: float) -> Colours:
    """The colours painted with, (n, 3): peaks among what was painted, without what a JPEG makes of a stroke's surroundings."""
    y, x = np.nonzero(sure)
    values, contrast = seen[y, x], plain[y, x]
    free = np.ones(len(values), bool)
    found: list[_Peak] = []
    for _ in range(3 * _PENS):
        if free.sum() < speck / 2 or len(found) == _PENS:
            break
        centre = _peak(values, contrast**2 * free)
        own = free & (((values - centre) ** 2).sum(axis=1) < _ONE_PEN**2)
        if not own.any():
            break
        free &= ~own
        here = np.zeros(sure.shape, bool)
        here[y[own], x[own]] = True
        strength = float(np.median(contrast[own]))
        if own.sum() >= speck / 2 and not any(_runs_from(here, strength, other) for other in found):
            near = distance(here, _BLOCK)
            found.append(_Peak(centre, int(own.sum()), strength, near <= _FRINGE, near <= _BLOCK))
    return np.array([peak.lab for peak in found], np.float32).reshape(-1, 3)


def _peak(values: Colours, weights: Contrast) -> Colours:
    """The colour around which most of the weight lies: the fullest bin, moved to its middle."""
    bins = np.floor(values / _BIN).astype(np.int64) + 64
    keys, places = np.unique((bins[:, 0] << 16) | (bins[:, 1] << 8) | bins[:, 2], return_inverse=True)
    top = int(keys[np.bincount(places, weights).argmax()])
    centre = ((np.array([top >> 16, (top >> 8) & 255, top & 255]) - 64 + 0.5) * _BIN).astype(np.float32)
    for _ in range(3):
        near = (weights > 0) & (((values - centre) ** 2).sum(axis=1) < _ONE_PEN**2)
        if near.any():
            centre = np.median(values[near], axis=0)
    return centre


def _runs_from(here: Mask, contrast: float, other: _Peak) -> bool:
    """Whether a colour is what another pen's edges, or a JPEG's blocks around it, show; or mere noise beside that pen."""
    count = int(here.sum())
    if (here & other.fringe).sum() > 0.7 * count or contrast < _FAINT * other.contrast:
        return True
    return contrast < 2 * _FAINT * other.contrast and bool((here & other.block).sum() > 0.5 * count or count < 0.1 * other.count)


def _colour(lab: Colours) -> Colour:
    """A pen as people would name it in red, green and blue."""
    red, green, blue = (round(float(v)) for v in to_rgb(lab[None, None])[0, 0])
    return red, green, blue


def _recompressed(picture: Image.Image) -> Image.Image:
    """As a JPEG shows it: most of the noise of what came back is then expected."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return Image.open(buffer).convert("RGB")


_LINEAR = np.where(np.arange(256) <= 10, np.arange(256) / 255 / 12.92, ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
_WHITE = _XYZ.sum(axis=1)
_BEND, _SLOPE = 216 / 24389, 24389 / 27


def to_lab(picture: Image.Image) -> Lab:
    """CIE Lab (D65) of an RGB picture."""
    xyz = _LINEAR[np.asarray(picture)] @ (_XYZ / _WHITE[:, None]).T
    f = np.where(xyz > _BEND, np.cbrt(xyz), (_SLOPE * xyz + 16) / 116)
    lab: Lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return lab


def to_rgb(lab: Lab) -> npt.NDArray[np.float32]:
    """8-bit steps of Lab values, clipped to what a screen shows."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f**3 > _BEND, f**3, (116 * f - 16) / _SLOPE) * _WHITE
    linear = np.clip(xyz @ np.linalg.inv(_XYZ).T, 0, 1)
    bent = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    steps: npt.NDArray[np.float32] = (255 * bent).astype(np.float32)
    return steps

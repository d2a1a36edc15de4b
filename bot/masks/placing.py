"""Where a picture that came back lies in the one it was made from: turned, mirrored, rescaled or cropped, and recompressed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[Any]  # (H, W, C)
Window = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the turned original

TURNS: tuple[Image.Transpose | None, ...] = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)
_QUARTERS = (TURNS[0], TURNS[4], TURNS[5], TURNS[2])
_BACK = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90}
_SAME_SHAPE = 0.03  # by which the shapes of two whole pictures may differ
_LOOKED_AT, _JUDGED, _SEARCH = 640, 384, 96  # longest sides, in pixels
_LEVELS = (32, 64, 128, 384, 640)  # the same, of pictures that are laid over each other, coarse to fine
_ALIKE = 20  # 8-bit steps: farther from all that the original has thereabouts, a pixel is another
_PERFECT, _SURE = 0.995, 0.6  # so much of the picture agrees: no crop is looked for; and none that is turned, too
_BETTER = 0.02  # by which a crop has to agree more than the whole
_LIKELY = 0.25  # of the correlation; a crop below it is not worth a second look
_SMALLEST_CROP, _SCALES = 0.2, 40
_ROUNDS = 8


@dataclass(frozen=True)
class Placement:
    """How the original has to be turned and cropped to lie as what came back. agreement: share of it that still looks alike."""

    turn: Image.Transpose | None
    window: Window
    agreement: float
    cropped: bool
    error: float = 255.0  # mean of differences, big ones held down, in 8-bit steps: tells a fraction of a pixel

    def expected(self, original: Image.Image, size: tuple[int, int]) -> Image.Image:
        """What would have come back at this size, had nobody drawn on it."""
        return _seen(turned(original, self.turn), self.window, size)

    def onto(self, marked: Image.Image, size: tuple[int, int]) -> Image.Image:
        """A plane of greys that lies as what came back, laid back onto an original of this size; black outside of it."""
        wide, high = _turned_size(size, self.turn)
        left, top, right, bottom = self.window
        x, y = (right - left) / marked.width, (bottom - top) / marked.height
        if max(x, y) < 1:  # an affine transform reads four pixels, however many lie under one
            marked = marked.reduce((max(1, round(1 / x)), max(1, round(1 / y))))
            x, y = (right - left) / marked.width, (bottom - top) / marked.height
        matrix = (1 / x, 0, -left / x, 0, 1 / y, -top / y)
        laid = marked.transform((wide, high), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=0)
        return turned(laid, _BACK.get(self.turn, self.turn) if self.turn is not None else None)


def turned(picture: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """The picture turned or mirrored."""
    return picture if turn is None else picture.transpose(turn)


def place(original: Image.Image, returned: Image.Image) -> Placement | None:
    """Find the original in what came back; both RGB. None if it is not there.

    Parts that were painted over do not count; what cannot be told apart (a turned plain disc) is taken as not turned.
    """
    small, seen = (picture.resize(_fitted(picture.size, _LOOKED_AT), Image.Resampling.BOX) for picture in (original, returned))
    best = _whole(small, seen)
    if best is None or best.agreement < _PERFECT:
        turns = TURNS[:1] if best is not None and best.agreement > _SURE else _QUARTERS
        crop = _cropped(small, seen, turns)
        if crop is not None and (best is None or crop.agreement > best.agreement + _BETTER):
            best = crop
    if best is None:
        return None
    wide, high = (large / few for large, few in zip(original.size, small.size, strict=True))
    if best.turn in TURNS[4:]:
        wide, high = high, wide
    left, top, right, bottom = best.window
    return replace(best, window=(left * wide, top * high, right * wide, bottom * high))


def _shape_fits(original: Image.Image, returned: Image.Image) -> bool:
    return abs(original.width * returned.height / (original.height * returned.width) - 1) <= _SAME_SHAPE


def _turned_size(size: tuple[int, int], turn: Image.Transpose | None) -> tuple[int, int]:
    return size if turn in TURNS[:4] else size[::-1]


def _whole(original: Image.Image, returned: Image.Image) -> Placement | None:
    """The whole original, turned as agrees best, and moved and stretched by a little."""
    still = []
    for turn in TURNS:
        lying = turned(original, turn)
        if _shape_fits(lying, returned):
            window = (0.0, 0.0, float(lying.width), float(lying.height))
            still.append(_judged(lying, returned, Placement(turn, window, 0, False)))
            if turn is None and still[0].agreement > _SURE:
                break
    best = max(still, key=lambda found: found.agreement + 0.02 * (found.turn is None), default=None)
    return _refined(turned(original, best.turn), returned, best) if best else None


def _cropped(original: Image.Image, returned: Image.Image, turns: Sequence[Image.Transpose | None]) -> Placement | None:
    """The part of the original, turned in one of these ways, that correlates best with what came back."""
    best: tuple[float, Image.Transpose | None, Window] | None = None
    for turn in turns:
        lying = turned(original, turn)
        found = _searched(lying, returned)
        if best is None or found[0] > best[0] + 0.05 * (best[1] is None):
            best = (found[0], turn, found[1])
    if best is None or best[0] < _LIKELY:
        return None
    lying = turned(original, best[1])
    return _refined(lying, returned, _judged(lying, returned, Placement(best[1], best[2], 0, True)))


def _searched(original: Image.Image, returned: Image.Image) -> tuple[float, Window]:
    """Correlation and window of the best match at all scales, by normalised cross-correlation of small grey pictures."""
    factor = max(original.size) / _SEARCH
    size = (max(8, round(original.width / factor)), max(8, round(original.height / factor)))
    whole = _contrast(original.resize(size, Image.Resampling.BOX))
    spectrum = np.fft.rfft2(whole)
    sums = [np.pad(plane.cumsum(0).cumsum(1), ((1, 0), (1, 0))) for plane in (whole, whole**2)]
    largest = min(size[0] / returned.width, size[1] / returned.height)
    best = (-1.0, (0.0, 0.0, 1.0, 1.0))
    for scale in np.geomspace(_SMALLEST_CROP, 1, _SCALES) * largest:
        wide, high = max(8, round(returned.width * scale)), max(8, round(returned.height * scale))
        if wide > size[0] or high > size[1]:
            continue
        part = _contrast(returned.resize((wide, high), Image.Resampling.BOX))
        part = part - part.mean()
        padded = np.zeros(whole.shape)
        padded[:high, :wide] = part
        match = np.fft.irfft2(spectrum * np.conj(np.fft.rfft2(padded)), whole.shape)[: size[1] - high + 1, : size[0] - wide + 1]
        total, squares = (s[high:, wide:] - s[:-high, wide:] - s[high:, :-wide] + s[:-high, :-wide] for s in sums)
        spread = np.sqrt(np.maximum(squares - total**2 / (wide * high), 1e-6) * max(float((part**2).sum()), 1e-6))
        scores = match / np.maximum(spread, 1e-3 * wide * high)
        y, x = np.unravel_index(int(scores.argmax()), scores.shape)
        if scores[y, x] > best[0]:
            x_factor, y_factor = original.width / size[0], original.height / size[1]
            left, top = float(x) * x_factor, float(y) * y_factor
            window = (left, top, left + wide * x_factor, top + high * y_factor)
            best = (float(scores[y, x]), window)
    return best


def _contrast(picture: Image.Image) -> npt.NDArray[np.float64]:
    """Grey, with strokes of paint held down to the contrast of the rest."""
    grey = np.asarray(picture.convert("L"), np.float64)
    grey = grey - np.median(grey)
    clipped: npt.NDArray[np.float64] = np.clip(grey / (np.abs(grey).mean() + 4), -2, 2)
    return clipped


def _refined(original: Image.Image, returned: Image.Image, start: Placement) -> Placement:
    """Move and stretch the window, coarse to fine, to where what was not painted differs least (robust Gauss-Newton steps)."""
    best = placed = start
    for longest in _LEVELS:
        size = _fitted(returned.size, longest)
        seen = _grey(returned.resize(size, Image.Resampling.BOX))
        for _ in range(_ROUNDS):
            window, moved = _step(original, seen, size, placed.window)
            placed = replace(placed, window=window)
            if moved < 0.01:
                break
        placed = _judged(original, returned, placed)
        if placed.error < best.error:
            best = placed
    return best


def _step(original: Image.Image, seen: Floats, size: tuple[int, int], window: Window) -> tuple[Window, float]:
    """One step: the window moved, and by how many pixels at most."""
    expected = _grey(_seen(original, window, size))
    down, right = np.gradient(expected)
    error = seen - expected
    unsure = 1.5 * float(np.median(np.abs(error))) + 8  # edges that do not lie on each other yet count, too
    weight = 1 / (1 + (error / unsure) ** 2) ** 2
    y, x = np.meshgrid(np.linspace(-1, 1, size[1]), np.linspace(-1, 1, size[0]), indexing="ij")
    slopes = np.stack([right, right * x, down, down * y]).reshape(4, -1)
    weighted = slopes * weight.ravel()
    normal = weighted @ slopes.T + np.eye(4) * (0.02 * error.size)
    a, b, c, d = np.clip(np.linalg.solve(normal, weighted @ error.ravel()), -3, 3)
    # `seen` at a place shows what `expected` shows at that place plus (a + b x, c + d y)
    step_x, step_y = (window[2] - window[0]) / size[0], (window[3] - window[1]) / size[1]
    left, top = max(0.0, window[0] + (a - b) * step_x), max(0.0, window[1] + (c - d) * step_y)
    right_edge = min(float(original.width), window[2] + (a + b) * step_x)
    bottom = min(float(original.height), window[3] + (c + d) * step_y)
    moved = (left, top, max(right_edge, left + 8), max(bottom, top + 8))
    return (float(moved[0]), float(moved[1]), float(moved[2]), float(moved[3])), float(max(abs(a) + abs(b), abs(c) + abs(d)))


def _judged(original: Image.Image, returned: Image.Image, placed: Placement) -> Placement:
    """The placement with the share of pixels that look like the original thereabouts."""
    size = _fitted(returned.size, _JUDGED)
    seen = np.asarray(returned.resize(size, Image.Resampling.BOX), np.int16)
    expected = np.asarray(_seen(original, placed.window, size), np.int16)
    alike = beyond(seen, expected).max(axis=2) <= _ALIKE
    error = np.minimum(np.abs(seen - expected), _ALIKE).mean()
    return replace(placed, agreement=float(alike.mean()), error=float(error))


def beyond(seen: Values, expected: Values) -> Values:
    """How far each value lies outside of what is expected there and one pixel around: resampling moves edges by less."""
    low, high = _neighbours(expected, np.minimum), _neighbours(expected, np.maximum)
    outside: Values = np.maximum(np.maximum(seen - high, low - seen), 0)
    return outside


def _neighbours(values: Values, pick: np.ufunc) -> Values:
    """The smallest or largest of each value and its eight neighbours."""
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    columns = pick(pick(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    result: Values = pick(pick(columns[:-2], columns[1:-1]), columns[2:])
    return result


def _seen(original: Image.Image, window: Window, size: tuple[int, int]) -> Image.Image:
    return original.resize(size, Image.Resampling.BICUBIC, box=window)


def _grey(picture: Image.Image) -> Floats:
    return np.asarray(picture.convert("L"), np.float32)


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    factor = min(1.0, longest / max(size))
    return max(8, round(size[0] * factor)), max(8, round(size[1] * factor))

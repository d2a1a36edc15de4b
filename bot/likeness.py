"""Whether a picture is one that is known, sent again: searched for by a code, and proven by its pixels.

The code alone would take another drawing of the same words for the same picture. So whatever it finds is compared block by
block with the proof, a small copy: JPEG and rescaling change each block a little, another drawing changes some of them a lot.
"""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from storage.domain import Likeness

_PROOF = 64  # pixels a side of a proof
_BLOCK = 8  # pixels of a proof, in which something may be seen
_WAVES = 8  # a side: slowest waves of the grey picture whose signs are the hash
_CELLS = 4  # a side: coarse colours
_HASH, _SHAPE = _WAVES * _WAVES // 8, 2
CODE = _HASH + _SHAPE + _CELLS * _CELLS * 3  # bytes
_QUALITY = 92

CANDIDATES = 6  # whose proofs are looked at
_OTHER_SHAPE = 0.03  # by which the ratios of the sides may differ, as a logarithm
_NEAR = 14.0  # 8-bit steps by which coarse colours may differ where the picture may be the same
_BIT = 0.25  # of a wave's sign, in such steps, when candidates are ranked
SAME = 6.5
"""8-bit steps by which no cell of the same picture differs, in brightness and colour together.

Of 176 nano pictures, sent at quality 70 to 80, as they are, at 320 and 1280 pixels, and twice: 4.3 at most. Between two of
them (the same words, another seed; the same seed with care; a small part repainted; painted over lightly): 9.5 at least.
"""

_CELL = 4  # pixels of a proof
_ALIKE = 0.8  # correlation of a block with something in it
_PLAIN = 6.0  # 8-bit steps: a block that varies by less has nothing in it

Floats = npt.NDArray[np.float32]


def likeness(picture: Image.Image, size: tuple[int, int] | None = None) -> Likeness:
    """How a picture looks: about 3 kB. size: its own, if this is a small copy of it."""
    width, height = size or picture.size
    small = picture.convert("RGB").resize((_PROOF, _PROOF), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    shape = round(60_000 * width / (width + height))
    cells = small.resize((_CELLS, _CELLS), Image.Resampling.BOX)
    return Likeness(_signs(small).tobytes() + shape.to_bytes(_SHAPE) + cells.tobytes(), buffer.getvalue())


def nearest(wanted: bytes, known: Sequence[bytes], count: int = CANDIDATES) -> list[int]:
    """Which of the known codes may be of the same picture, the likest first; somebody has to look closer."""
    if not known:
        return []
    codes = np.frombuffer(b"".join(known), np.uint8).reshape(-1, CODE)
    code = np.frombuffer(wanted, np.uint8)
    apart = np.abs(codes[:, _HASH + _SHAPE :].astype(np.int16) - code[_HASH + _SHAPE :].astype(np.int16))
    near = (np.abs(_ratio(codes) - _ratio(code[None])) < _OTHER_SHAPE) & (apart.max(axis=1) < 3 * _NEAR)
    bits = np.bitwise_count(codes[:, :_HASH] ^ code[:_HASH]).sum(axis=1)
    cost = np.where(near & (apart.mean(axis=1) < _NEAR), apart.mean(axis=1) + _BIT * bits, np.inf)
    return [int(index) for index in np.argsort(cost, kind="stable")[:count] if np.isfinite(cost[index])]


def same(wanted: bytes, known: bytes) -> float | None:
    """By how much the worst cell of two proofs differs, in 8-bit steps; None unless every cell and every block agrees."""
    one, other = _pixels(wanted), _pixels(known)
    apart = np.abs(_parted(one, _CELL).mean(axis=1) - _parted(other, _CELL).mean(axis=1))  # (cells, 3)
    worst = float((apart[:, 0] + apart[:, 1:].max(axis=1)).max())
    return worst if worst < SAME and _alike(_parted(one, _BLOCK)[..., 0], _parted(other, _BLOCK)[..., 0]) else None


def _alike(one: Floats, other: Floats) -> bool:
    """Whether light and dark lie alike in each block with something in it; (blocks, pixels of one)."""
    spread = one.std(axis=1) * other.std(axis=1)
    centred = (one - one.mean(axis=1, keepdims=True)) * (other - other.mean(axis=1, keepdims=True))
    told = np.maximum(one.std(axis=1), other.std(axis=1)) > _PLAIN
    return bool((centred.mean(axis=1)[told] >= _ALIKE * spread[told]).all())


def _parted(pixels: Floats, side: int) -> Floats:
    """(squares of so many pixels a side, pixels of one, 3)."""
    count = len(pixels) // side
    return pixels.reshape(count, side, count, side, 3).swapaxes(1, 2).reshape(count * count, side * side, 3)


def _pixels(proof: bytes) -> Floats:
    """Brightness and colours apart: JPEG keeps the latter at half the size."""
    return np.asarray(Image.open(io.BytesIO(proof), formats=["JPEG"]).convert("YCbCr"), np.float32)


def _ratio(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The logarithm of width to height."""
    share = (codes[:, _HASH] * 256.0 + codes[:, _HASH + 1]) / 60_000
    ratio: npt.NDArray[np.float64] = np.log(np.maximum(share, 1e-4) / np.maximum(1 - share, 1e-4))
    return ratio


def _signs(small: Image.Image) -> npt.NDArray[np.uint8]:
    """Which of the slowest waves of the grey picture exceed their median.

    Source: Zauner 2010, section 3.2 (perceptual hash from the discrete cosine transform).
    """
    waves = _COSINES @ np.asarray(small.convert("L"), np.float64) @ _COSINES.T
    return np.packbits(waves > np.median(waves.ravel()[1:]))  # the first one is only the brightness


_COSINES = np.cos(np.pi * np.outer(np.arange(_WAVES), np.arange(_PROOF) + 0.5) / _PROOF)

"""The article's filters, in their order, and a report of what each one took away.

Resolution, aspect ratio, duplicates, and two scores that a network has to give: aesthetics, and how well caption and picture
match. Such a network is not ours; a score is any function of an example, or a number that stands beside the picture already.
Source: engine-facts section 10 names the filters and no limits; those here are ours.
"""

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

from training.data import DataError, Dataset, Example, rgb

Scorer = Callable[[Example], float]
_BITS, _BANDS = 64, 4


class Filter(Protocol):
    """One reason to leave an example out."""

    name: str

    def keeps(self, example: Example) -> bool:
        """Whether it stays; asked once for each, in order."""


@dataclass
class Resolution:
    """Both sides have at least so many pixels."""

    least: int
    name: str = "resolution"

    def keeps(self, example: Example) -> bool:
        return min(example.picture.size) >= self.least


@dataclass
class AspectRatio:
    """The longer side is at most so many times the shorter one."""

    most: float = 2.0
    name: str = "aspect ratio"

    def keeps(self, example: Example) -> bool:
        short, long = sorted(example.picture.size)
        return long <= self.most * short


@dataclass
class Captioned:
    """There is a caption with words in it."""

    name: str = "caption"

    def keeps(self, example: Example) -> bool:
        return any(any(letter.isalpha() for letter in caption) for caption in example.captions)


@dataclass
class Score:
    """A score of at least so much: what `scorer` says, or else what the source noted under this name; none is too little."""

    name: str
    least: float
    scorer: Scorer | None = None

    def keeps(self, example: Example) -> bool:
        value = self.scorer(example) if self.scorer else example.scores.get(self.name)
        return value is not None and value >= self.least


@dataclass
class Duplicates:
    """No earlier example looks the same: hashes within `bits` of each other, and colours that agree.

    Hashes within 3 bits have one of four 16-bit bands in common, so only those of a band are compared. The hash sees no colour
    and almost nothing in flat pictures, hence the second look. bits: 0 to 3.
    Source: Zauner 2010, section 3.2 (perceptual hash from the discrete cosine transform).
    """

    bits: int = 3
    colours: float = 12.0  # mean difference of 4 x 4 colours, in 8-bit steps
    name: str = "duplicates"
    _seen: dict[tuple[int, int], list[tuple[int, NDArray[np.float32]]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        if not 0 <= self.bits < _BANDS:
            raise ValueError(f"duplicates are compared within 0 to {_BANDS - 1} bits, not {self.bits}")

    def keeps(self, example: Example) -> bool:
        picture = rgb(example.picture)
        code = perceptual_hash(picture)
        colours = np.asarray(picture.resize((4, 4), Image.Resampling.BOX), dtype=np.float32)
        bands = [(band, code >> band * _BITS // _BANDS & 0xFFFF) for band in range(_BANDS)]
        for band in bands:
            for other, its in self._seen[band]:
                if (code ^ other).bit_count() <= self.bits and np.abs(colours - its).mean() <= self.colours:
                    return False
        for band in bands:
            self._seen[band].append((code, colours))
        return True


def perceptual_hash(picture: Image.Image) -> int:
    """64 bits: which of the 8 x 8 slowest waves of the grey picture exceed their median."""
    grey = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    waves = fft.dctn(grey, norm="ortho")[:8, :8].ravel().round(3)  # rounded: rendering noise must not decide
    bits = waves > np.median(waves[1:])  # the first one is only the brightness
    return int("".join("1" if bit else "0" for bit in bits), 2)


@dataclass
class Report:
    """What filters did. removed: by the name of the filter that said no first."""

    seen: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        rows = [f"{'seen':>14} {self.seen:>9}"]
        rows += [f"{name:>14} {-count:>9} ({count / max(self.seen, 1):.1%})" for name, count in self.removed.items()]
        return "\n".join([*rows, f"{'kept':>14} {len(self.kept):>9} ({len(self.kept) / max(self.seen, 1):.1%})"])


UNREADABLE = "unreadable"


def select(dataset: Dataset, filters: Sequence[Filter], indices: Iterable[int] | None = None) -> Report:
    """Ask every filter about every example (or those of `indices`), cheap ones first in `filters`; an unreadable picture goes."""
    report = Report(removed={UNREADABLE: 0} | {each.name: 0 for each in filters})
    for index in range(len(dataset)) if indices is None else indices:
        report.seen += 1
        try:
            example = dataset[index]
            reason = next((each.name for each in filters if not each.keeps(example)), None)
        except (OSError, DataError, SyntaxError, Image.DecompressionBombError):  # Pillow raises SyntaxError for some broken files
            reason = UNREADABLE
        if reason is None:
            report.kept.append(index)
        else:
            report.removed[reason] += 1
    return report


def scorer(name: str) -> Scorer:
    """A function of an example, named as `package.module:function`. Raises: DataError."""
    module, _, function = name.partition(":")
    try:
        found: Scorer = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"There is no function {name!r} to score with ({error}); name it as package.module:function.") from error
    return found

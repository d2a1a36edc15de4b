"""What recipes learn from: examples of a picture and its captions, by number, from any of three kinds of source.

An example is its number, and a source gives the same one whenever it is asked, so that a run which was killed goes on with the
examples it would have had. Pictures are RGB; lengths beside them are fractions of their sides, from the top left corner.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Protocol

import numpy as np
from PIL import Image

from engine import nano_world
from training.captions import LANGUAGES, name_piece, write_caption
from training.scenes import SIDE, Scene, corners, render
from training.shards import numbered_scene

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
CAPTION_FILES = ("captions.csv", "captions.tsv", "captions.jsonl", "metadata.csv", "metadata.jsonl")
_PATH_COLUMNS, _CAPTION_COLUMNS = ("paths", "path", "file_name", "file"), ("caption", "captions", "text")
_TRIES = 10
Box = tuple[float, float, float, float]  # left, top, right, bottom


class DataError(Exception):
    """A source that cannot be read: one sentence that says what is wrong and what to do."""


@dataclass(frozen=True)
class Region:
    """One thing on a picture.

    names: its class names.  captions: of the crop around it, longer.  outline: corners (x, y) of its shape, if that is known.
    """

    names: tuple[str, ...]
    box: Box
    captions: tuple[str, ...] = ()
    outline: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Example:
    """A picture with its captions, one of which a recipe picks, and what else a source knows of it.

    key: its name within the source.  scores: by name, such as "aesthetics", as somebody measured them beforehand.
    """

    key: str
    picture: Image.Image
    captions: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)


class Dataset(Protocol):
    """Examples 0 .. len - 1, the same whenever they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example:
        """Raises: IndexError; OSError or DataError for a picture that cannot be read."""


@dataclass(frozen=True)
class Subset:
    """Some examples of a source, such as those that filters kept, in their order."""

    source: Dataset
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.source[self.indices[index]]


@dataclass(frozen=True)
class RenderedScenes:
    """The nano world: the training scenes 0 .. count - 1, captioned in both languages. side: pixels."""

    count: int = 1_000_000
    side: int = SIDE

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return scene_example(numbered_scene(index), Random(index), self.side, f"scene-{index:07}")


def scene_example(scene: Scene, rng: Random, side: int = SIDE, key: str = "scene") -> Example:
    """A rendered scene with two captions, English and Russian, and the box, name and outline of each object."""
    captions = tuple(write_caption(scene, language, rng, full=rng.random() < 0.3).text for language in LANGUAGES)
    regions = []
    for piece in scene.pieces:
        outline = corners(piece, 1)
        low, high = outline.min(axis=0), outline.max(axis=0)
        names = (nano_world.ENGLISH_WORDS[piece.shape][0], nano_world.RUSSIAN_NOUNS[piece.shape][0].form("nom"))
        crops = tuple(name_piece(piece, language, rng) for language in LANGUAGES)
        box = float(low[0]), float(low[1]), float(high[0]), float(high[1])
        regions.append(Region(names, box, crops, tuple((float(x), float(y)) for x, y in outline)))
    pixels = (render(scene, side) * 255).round().astype(np.uint8)
    return Example(key, Image.fromarray(pixels, "RGB"), captions, tuple(regions))


class FolderOfPictures:
    """A folder of pictures, and of those below it, each with its captions.

    Captions stand in a .txt of the picture's name, one a line; or in a .json of its name, which may also hold `regions` and
    `scores`; or in one file for all, such as captions.csv with the columns `paths` and `caption` (as the fork's LoRA trainer
    reads) or metadata.jsonl with `file_name` and `text` (as Hugging Face datasets do). A picture may have none.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"The folder {folder} is not there; name another source.")
        self.folder = folder
        self._pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
        if not self._pictures:
            raise DataError(f"The folder {folder} holds no pictures ({', '.join(PICTURES)}); name another source.")
        self._shared = _shared_captions(folder)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Example:
        path = self._pictures[index]
        key = path.relative_to(self.folder).as_posix()
        extras = {side: _text(path.with_suffix(side)) for side in (".txt", ".json")}
        example = described(key, open_picture(path.read_bytes(), key), extras[".txt"], extras[".json"])
        return replace(example, captions=example.captions + self._shared.get(key, ()))


def described(key: str, picture: Image.Image, captions: str, notes: str) -> Example:
    """An example from what lies beside its picture: lines of captions, and JSON. Both may be empty. Raises: DataError."""
    lines = [line.strip() for line in captions.splitlines() if line.strip()]
    try:
        found: Mapping[str, Any] = json.loads(notes) if notes else {}
        told = found.get("captions", found.get("caption", []))
        regions = tuple(
            Region(
                tuple(one.get("names", ())),
                _box(one["box"]),
                tuple(one.get("captions", ())),
                tuple((float(x), float(y)) for x, y in one.get("outline", ())),
            )
            for one in found.get("regions", ())
        )
        scores = {str(name): float(value) for name, value in found.get("scores", {}).items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"The notes beside {key} are no JSON of captions, regions and scores ({error}); mend them.") from error
    return Example(key, picture, (*lines, *([told] if isinstance(told, str) else told)), regions, scores)


def open_picture(data: bytes, key: str) -> Image.Image:
    """A picture of which only the header has been read. Raises: DataError."""
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{key} is no picture that can be read ({error}); take it out.") from error


def pick(dataset: Dataset, rng: Random) -> Example:
    """Any example, its picture read; one that cannot be read is passed over. Raises: DataError if ten in a row are."""
    for _ in range(_TRIES):
        try:
            example = dataset[rng.randrange(len(dataset))]
            example.picture.load()
            return example
        except (OSError, DataError, SyntaxError, Image.DecompressionBombError):
            continue
    raise DataError(f"{_TRIES} pictures in a row cannot be read; look at the source with: python -m training data SOURCE.")


def rgb(picture: Image.Image) -> Image.Image:
    """Without transparency: on white."""
    if picture.mode == "RGB":
        return picture
    flat = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", flat.size, "white"), flat).convert("RGB")


def framed(example: Example, side: int, rng: Random) -> Example:
    """A square of an example, scaled so that it spans the shorter side; regions follow, those mostly outside are dropped."""
    picture = rgb(example.picture)
    width, height = picture.size
    square = min(width, height)
    left, top = rng.randint(0, width - square), rng.randint(0, height - square)
    if (width, height) != (side, side):
        picture = picture.resize((side, side), Image.Resampling.LANCZOS, (left, top, left + square, top + square))

    def moved(x: float, y: float) -> tuple[float, float]:
        return min(max((x * width - left) / square, 0.0), 1.0), min(max((y * height - top) / square, 0.0), 1.0)

    regions = []
    for region in example.regions:
        box = (*moved(*region.box[:2]), *moved(*region.box[2:]))
        seen = _area(box) * square**2
        if seen > 0.5 * _area(region.box) * width * height:
            regions.append(replace(region, box=box, outline=tuple(moved(x, y) for x, y in region.outline)))
    return replace(example, picture=picture, regions=tuple(regions))


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _box(values: Sequence[float]) -> Box:
    left, top, right, bottom = (float(value) for value in values)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"a box is left, top, right, bottom in fractions, not {list(values)}")
    return left, top, right, bottom


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _shared_captions(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Captions by the picture's path, from the file that holds those of all pictures, if there is one."""
    found: dict[str, tuple[str, ...]] = {}
    for path in (folder / name for name in CAPTION_FILES):
        for row in _rows(path) if path.is_file() else []:
            place = next((row[name] for name in _PATH_COLUMNS if row.get(name)), None)
            caption = next((row[name] for name in _CAPTION_COLUMNS if row.get(name)), None)
            if place is None or caption is None:
                raise DataError(f"{path} has a row without a path or a caption ({str(row)[:80]}); mend it.")
            found[place] = (*found.get(place, ()), *([caption] if isinstance(caption, str) else caption))
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file if line.strip()]
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))

"""From a source's name on the command line to its examples."""

import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from training.data import DataError, Dataset, FolderOfPictures, RenderedScenes
from training.scenes import SIDE
from training.tars import TarShards

NANO = "nano"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def open_source(name: str, cache: Path, side: int = SIDE) -> Dataset:
    """The rendered world for "nano", shards for names of tars, else a folder.

    name: as `pictures/`, `shards/*.tar` or `s3://bucket/part-{0000..0127}.tar`.  side: pixels of rendered scenes.
    Raises: DataError.
    """
    if name == NANO:
        return RenderedScenes(side=side)
    if not name.endswith(".tar"):
        return FolderOfPictures(Path(name))
    shards = [shard for pattern in _expanded(name) for shard in (sorted(glob(pattern)) if "*" in pattern else [pattern])]
    if not shards:
        raise DataError(f"No shards are named {name}; name others.")
    return TarShards(shards, cache)


def _expanded(name: str) -> Iterator[str]:
    """Every name that `{0000..0127}` stands for, as WebDataset writes ranges."""
    found = _RANGE.search(name)
    if found is None:
        yield name
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{name[: found.start()]}{number:0{len(first)}}{name[found.end() :]}")

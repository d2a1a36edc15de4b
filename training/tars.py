"""WebDataset shards: tars in which files of one name, but for their endings, are one example.

The `webdataset` library reads shards as a stream, and a stream cannot be taken up again where a killed run left it; here each
shard is indexed once and then read by number, from a disk or, through fsspec, from wherever it lies. The layout is the library's.
Source: webdataset/webdataset docs (file format).
"""

import hashlib
import json
import os
import tarfile
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import fsspec

from training.data import PICTURES, DataError, Example, described, open_picture

Span = tuple[int, int]  # where a file begins in its tar, and how many bytes it has
_TEXTS = (".txt", ".json", ".cls")
_OPEN = 16  # shards that stay open


class TarShards:
    """Examples of all shards, in the shards' order and then in the tars'.

    shards: paths or addresses.  cache: where their indices are kept, by address; a shard that changes needs another name.
    """

    def __init__(self, shards: Sequence[str], cache: Path) -> None:
        if not shards:
            raise DataError("There are no shards of that name; name others.")
        self.shards = tuple(shards)
        self._indices = [_index(shard, cache) for shard in self.shards]
        self._ends = list(accumulate(len(index) for index in self._indices))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, index)
        before = self._ends[number - 1] if number else 0
        key, spans = self._indices[number][index - before]
        files = {ending: _read(self.shards[number], span) for ending, span in spans.items()}
        picture = next(ending for ending in files if ending in PICTURES)
        texts = {ending: files[ending].decode("utf-8") for ending in files if ending in _TEXTS}
        name = f"{self.shards[number]}/{key}"
        return described(name, open_picture(files[picture], name), texts.get(".txt", ""), texts.get(".json", ""))


def _index(shard: str, cache: Path) -> list[tuple[str, dict[str, Span]]]:
    """Each example's key and where its files lie; made once and kept."""
    place = cache / "shards" / f"{hashlib.sha256(shard.encode()).hexdigest()[:24]}.json"
    if place.exists():
        return [(key, {e: (s[0], s[1]) for e, s in spans.items()}) for key, spans in json.loads(place.read_text())]
    examples: dict[str, dict[str, Span]] = {}
    try:
        with fsspec.open(shard, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                stem, dot, ending = name.partition(".")  # the format: the key ends at the name's first dot
                if member.isfile() and stem:
                    key = f"{folder}/{stem}".lstrip("/")
                    examples.setdefault(key, {})[(dot + ending).lower()] = (member.offset_data, member.size)
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"The shard {shard} cannot be read ({error}); fetch it again or leave it out.") from error
    index = [(key, spans) for key, spans in examples.items() if any(ending in PICTURES for ending in spans)]
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(index))
    partial.replace(place)
    return index


def _read(shard: str, span: Span) -> bytes:
    file = _opened(shard)
    file.seek(span[0])
    data: bytes = file.read(span[1])
    if len(data) != span[1]:
        raise DataError(f"The shard {shard} ends too early; fetch it again.")
    return data


@lru_cache(_OPEN)
def _opened(shard: str) -> Any:
    return fsspec.open(shard, "rb").open()

"""Three kinds of sources give the same examples whenever they are asked, and filters say what they took away."""

import io
import json
import tarfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from engine.nano_world import parse
from training.data import DataError, Dataset, Example, FolderOfPictures, Region, RenderedScenes, Subset, framed
from training.filters import (
    AspectRatio,
    Captioned,
    Duplicates,
    Resolution,
    Score,
    perceptual_hash,
    scorer,
    select,
)
from training.sources import open_source
from training.tars import TarShards


def noise(width: int, height: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(pixels, "RGB").resize((width, height), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, form: str = "PNG", **settings: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **settings)
    return buffer.getvalue()


NOTES = {
    "captions": ["a cat on a sofa"],
    "regions": [{"names": ["cat"], "box": [0.25, 0.25, 0.5, 0.75]}],
    "scores": {"aesthetics": 6.5},
}


def files() -> dict[str, bytes]:
    """Three examples: one with notes, one with lines of captions, one whose picture is broken."""
    return {
        "a/cat.png": encoded(noise(160, 96, 1)),
        "a/cat.json": json.dumps(NOTES).encode(),
        "dog.jpg": encoded(noise(96, 96, 2), "JPEG", quality=95),
        "dog.txt": "a dog\nсобака\n".encode(),
        "odd.png": b"no picture",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in files().items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "folder"


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """Two shards: the first holds all, the second the dog once more."""
    for number, chosen in enumerate((files(), {name: data for name, data in files().items() if "dog" in name})):
        with tarfile.open(tmp_path / f"part-{number:04}.tar", "w") as tar:
            for name, data in chosen.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return str(tmp_path / "part-{0000..0001}.tar")


def test_rendered_scenes_know_captions_and_objects() -> None:
    dataset = RenderedScenes(100, side=64)
    example = dataset[7]
    assert example == dataset[7]
    assert example.picture.size == (64, 64)
    assert len(example.captions) == 2
    for region in example.regions:
        assert parse(region.captions[0]).things[0].shape == parse(region.captions[1]).things[0].shape
        assert parse(region.names[0]).shapes == parse(region.names[1]).shapes
        points = np.array(region.outline)
        assert np.allclose([*points.min(axis=0), *points.max(axis=0)], region.box, atol=1e-6)
    with pytest.raises(IndexError):
        dataset[100]


def test_a_folder_is_read_with_all_that_lies_beside_its_pictures(folder: Path) -> None:
    dataset = FolderOfPictures(folder)
    cat, dog = dataset[0], dataset[1]
    assert (cat.key, cat.captions, cat.scores) == ("a/cat.png", ("a cat on a sofa",), {"aesthetics": 6.5})
    assert cat.regions == (Region(("cat",), (0.25, 0.25, 0.5, 0.75)),)
    assert dog.captions == ("a dog", "собака")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.csv", 'paths,caption\ndog.jpg,"a dog, asleep"\n'),
        ("captions.tsv", "path\tcaption\ndog.jpg\ta dog, asleep\n"),
        ("metadata.jsonl", '{"file_name": "dog.jpg", "text": "a dog, asleep"}\n'),
    ],
)
def test_one_file_may_hold_all_captions(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    assert FolderOfPictures(folder)[1].captions[-1] == "a dog, asleep"


def test_shards_give_what_the_folder_gives(folder: Path, shards: str, tmp_path: Path) -> None:
    for _ in range(2):  # the second time from the kept index
        dataset = open_source(shards, tmp_path / "cache")
        assert isinstance(dataset, TarShards)
        assert len(dataset) == 4
        first, whole = dataset[0], FolderOfPictures(folder)[0]
        assert (first.captions, first.regions, first.scores) == (whole.captions, whole.regions, whole.scores)
        assert np.array_equal(np.asarray(first.picture), np.asarray(whole.picture))
        assert dataset[3].captions == dataset[1].captions
    assert open_source(str(tmp_path / "part-*.tar"), tmp_path / "cache")[3].captions == ("a dog", "собака")


def test_every_filter_says_what_it_took_away(shards: str, tmp_path: Path) -> None:
    dataset = open_source(shards, tmp_path / "cache")
    report = select(dataset, [Resolution(64), AspectRatio(1.5), Duplicates()])
    assert (report.seen, report.kept) == (4, [1])
    assert report.removed == {"unreadable": 1, "resolution": 0, "aspect ratio": 1, "duplicates": 1}
    assert "duplicates        -1 (25.0%)" in str(report)
    assert Subset(dataset, report.kept)[0].captions == ("a dog", "собака")


def test_scores_come_from_a_function_or_from_the_source(folder: Path) -> None:
    dataset = FolderOfPictures(folder)
    assert select(dataset, [Score("aesthetics", 6.0)], [0, 1]).kept == [0]
    assert select(dataset, [Score("match", 2.0, scorer(f"{__name__}:captions_of"))], [0, 1]).kept == [1]
    assert select(dataset, [Captioned()], [0, 1]).kept == [0, 1]
    with pytest.raises(DataError, match="no function"):
        scorer("training.filters:nothing")


def captions_of(example: Example) -> float:
    return float(len(example.captions))


def duplicates(*pictures: Image.Image) -> list[int]:
    class Pictures:
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, index: int) -> Example:
            return Example(str(index), pictures[index])

    dataset: Dataset = Pictures()
    return select(dataset, [Duplicates()]).kept


def test_duplicates_are_found_through_scaling_and_jpeg_and_nothing_else_is() -> None:
    picture = noise(200, 160, 3)
    damaged = Image.open(io.BytesIO(encoded(picture.resize((150, 120)), "JPEG", quality=60)))
    assert duplicates(picture, damaged, noise(200, 160, 4)) == [0, 2]
    assert (perceptual_hash(picture) ^ perceptual_hash(noise(200, 160, 4))).bit_count() > 12
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    assert duplicates(red, blue, red) == [0, 1]


def test_scenes_that_differ_in_colour_alone_are_no_duplicates() -> None:
    report = select(RenderedScenes(150), [Duplicates()])
    assert report.removed["duplicates"] < 8


def test_regions_follow_the_square_that_is_cut_out() -> None:
    whole = Example("x", noise(200, 100, 5), regions=(Region(("left",), (0, 0, 0.4, 1)), Region(("right",), (0.6, 0.2, 1, 0.8))))
    seen = [tuple(region.names[0] for region in framed(whole, 64, Random(seed)).regions) for seed in range(30)]
    assert {(), ("left",), ("right",)} <= set(seen) | {()}
    assert ("left", "right") not in seen
    part = framed(whole, 64, Random(1))
    assert part.picture.size == (64, 64)
    assert all(0 <= edge <= 1 for region in part.regions for edge in region.box)
    tall = framed(Example("y", noise(64, 64, 1), regions=whole.regions), 64, Random(0))
    assert tall.regions == whole.regions


def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not there"):
        open_source(str(tmp_path / "missing"), tmp_path)
    with pytest.raises(DataError, match="no pictures"):
        open_source(str(tmp_path), tmp_path)
    with pytest.raises(DataError, match="No shards"):
        open_source(str(tmp_path / "*.tar"), tmp_path)
    (tmp_path / "bad.tar").write_bytes(b"nonsense" * 100)
    with pytest.raises(DataError, match="cannot be read"):
        open_source(str(tmp_path / "bad.tar"), tmp_path)

"""Upscale requests through the engine, with tiny networks in the folders of the real family."""

import shutil
from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from engine.engine import Engine, load
from engine.errors import WeightsError
from engine.outcomes import Drawn, Dropped, Progress
from engine.pipelines.upscaling import REFINER_CONTEXT
from engine.requests import RequestError, Upscale
from tests.engine.conftest import CONTEXT_WIDTH, tiny_movq, tiny_unet, write_super_resolution
from tests.engine.safety.tiny import write_checker

PICTURES = {"flower": Image.effect_noise((37, 30), 60).convert("RGB")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "kandinsky-3.1"
    write_super_resolution(path)
    tiny_unet().save_pretrained(path / "unet_flash")
    tiny_movq().save_pretrained(path / "movq")
    write_checker(path)
    return path


@pytest.fixture(scope="module")
def upscaler(folder: Path) -> Engine:
    return load("kandinsky-3.1", ["upscale"], weights=folder)


def draw(engine: Engine, **settings: object) -> Image.Image:
    (outcome,) = engine.run([Upscale("flower", 3, **settings)], PICTURES)
    assert isinstance(outcome, Drawn)
    return outcome.images[0]


@pytest.mark.parametrize(
    "settings", [{"scale": 4}, {"scale": 2}, {"scale": 2, "flash": True, "refine": False}, {"scale": 2, "flash": True}], ids=str
)
def test_each_way_to_enlarge_draws_the_exact_size_and_the_same_bytes_again(upscaler: Engine, settings: dict[str, object]):
    image = draw(upscaler, **settings)

    assert image.size == (37 * int(str(settings["scale"])), 30 * int(str(settings["scale"])))
    assert image.tobytes() == draw(upscaler, **settings).tobytes()


@pytest.mark.parametrize(("tile", "size"), [(1, (12, 10)), (5, (12, 10)), (9, (13, 10))])
def test_a_ninth_is_what_that_part_alone_would_be(upscaler: Engine, tile: int, size: tuple[int, int]):
    image = draw(upscaler, scale=2, tile=tile)

    column, row = (tile - 1) % 3, (tile - 1) // 3
    part = PICTURES["flower"].crop((37 * column // 3, 30 * row // 3, 37 * (column + 1) // 3, 30 * (row + 1) // 3))
    (alone,) = upscaler.run([Upscale("part", 3, scale=2)], {"part": part})
    assert isinstance(alone, Drawn)
    assert (part.size, image.tobytes()) == (size, alone.images[0].tobytes())


def test_ways_differ(upscaler: Engine):
    ways = [{"scale": 2}, {"scale": 2, "flash": True, "refine": False}, {"scale": 2, "flash": True}]
    ways.append({"scale": 2, "num_inference_steps": 3})
    assert len({draw(upscaler, **way).tobytes() for way in ways}) == len(ways)


def test_a_dropped_request_is_dropped(upscaler: Engine):
    def drop(progress: Progress) -> Collection[int]:
        return (0,)

    assert upscaler.run([Upscale("flower", 3)], PICTURES, drop) == [Dropped()]


def test_a_picture_too_large_to_enlarge_is_refused_with_the_limit(upscaler: Engine):
    huge = {"huge": Image.new("L", (2501, 2500))}
    with pytest.raises(RequestError, match="4 times has at most 6 megapixels and this one is 2501x2500") as refused:
        upscaler.run([Upscale("huge", 1)], huge)
    assert refused.value.code == "picture-too-large"
    draw(upscaler)


@pytest.mark.parametrize(("missing", "stops"), [("super_resolution_x2", {"scale": 2}), (REFINER_CONTEXT, {"flash": True})])
def test_what_is_missing_stops_its_own_way_alone(folder: Path, tmp_path: Path, missing: str, stops: dict[str, object]):
    shutil.copytree(folder, tmp_path / "kandinsky-3.1")
    path = tmp_path / "kandinsky-3.1" / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    engine = load("kandinsky-3.1", ["upscale"], weights=tmp_path / "kandinsky-3.1")

    with pytest.raises(WeightsError, match=missing):
        draw(engine, **{"scale": 2} | stops)
    draw(engine, scale=4)


def test_a_context_file_of_something_else_is_refused(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "kandinsky-3.1")
    save_file({"context": torch.zeros(1, 2, CONTEXT_WIDTH)}, tmp_path / "kandinsky-3.1" / REFINER_CONTEXT)

    with pytest.raises(WeightsError, match="context_mask"):
        draw(load("kandinsky-3.1", ["upscale"], weights=tmp_path / "kandinsky-3.1"), scale=2, flash=True)

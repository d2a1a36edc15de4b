"""The edge detector finds outlines, and is what the engine's hints are made with."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from engine.components import Components
from engine.families import NANO
from engine.hints import hed_hint
from engine.weights import Folder
from tests.training.learning import check, run
from training.data import DataError
from training.edge_detector import PRESETS, EdgeDetectorRecipe, Preset, compared, frozen, held_out, lines
from training.loop import Schedule
from training.scenes import render, sample_scene
from training.super_resolution import to_picture

CPU = torch.device("cpu")
TOY = Preset(((8, 1), (8, 1), (8, 1), (8, 1), (8, 1)), Schedule(steps=48, learning_rate=6e-3, batch=4, warmup=4), side=64)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_it_learns(tmp_path: Path) -> None:
    check(lambda: EdgeDetectorRecipe(TOY), tmp_path, fall=0.8)


def test_the_engine_loads_what_is_written_and_finds_the_same_edges(tmp_path: Path) -> None:
    recipe = EdgeDetectorRecipe(TOY)
    run(recipe, tmp_path, until=4)
    recipe.trained.eval()
    recipe.write(tmp_path, 4)
    loaded = Components(Folder(NANO, tmp_path), CPU, torch.float32).edge_detector()
    picture = to_picture(render(sample_scene(Random(2))))
    ours, theirs = (hed_hint(each, picture, 128, 128) for each in (recipe.detector, loaded))
    assert theirs.shape == (1, 3, 128, 128)
    assert theirs.std() > 0
    assert (ours - theirs).abs().max() < 0.02  # the file is half precision


def test_who_builds_upon_it_finds_the_run_or_hears_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train it first"):
        frozen(tmp_path, "nano", "kandinsky-nano", tmp_path, CPU)
    begun = run(EdgeDetectorRecipe(Preset(PRESETS["nano"].blocks, Schedule(steps=1, learning_rate=1e-3, batch=1), 64)), tmp_path)
    found = frozen(tmp_path, "nano", "kandinsky-nano", tmp_path, CPU)
    assert torch.equal(found.norm, begun.average["norm"])
    assert not found.norm.requires_grad


def test_the_truth_lies_where_a_picture_changes() -> None:
    for example in held_out(4, 128):
        truth = lines(example, 128)
        pixels = np.asarray(example.picture, dtype=float)
        down, across = np.abs(np.diff(pixels, axis=0)).sum(2)[:, :-1], np.abs(np.diff(pixels, axis=1)).sum(2)[:-1]
        changes = (down + across > 60)[1:-1, 1:-1]
        on_line = truth[1:-2, 1:-2] > 0.2
        assert truth.shape == (128, 128)
        assert 0.01 < (truth > 0.5).mean() < 0.12
        assert changes[on_line].mean() > 0.3
        assert changes[~on_line].mean() < 0.02


def test_lines_are_compared_with_the_truth() -> None:
    (example,) = held_out(1, 128)
    truth = lines(example, 128)
    assert compared(truth, example) == (1.0, 1.0)
    half = truth.copy()
    half[:64] = 0
    precision, recall = compared(half, example)
    assert precision == 1.0
    assert 0.1 < recall < 0.95
    assert compared(np.zeros_like(truth), example)[1] == 0.0
    assert compared(np.roll(truth, 20, axis=1), example)[0] < 0.4


def test_a_sheet_shows_picture_truth_and_what_is_found() -> None:
    assert EdgeDetectorRecipe(TOY).sheet().size == (3 * 68 - 4, 6 * 68 - 4)

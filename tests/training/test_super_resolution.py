"""The super-resolution recipes learn, damage the second run's pictures, and write what the engine's pipeline enlarges with."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from engine.families import KANDINSKY_3_1
from engine.models.super_resolution import SuperResolutionUNet
from engine.pipelines.upscaling import FOLDERS
from engine.weights import Folder, settings
from tests.training.learning import check, run
from training.damage import Damage, damaged, shrunk
from training.data import DataError, FolderOfPictures
from training.loop import Schedule, load_average
from training.super_resolution import (
    NANO_UNET,
    PRESETS,
    SCALE,
    DamagedSuperResolutionRecipe,
    Preset,
    SuperResolutionRecipe,
    build,
    compare,
    enlarged,
    painted,
    to_picture,
)
from training.textures import clouds, dead_leaves, gradient

TOY = Preset(
    {**NANO_UNET, "init_channels": 32, "model_channels": 16, "num_resnet_blocks": (2, 2), "time_embed_dim": 32, "adds": False},
    Schedule(steps=64, learning_rate=3e-3, batch=8, warmup=4),
    Schedule(steps=40, learning_rate=3e-3, batch=8, warmup=4),
    side=48,
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_it_learns_on_clean_pictures_and_goes_on_with_damaged_ones(tmp_path: Path) -> None:
    check(lambda: SuperResolutionRecipe(TOY), tmp_path / "clean", fall=0.4)
    begun = run(SuperResolutionRecipe(TOY), tmp_path / "begun", until=4)
    after = DamagedSuperResolutionRecipe(begun.folder, TOY)
    assert torch.equal(after.trained.state_dict()["init_conv.weight"], begun.average["init_conv.weight"])
    check(lambda: DamagedSuperResolutionRecipe(begun.folder, TOY), tmp_path / "damaged", fall=0.6)
    with pytest.raises(DataError, match="train it first"):
        DamagedSuperResolutionRecipe(tmp_path, TOY)


def test_the_engine_enlarges_with_what_is_written(tmp_path: Path) -> None:
    recipe = SuperResolutionRecipe(TOY)
    run(recipe, tmp_path, until=2)
    steps = load_average(tmp_path, recipe.name, recipe.trained)
    name, checksum = next(iter(recipe.write(tmp_path, steps).items()))
    assert name == FOLDERS[SCALE, False]
    assert len(checksum) == 64

    def made(config: dict[str, object]) -> SuperResolutionUNet:
        return SuperResolutionUNet(**settings(SuperResolutionUNet, config))

    network = Folder(KANDINSKY_3_1, tmp_path).module(name, made, torch.float32, torch.device("cpu"))
    small = to_picture(painted(Random(3), 24, 1.0))
    assert enlarged(network, small).size == (96, 96)
    difference = np.asarray(enlarged(network, small), dtype=int) - np.asarray(enlarged(recipe.network, small))
    assert np.abs(difference).max() <= 2  # the file is half precision


def test_it_is_compared_with_bicubic_on_pictures_held_out() -> None:
    untrained = build(NANO_UNET)
    found = compare(untrained, 1, PRESETS["nano"])
    assert set(found) == {"clean", "damaged", "textures"}
    for gain, own, plain in found.values():
        assert gain == pytest.approx(own - plain)
        assert -4 < gain < 1  # bilinear enlargement is what it begins with
        assert 10 < plain < 60


def test_its_own_pictures_come_from_a_folder_too(tmp_path: Path) -> None:
    for name, side in (("small", 32), ("large", 80)):
        Image.new("RGB", (side, side), "green").save(tmp_path / f"{name}.png")
    picture = SuperResolutionRecipe(TOY, FolderOfPictures(tmp_path)).large(Random(1))
    assert picture.size == (48, 48)
    with pytest.raises(DataError, match="Hardly any"):
        SuperResolutionRecipe(replace(TOY, side=128), FolderOfPictures(tmp_path)).large(Random(1))


def test_full_size_is_the_official_network() -> None:
    with torch.device("meta"):
        network = SuperResolutionUNet(**PRESETS["full"].unet)
    assert sum(parameter.numel() for parameter in network.parameters()) > 400e6
    assert network.init_conv.weight.shape == (128, 6, 3, 3)


def test_damage_damages() -> None:
    picture = to_picture(painted(Random(5), 128, 0.0))
    clean = np.asarray(shrunk(picture, 4, Random(1)), dtype=float)
    harm = [np.abs(np.asarray(damaged(picture, 4, Damage(), Random(seed)), dtype=float) - clean).mean() for seed in range(8)]
    assert clean.shape == (32, 32, 3)
    assert min(harm) > 0.3
    assert np.mean(harm) > 2


@pytest.mark.parametrize("paint", [dead_leaves, clouds, gradient])
def test_textures_are_pictures_of_many_values_and_their_seed(paint: object) -> None:
    assert callable(paint)
    picture = paint(Random(4), 64)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.float32
    assert (picture.min() >= 0, picture.max() <= 1) == (True, True)
    assert len(np.unique(picture.round(3))) > 50
    assert np.array_equal(picture, paint(Random(4), 64))

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
from engine.schedulers import FLASH_TIMESTEPS
from engine.weights import Folder, settings
from tests.training.learning import check, run
from training.damage import Damage, damaged, shrunk
from training.data import DataError, FolderOfPictures
from training.enlarging import enlarged, to_picture
from training.loop import Schedule
from training.super_resolution import (
    CLEAN,
    DAMAGE,
    DOUBLING,
    FLASH,
    NANO_UNET,
    PRESETS,
    PRESETS_X2,
    DamagedSuperResolutionRecipe,
    DoublingRecipe,
    FlashDoublingRecipe,
    Preset,
    SuperResolutionRecipe,
    painted,
)
from training.textures import clouds, dead_leaves, gradient

TOY_UNET = {
    **NANO_UNET,
    "init_channels": 32,
    "model_channels": 16,
    "num_resnet_blocks": (2,),
    "time_embed_dim": 32,
    "adds": False,
}
TOY = Preset(
    TOY_UNET,
    {
        CLEAN: Schedule(steps=48, learning_rate=3e-3, batch=8, warmup=4),
        DAMAGE: Schedule(steps=32, learning_rate=3e-3, batch=8, warmup=4),
    },
    sides=(48, 96),
    least_time=150,
)
TOY_X2 = replace(
    TOY,
    unet={**TOY_UNET, "patch": 2},
    schedules={
        DOUBLING: Schedule(steps=40, learning_rate=3e-3, batch=8, warmup=4),
        FLASH: Schedule(steps=32, learning_rate=3e-3, batch=8, warmup=4),
    },
    sides=(32,),
    scale=2,
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


@pytest.mark.long
def test_it_learns_to_double_and_then_to_double_in_four_steps(tmp_path: Path) -> None:
    check(lambda: DoublingRecipe(TOY_X2), tmp_path / "x2", fall=0.6)
    begun = run(DoublingRecipe(TOY_X2), tmp_path / "begun", until=4)
    check(lambda: FlashDoublingRecipe(begun.folder, TOY_X2), tmp_path / "flash", fall=0.7)
    with pytest.raises(DataError, match="train it first"):
        FlashDoublingRecipe(tmp_path, TOY_X2)


def recipes(begun: Path) -> dict[str, SuperResolutionRecipe]:
    """Each, with weights of two steps."""
    run(SuperResolutionRecipe(TOY), begun, until=2)
    run(DoublingRecipe(TOY_X2), begun, until=2)
    return {
        "super_resolution_x4": DamagedSuperResolutionRecipe(begun, TOY),
        "super_resolution_x2": DoublingRecipe(TOY_X2),
        "super_resolution_flash_x2": FlashDoublingRecipe(begun, TOY_X2),
    }


def test_the_engine_enlarges_with_what_is_written(tmp_path: Path) -> None:
    for place, recipe in recipes(tmp_path).items():
        sums = recipe.write(tmp_path, 2)
        assert set(sums) == {place} <= set(FOLDERS.values())
        assert len(sums[place]) == 64

        def made(config: dict[str, object]) -> SuperResolutionUNet:
            return SuperResolutionUNet(**settings(SuperResolutionUNet, config))

        network = Folder(KANDINSKY_3_1, tmp_path).module(place, made, torch.float32, torch.device("cpu"))
        small, scale = to_picture(painted(Random(3), 24, 1.0)), recipe.preset.scale
        own, written = (enlarged(each, small, scale, recipe.flash) for each in (recipe.network, network))
        assert own.size == (24 * scale, 24 * scale)
        assert np.abs(np.asarray(own, dtype=int) - np.asarray(written)).max() <= 2  # the file is half precision


def test_flash_learns_from_its_own_estimates(tmp_path: Path) -> None:
    """With a network that always says black, what it reads at a later step is black noised, whatever the truth is."""
    run(DoublingRecipe(TOY_X2), tmp_path, until=1)
    recipe, read = FlashDoublingRecipe(tmp_path, TOY_X2), []

    class Black(torch.nn.Module):
        def forward(self, noisy: torch.Tensor, t: torch.Tensor, low_res: torch.Tensor) -> torch.Tensor:
            read.append((int(t[0]), float(noisy.mean())))
            return torch.full_like(noisy, -1.0)

    recipe.trained = Black()
    for seed in range(12):
        torch.manual_seed(seed)
        recipe.loss(4, Random(seed))
    means = {t: [mean for time, mean in read if time == t] for t in FLASH_TIMESTEPS}
    assert all(means.values())
    alphas = recipe.alphas
    for t, found in means.items():
        expected = 0.0 if t == FLASH_TIMESTEPS[0] else -float(alphas[t].sqrt())
        assert np.mean(found) == pytest.approx(expected, abs=0.03)


def test_a_larger_crop_comes_in_smaller_batches_and_times_are_mostly_late() -> None:
    recipe = SuperResolutionRecipe(TOY)
    shapes = {tuple(recipe.pairs(8, Random(seed))[0].shape) for seed in range(6)}
    assert shapes == {(8, 3, 48, 48), (2, 3, 96, 96)}
    torch.manual_seed(0)
    times = recipe.times(4000)
    assert 0.005 < float((times < 150).float().mean()) < 0.03
    assert int(times.max()) == 999


def test_errors_count_as_shares_of_what_plain_enlargement_leaves() -> None:
    recipe = SuperResolutionRecipe(replace(TOY, shares=True))
    clean = torch.zeros(2, 3, 8, 8)
    small = torch.stack([torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), 1.0)])
    predicted = small * torch.tensor([1.0, 0.5])[:, None, None, None]
    assert float(recipe.error(predicted, clean, small)) == pytest.approx((1 + 0.25) / 2, rel=0.01)
    assert float(SuperResolutionRecipe(TOY).error(predicted, clean, small)) == pytest.approx(0.25)


def test_its_own_pictures_come_from_a_folder_too(tmp_path: Path) -> None:
    for name, side in (("small", 32), ("large", 80)):
        Image.new("RGB", (side, side), "green").save(tmp_path / f"{name}.png")
    picture = SuperResolutionRecipe(TOY, FolderOfPictures(tmp_path)).large(48, Random(1))
    assert picture.size == (48, 48)
    with pytest.raises(DataError, match="Hardly any"):
        SuperResolutionRecipe(TOY, FolderOfPictures(tmp_path)).large(128, Random(1))


def test_full_size_is_the_official_network() -> None:
    for presets in (PRESETS, PRESETS_X2):
        with torch.device("meta"):
            network = SuperResolutionUNet(**presets["full"].unet)
        assert sum(parameter.numel() for parameter in network.parameters()) == 413_205_251
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

"""What every recipe has to show at toy size: that the loss falls, and that a run taken up again goes on along the same curve."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch

from engine.models.unet import Kandinsky3UNet
from training.base import Base, load_base
from training.loop import CPU, Recipe, Run


def run(recipe: Recipe, folder: Path, until: int | None = None) -> Run:
    """A run of this recipe as far as `until`, from its checkpoint in `folder` if there is one."""
    found = Run(recipe, folder, save_every_s=1e9, say=lambda line: None)
    found.go_on(until=until)
    return found


def check(make: Callable[[], Recipe], folder: Path, fall: float) -> Run:
    """Whether the mean loss of the last quarter is at most `fall` of that of the first eighth; returns the whole run."""
    recipe = make()
    steps = recipe.schedule.steps
    whole = run(recipe, folder / "whole", until=steps - steps // 8)
    shutil.copytree(folder / "whole", folder / "resumed")
    whole.go_on()
    resumed = run(make(), folder / "resumed")
    assert resumed.losses == whole.losses
    first, last = whole.losses[: steps // 8], whole.losses[-(steps // 4) :]
    assert sum(last) / len(last) < fall * sum(first) / len(first)
    return whole


def toy_base() -> Base:
    """Nano's text path and autoencoder with a UNet of toy size."""
    torch.set_num_threads(1)
    nano = load_base("kandinsky-nano", None, CPU)
    torch.manual_seed(0)
    unet = Kandinsky3UNet(
        time_embedding_dim=32, groups=4, attention_head_dim=8, layers_per_block=2,
        block_out_channels=(16, 32, 32, 64), cross_attention_dim=128, encoder_hid_dim=None,
    )  # fmt: skip
    return Base(nano.texts, nano.movq, unet, nano.prediction_type, nano.threshold, nano.areas, CPU)


def check_on_the_same(make: Callable[[], Recipe], folder: Path, fall: float) -> None:
    """As `check`, by the loss on the same sixteen examples before and after, which a few steps change beyond doubt."""
    recipe = make()
    before = _loss_on_the_same(recipe)
    whole = run(recipe, folder / "whole")
    run(make(), folder / "resumed", until=whole.step - whole.step // 4)
    assert run(make(), folder / "resumed").losses == whole.losses
    assert _loss_on_the_same(recipe) < fall * before


def _loss_on_the_same(recipe: Recipe) -> float:
    torch.manual_seed(5)
    with torch.no_grad():
        return float(recipe.loss(16, Random(5)))

"""A LoRA learns the look of a handful of pictures, changes nothing before that, and is a file that the engine merges."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engine import lora
from engine.models.attention import Attention
from tests.training.learning import check, run, toy_base
from training.base import Base, load_base
from training.data import FolderOfPictures
from training.loop import CPU, Schedule
from training.lora import Handful, LoraRecipe, Preset

TOY = Preset(Schedule(steps=32, learning_rate=5e-3, batch=4, warmup=2, weight_decay=0.0, average=0.9), side=64, rank=4)


@pytest.fixture
def base() -> Base:
    torch.set_num_threads(1)
    return load_base("kandinsky-nano", None, CPU)


def test_it_learns_and_leaves_the_unet_as_it_is(base: Base, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in base.unet.state_dict().items()}
    check(lambda: LoraRecipe(base, TOY), tmp_path, fall=0.9)
    after = load_base("kandinsky-nano", None, CPU).unet.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.long
def test_it_says_nothing_at_first_and_the_engine_merges_what_it_learned(tmp_path: Path) -> None:
    base, plain = toy_base(), toy_base()
    recipe = LoraRecipe(base, TOY)
    sample = torch.randn(1, 4, 8, 8)
    context = base.contexts(["glowline red circle"], [False])

    def predicted(of: Base) -> torch.Tensor:
        with torch.no_grad():
            prediction: torch.Tensor = of.unet(sample, 300, context.states, context.mask).sample
        return prediction

    assert torch.equal(predicted(base), predicted(plain))
    run(recipe, tmp_path, until=6)
    assert not torch.allclose(predicted(base), predicted(plain), atol=1e-4)
    name, _ = next(iter(recipe.write(tmp_path, 6).items()))
    read = lora.read(tmp_path / name)
    attentions = sum(isinstance(module, Attention) for module in plain.unet.modules())
    assert len(read.changes) == 4 * attentions
    merged = lora.Merged(plain.unet, [read])
    assert torch.allclose(predicted(base), predicted(plain), atol=2e-3)  # the file is half precision
    merged.take_out()
    assert torch.equal(predicted(plain), predicted(toy_base()))


def test_the_handful_is_dark_and_may_be_a_folder(tmp_path: Path) -> None:
    handful = Handful(64)
    assert len(handful) == 12
    assert np.mean([np.asarray(handful[index].picture).mean() for index in range(12)]) < 90
    handful[0].picture.save(tmp_path / "one.png")
    recipe = LoraRecipe(toy_base(), TOY, "style", FolderOfPictures(tmp_path))
    assert recipe.sheet().size == (64, 64)
    assert recipe.figures()["handful_loss"] > 0

"""The critic learns to tell drawn latents from real ones, the student to be taken for real; the engine draws with the student."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from engine.components import Components
from engine.families import KANDINSKY_3_1, NANO, UNetWeights
from engine.weights import Folder
from tests.training.learning import run, toy_base
from training.base import Base
from training.data import RenderedScenes
from training.flash import CONDITIONING, FOLDER, PRESETS, DownHalf, FlashRecipe, Head, Preset, held_out, latents_of
from training.loop import Run, Schedule

CPU = torch.device("cpu")
TOY = Preset(Schedule(steps=14, learning_rate=3e-3, batch=4, warmup=2, betas=(0.0, 0.99)), side=128, width=16)


@pytest.fixture(scope="module")
def base() -> Base:
    found = toy_base()
    torch.manual_seed(1)
    with torch.no_grad():  # norms begin without a word from time and text
        for name, parameter in found.unet.named_parameters():
            if "context_mlp" in name:
                parameter.normal_(0, 0.05)
    return found


def scored(recipe: FlashRecipe) -> dict[str, float]:
    """The critic's mean scores on 8 held-out scenes."""
    torch.manual_seed(0)
    wishes = held_out(8)
    return recipe._scored(latents_of([scene for scene, _ in wishes]), [caption.text for _, caption in wishes])


def trained(make: Callable[[], FlashRecipe], folder: Path, until: int | None = None) -> tuple[FlashRecipe, Run]:
    recipe = make()
    return recipe, run(recipe, folder, until)


@pytest.mark.parametrize("loss", ["wasserstein", pytest.param("hinge", marks=pytest.mark.long)])
def test_the_critics_gap_grows(base: Base, tmp_path: Path, loss: str) -> None:
    preset = replace(TOY, loss=loss, student=0.0)
    before = scored(FlashRecipe(base, preset))["gap"]
    recipe, whole = trained(lambda: FlashRecipe(base, preset), tmp_path)
    assert scored(recipe)["gap"] > before + 0.2
    assert sum(whole.losses[-4:]) < sum(whole.losses[:4])


@pytest.mark.long
def test_the_students_score_rises_while_the_critic_stands_still(base: Base, tmp_path: Path) -> None:
    critic, _ = trained(lambda: FlashRecipe(base, replace(TOY, student=0.0)), tmp_path / "critic")

    def taught() -> FlashRecipe:
        recipe = FlashRecipe(base, replace(TOY, student=0.5))
        recipe.heads.load_state_dict(critic.heads.state_dict())
        recipe.paces = lambda: [(list(recipe.heads.parameters()), 0.0), (list(recipe.student.parameters()), 0.5)]  # type: ignore
        return recipe

    before, (recipe, _) = scored(critic), trained(taught, tmp_path / "student", until=6)
    after = scored(recipe)
    assert after["real"] == pytest.approx(before["real"])
    assert after["drawn"] > before["drawn"] + 0.1


@pytest.mark.long
def test_a_run_taken_up_again_has_the_same_losses(base: Base, tmp_path: Path) -> None:
    _, whole = trained(lambda: FlashRecipe(base, TOY), tmp_path / "whole", until=4)
    trained(lambda: FlashRecipe(base, TOY), tmp_path / "resumed", until=2)
    _, resumed = trained(lambda: FlashRecipe(base, TOY), tmp_path / "resumed", until=4)
    assert resumed.losses == whole.losses
    rates = [group["lr"] for group in whole.optimizer.param_groups]
    assert rates[1] == pytest.approx(rates[0] / 100)


def test_the_critic_is_the_bases_way_down_and_only_its_heads_learn(base: Base) -> None:
    recipe = FlashRecipe(base, TOY)
    context = base.contexts(["red circle", "a big star"], [False, False])
    latents, seen = torch.randn(2, 4, 16, 16), []
    hooks = [block.register_forward_hook(lambda block, read, made: seen.append(made)) for block in base.unet.down_blocks]
    with torch.no_grad():
        base.unet(latents, 0, context.states, context.mask)
        features = recipe.seen(latents, context)
    for hook in hooks:
        hook.remove()
    assert all(torch.equal(own, other) for own, other in zip(features, seen, strict=True))
    recipe.loss(2, Random(0)).backward()
    assert all(parameter.grad is not None for parameter in recipe.heads.parameters())
    assert all(parameter.grad is None for parameter in recipe.seen.parameters())
    assert all(parameter.grad is None for parameter in base.texts.projection.parameters())


def test_the_students_loss_does_not_move_the_critic(base: Base) -> None:
    recipe = FlashRecipe(base, TOY)
    real, captions = recipe.examples(2, Random(0))
    told = base.contexts(captions, [False] * 2)
    drawn = recipe.drawn(real, captions)
    recipe.critic_loss(real, drawn.detach(), told).backward()
    alone = [parameter.grad.clone() for parameter in recipe.heads.parameters() if parameter.grad is not None]
    assert all(parameter.grad is None for parameter in recipe.student.parameters())
    recipe.trained.zero_grad(set_to_none=True)
    torch.manual_seed(3)
    recipe.loss(2, Random(5)).backward()
    both = [parameter.grad.clone() for parameter in recipe.heads.parameters() if parameter.grad is not None]
    assert len(both) == len(alone) > 0
    assert any(parameter.grad.any() for parameter in recipe.student.parameters() if parameter.grad is not None)
    torch.manual_seed(3)
    real, captions = recipe.examples(2, Random(5))
    drawn = recipe.drawn(real, captions).detach()
    recipe.trained.zero_grad(set_to_none=True)
    recipe.critic_loss(real, drawn, base.contexts(captions, [False] * 2)).backward()
    again = [parameter.grad for parameter in recipe.heads.parameters()]
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(both, again, strict=True) if other is not None)


def test_heads_hear_the_text(base: Base) -> None:
    torch.manual_seed(0)
    down, head = DownHalf(base.unet), Head(16, 128, 16, 8)
    one, other = (base.contexts([words], [False]) for words in ("red circle", "blue star"))
    features = down(torch.randn(1, 4, 16, 16), one)[0]
    assert not torch.allclose(head(features, one), head(features, other))


def test_the_engine_loads_what_is_written(base: Base, tmp_path: Path) -> None:
    recipe = FlashRecipe(base, TOY)
    assert set(recipe.write(tmp_path, 0)) == {FOLDER, CONDITIONING}
    assert KANDINSKY_3_1.unets["flash"] == UNetWeights(FOLDER, CONDITIONING)
    for name in ("text_encoder", "tokenizer"):
        (tmp_path / name).symlink_to(nano_folder() / name)
    family = replace(NANO, unets={"flash": UNetWeights(FOLDER, CONDITIONING)})
    parts = Components(Folder(family, tmp_path), CPU, torch.float32)
    unet, texts = parts.unet(family.unets["flash"]), parts.conditioning(family.unets["flash"])
    assert torch.allclose(unet.conv_in.weight, recipe.unet.conv_in.weight, atol=1e-3)
    with torch.no_grad():
        assert torch.allclose(texts.encode("red circle").states, recipe.texts.encode("red circle").states, atol=1e-2)


def nano_folder() -> Path:
    from engine import catalog

    return catalog.weights_folder("kandinsky-nano")


def test_it_reads_pictures_of_a_source_too(base: Base) -> None:
    recipe = FlashRecipe(base, replace(TOY, side=64), RenderedScenes(20, side=64))
    latents, captions = recipe.examples(2, Random(1))
    assert latents.shape == (2, 4, 8, 8)
    assert all(captions)
    assert np.isfinite(list(recipe.figures().values())).all()


def test_presets_have_the_articles_rates() -> None:
    for preset in PRESETS.values():
        assert preset.schedule.learning_rate == 1e-3
        assert preset.student * preset.schedule.learning_rate == pytest.approx(1e-5)
        assert preset.loss == "wasserstein"

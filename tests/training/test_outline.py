"""The outline network begins by adding nothing, learns to follow outlines, and is what the engine draws along them with."""

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from engine import catalog
from engine.components import Components
from engine.engine import Engine
from engine.families import NANO
from engine.models.controlnet import Kandinsky3ControlNet
from engine.models.hed import HED
from engine.models.unet import Kandinsky3UNet
from engine.outcomes import Drawn
from engine.requests import KeepOutline
from engine.weights import Folder
from tests.training.learning import check_on_the_same, toy_base
from training.base import Base, load_base
from training.data import RenderedScenes
from training.edge_detector import PRESETS as DETECTORS
from training.edge_detector import beginner
from training.judge import silhouette, to_floats
from training.loop import Schedule
from training.outline import FOLDER, OutlineRecipe, Preset, copied, overlap, recoloured
from training.scenes import coverage

CPU = torch.device("cpu")
TOY = Preset(Schedule(steps=16, learning_rate=1e-2, batch=4, warmup=2), side=128, hints=("canny",))


@pytest.fixture(scope="module")
def detector() -> HED:
    torch.manual_seed(0)
    return beginner(((4, 1),) * 5).eval()


def test_it_learns(detector: HED, tmp_path: Path) -> None:
    base = toy_base()
    check_on_the_same(lambda: OutlineRecipe(base, detector, TOY), tmp_path, fall=0.9)


def test_it_begins_as_the_base_model(detector: HED) -> None:
    recipe = OutlineRecipe(toy_base(), detector, TOY)
    controlnet, unet = recipe.controlnet, recipe.base.unet
    context = recipe.base.contexts(["red circle"], [False])
    residuals = controlnet(torch.randn(1, 4, 16, 16), 500, context.states, torch.rand(1, 3, 128, 128), context.mask)
    assert [tuple(each.shape[1:]) for each in residuals] == [(16, 8, 8), (32, 4, 4), (32, 2, 2)]
    assert not any(each.any() for each in residuals)
    assert torch.equal(controlnet.down_blocks[1].state_dict()["resnets_in.0.resnet_blocks.1.projection.weight"],
                       unet.down_blocks[1].state_dict()["resnets_in.0.resnet_blocks.1.projection.weight"])  # fmt: skip
    assert all(parameter.requires_grad for parameter in controlnet.parameters())
    assert not any(parameter.requires_grad for parameter in unet.parameters())


@pytest.mark.long
def test_the_engine_loads_and_draws_with_what_is_written(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(catalog.weights_folder(NANO.name), tmp_path / "family"))
    base = load_base(NANO.name, None, CPU, "outline")
    detector = beginner(DETECTORS["nano"].blocks)
    recipe = OutlineRecipe(base, detector, TOY)
    with torch.no_grad():
        for conv in recipe.controlnet.convs:
            torch.nn.init.normal_(conv.get_parameter("weight"), std=0.1)
    assert set(recipe.write(folder, 0)) == {FOLDER}
    engine = Engine(Components(Folder(NANO, folder), CPU, torch.float32), ("edit",), "")
    loaded = engine.components.controlnet()
    assert torch.allclose(loaded.conv_in.weight, recipe.controlnet.conv_in.weight, atol=1e-3)
    example = recoloured(1)[0][0]
    request = KeepOutline("a", "red star", 0, hint="canny", num_inference_steps=4, guidance_scale=0.5, family=NANO.name)
    drawn = [engine.run([replace(request, **changes)], {"a": example.picture})[0] for changes in (
        {}, {"controlnet_conditioning_scale": 0.01}, {"hint": "sketch"})]  # fmt: skip
    pixels = [np.asarray(one.images[0], dtype=int) for one in drawn if isinstance(one, Drawn)]
    assert len(pixels) == 3
    assert pixels[0].shape == (128, 128, 3)
    assert np.abs(pixels[0] - pixels[1]).mean() > 1  # the network counts


@pytest.mark.parametrize("kind", ["hed", "canny", "sketch"])
def test_hints_are_those_of_the_engine(detector: HED, kind: str) -> None:
    example = RenderedScenes(3)[0]
    hint = OutlineRecipe(toy_base(), detector, TOY).hint(example, kind)
    assert hint.shape == (1, 3, 128, 128)
    assert not hint.is_inference()
    assert (hint.min() >= 0, hint.max() <= 1, hint.any()) == (True, True, True)
    assert torch.equal(hint[0, 0], hint[0, 2])


def test_overlap_is_that_of_shapes_without_their_shadows() -> None:
    for example, scene, _, _ in recoloured(6):
        assert overlap(to_floats(example.picture), scene) > 0.95
        moved = replace(scene, pieces=tuple(replace(piece, radius=piece.radius * 0.7) for piece in scene.pieces))
        assert overlap(to_floats(example.picture), moved) < 0.6
        found = silhouette(to_floats(example.picture))
        assert abs(int(found.sum()) - float(coverage(scene.pieces[0]).sum())) < 0.04 * found.sum()


def test_cases_ask_for_other_colours() -> None:
    for _, scene, thing, background in recoloured(20):
        assert thing.shape == scene.pieces[0].shape
        assert len({thing.colour, background, scene.background, scene.pieces[0].colour}) == 4


def test_its_own_pictures_can_be_learned_from(detector: HED) -> None:
    recipe = OutlineRecipe(toy_base(), detector, replace(TOY, side=64, hints=("hed",)), RenderedScenes(10, 64))
    examples, clean = recipe.examples(2, Random(1))
    assert examples[0].picture.size == (64, 64)
    assert clean.shape == (2, 4, 8, 8)
    loss = recipe.loss(2, Random(1))
    loss.backward()
    assert recipe.controlnet.convs[0].get_parameter("weight").grad is not None


def test_full_size_is_the_official_network() -> None:
    with torch.device("meta"):
        unet = Kandinsky3UNet(encoder_hid_dim=None)
        official = Kandinsky3ControlNet()
    own = {name: unet.config[name] for name in ("time_embedding_dim", "groups", "attention_head_dim", "layers_per_block")}
    assert own == {name: official.config[name] for name in own}
    assert tuple(unet.config["block_out_channels"][:-1]) == tuple(official.config["block_out_channels"])


@pytest.mark.long
def test_a_copy_has_the_bases_weights_and_its_own_of_the_rest() -> None:
    base: Base = toy_base()
    network = copied(base.unet)
    shared = network.state_dict().keys() & base.unet.state_dict().keys()
    assert len(shared) == len(network.state_dict()) - 2 * (7 + 1 + 3)
    assert all(torch.equal(network.state_dict()[name], base.unet.state_dict()[name]) for name in shared)

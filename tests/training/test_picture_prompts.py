"""The adapter begins by adding nothing, learns to draw the like of pictures, and is what the engine varies and mixes with."""

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

from engine import catalog
from engine.components import Components
from engine.engine import Engine
from engine.families import NANO
from engine.models.picture_prompt import PicturePrompt
from engine.models.unet import Kandinsky3UNet
from engine.outcomes import Drawn
from engine.picture_encoder import PictureEncoder
from engine.requests import Mix, Request, Variation
from engine.weights import Folder
from tests.training.learning import check_on_the_same, toy_base
from training.base import load_base, load_texts
from training.data import RenderedScenes
from training.image_encoder import PRESETS as ENCODERS
from training.image_encoder import ImageEncoderRecipe, embedded
from training.loop import Schedule
from training.picture_prompts import FOLDER, PicturePromptRecipe, Preset, adapter_for
from training.scenes import render, sample_scene
from training.super_resolution import to_picture

CPU = torch.device("cpu")
TOY = Preset(Schedule(steps=16, learning_rate=2e-2, batch=8, warmup=2), side=128, silent=1.0, mixed=0.0)
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "projection_dim": 24,
}


@pytest.fixture(scope="module")
def encoder() -> PictureEncoder:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return PictureEncoder(CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION)).eval().requires_grad_(False), 32)


def test_it_learns(encoder: PictureEncoder, tmp_path: Path) -> None:
    base = toy_base()
    check_on_the_same(lambda: PicturePromptRecipe(base, encoder, TOY), tmp_path, fall=0.95)


def test_it_begins_as_the_base_model_with_the_texts_keys(encoder: PictureEncoder) -> None:
    base = toy_base()
    adapter = adapter_for(base.unet, 24)
    context = base.contexts(["red circle", "a big star"], [False, True])
    sample = torch.randn(2, 4, 16, 16)
    with torch.no_grad():
        plain = base.unet(sample, 500, context.states, context.mask).sample
        looks = adapter(torch.randn(2, 24))
        beside = base.unet(sample, 500, context.states, context.mask, picture=looks).sample
    assert torch.equal(beside, plain)
    layer = adapter.layers["up_blocks-0-attentions-2"]
    attention = base.unet.get_submodule("up_blocks.0.attentions.2.attention")
    assert torch.equal(layer.get_parameter("to_key_ip.weight"), attention.get_parameter("to_k.weight"))
    assert torch.equal(layer.get_parameter("to_v_ip.weight"), attention.get_parameter("to_v.weight"))


@pytest.mark.long
def test_the_engine_varies_and_mixes_with_what_is_written(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(catalog.weights_folder(NANO.name), tmp_path / "family"))
    texts = load_texts(NANO.name, None, CPU)
    images = ImageEncoderRecipe(texts, ENCODERS["nano"])
    images.write(folder, 0)
    recipe = PicturePromptRecipe(load_base(NANO.name, None, CPU, "picture"), images.encoder, TOY)
    with torch.no_grad():
        for layer in recipe.adapter.layers.values():
            torch.nn.init.normal_(layer.get_parameter("to_out_ip.weight"), std=0.2)
    assert set(recipe.write(folder, 0)) == {FOLDER}
    engine = Engine(Components(Folder(NANO, folder), CPU, torch.float32), ("edit",), "")
    pictures = {name: to_picture(render(sample_scene(Random(seed)))) for seed, name in enumerate("ab")}

    def drawn(request: Request) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        (outcome,) = engine.run([request], pictures)
        assert isinstance(outcome, Drawn)
        return np.asarray(outcome.images[0], dtype=np.int64)

    shared = {"num_inference_steps": 4, "guidance_scale": 0.5, "width": 128, "height": 128, "family": NANO.name}
    variation = Variation("a", 0, **shared)  # type: ignore[arg-type]
    assert drawn(variation).shape == (128, 128, 3)
    assert np.abs(drawn(variation) - drawn(replace(variation, ip_adapter_scale=0.01))).mean() > 1
    assert np.abs(drawn(variation) - drawn(replace(variation, image="b"))).mean() > 0.01
    mix = Mix(("a", "b"), 0, prompt="star", **shared)  # type: ignore[arg-type]
    assert np.abs(drawn(mix) - drawn(replace(mix, prompt=""))).mean() > 0.1
    one = replace(mix, prompt="", images=("a",), weights=(1.0,))
    assert np.array_equal(drawn(variation), drawn(one))


def test_without_words_the_pipeline_reads_what_training_read() -> None:
    base = load_base(NANO.name, None, CPU, "picture")
    cond, uncond = base.texts.pair("", "")
    assert torch.equal(cond.states, uncond.states)
    assert torch.equal(cond.states[0, 0], base.texts.null_embedding)
    assert cond.mask.tolist() == [[True, False]]


def test_examples_are_sums_of_weighted_embeddings(encoder: PictureEncoder) -> None:
    recipe = PicturePromptRecipe(toy_base(), encoder, replace(TOY, mixed=1.0))
    lessons = [recipe.lesson(Random(seed), silent=True) for seed in range(3)]
    assert any(len(lesson.shown) == 2 for lesson in lessons)
    rngs = Random(7), Random(7)
    clean, words, embeds = recipe.of_scenes(4, rngs[0], silent=True)
    again = [recipe.lesson(rngs[1], silent=True) for _ in range(4)]
    assert clean.shape == (4, 4, 16, 16)
    assert words == [""] * 4
    for row, lesson in zip(embeds, again, strict=True):
        parts = embedded(encoder, [to_picture(render(scene)) for scene, _ in lesson.shown])
        expected = sum(weight * part for (_, weight), part in zip(lesson.shown, parts, strict=True))
        assert torch.allclose(row, torch.as_tensor(expected), atol=1e-5)


def test_words_stand_beside_pictures_in_the_shares_asked_for(encoder: PictureEncoder) -> None:
    recipe = PicturePromptRecipe(toy_base(), encoder, replace(TOY, told=0.5))
    lessons = [recipe.lesson(Random(seed), silent=False) for seed in range(200)]
    other = sum(lesson.shown[0][0] != lesson.target for lesson in lessons)
    assert 70 < other < 130
    assert all(lesson.words for lesson in lessons)


def test_its_own_pictures_can_be_learned_from(encoder: PictureEncoder) -> None:
    preset = Preset(TOY.schedule, side=64)
    recipe = PicturePromptRecipe(toy_base(), encoder, preset, RenderedScenes(10, 64))
    clean, words, embeds = recipe.of_pictures(2, Random(1), silent=False)
    assert (clean.shape, embeds.shape) == ((2, 4, 8, 8), (2, 24))
    assert all(words)
    recipe.loss(2, Random(1)).backward()
    assert recipe.adapter.layers["down_blocks-1-attentions-1"].get_parameter("to_out_ip.weight").grad is not None


def test_full_size_is_the_official_adapter() -> None:
    with torch.device("meta"):
        unet = Kandinsky3UNet(encoder_hid_dim=None)
        own, official = adapter_for(unet, 768), PicturePrompt()
    assert {name: value.shape for name, value in own.state_dict().items()} == {
        name: value.shape for name, value in official.state_dict().items()
    }

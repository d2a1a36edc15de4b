"""Picture prompts against a loop written over diffusers' UNet with attention processors of our own."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPImageProcessorPil

from engine.engine import Engine
from engine.errors import OutOfMemory
from engine.outcomes import Drawn, Dropped, Progress
from engine.picture_encoder import MEAN, STD
from engine.pipelines.variation import as_mix
from engine.requests import Mix, Variation
from tests.engine.conftest import CLIP, EVERY_MODE
from tests.engine.models.oracles import attend, relative, rewrite
from tests.engine.pipelines.loops import BAD, bad_picture, ddpm, difference, diffusers_unet, draw, latents_of, photo, t5

PICTURES = {"a": photo(90, 60), "b": photo(50, 80, seed=1)}
SMALL: dict[str, Any] = {"width": 128, "height": 64, "num_inference_steps": 5, "family": EVERY_MODE}
VARIATION = Variation("a", 7, **SMALL)
MIX = Mix(("a", "b"), 7, prompt="a red circle", weights=(0.5, 1.5), ip_adapter_scale=0.8, guidance_scale=1.0, **SMALL)
STRONG = replace(MIX, guidance_scale=7.5)  # the default; on random networks it magnifies rounding tenfold


def embed(engine: Engine, name: str) -> Tensor:
    edge = CLIP["image_size"]
    sizes = {"size": {"shortest_edge": edge}, "crop_size": {"height": edge, "width": edge}}
    processor = CLIPImageProcessorPil(image_mean=MEAN, image_std=STD, **sizes)
    pixels = processor(PICTURES[name], return_tensors="pt").pixel_values
    return engine.components.picture_encoder().network(pixels).image_embeds


def texts(engine: Engine, request: Mix) -> list[tuple[Tensor, Tensor]]:
    """The facts' words: zeroed, cut and projected; zeros without words."""
    parts = engine.components
    project = parts.drawing("picture").conditioning.projection
    length = 2
    cond = torch.zeros(1, 2, 32), torch.zeros(1, 2, dtype=torch.bool)
    if request.prompt:
        hidden, mask = t5(parts, request.prompt)
        length = int(mask.sum()) + 1
        cond = project((hidden * mask[..., None])[:, :length]), mask[:, :length]
    uncond = torch.zeros(1, length, 32), torch.zeros(1, length, dtype=torch.bool)
    if request.negative_prompt:
        hidden, mask = (each[:, :length] for each in t5(parts, request.negative_prompt))
        uncond = project(hidden) * mask[..., None], mask
    return [cond, uncond]


def oracle(engine: Engine, request: Mix) -> Tensor:
    parts = engine.components
    own, adapter = parts.drawing("picture").unet, parts.picture_prompt()
    reference, layers = diffusers_unet(own), list(adapter.layers.values())
    edge = CLIP["image_size"]
    nothing = parts.picture_encoder().network(torch.zeros(1, 3, edge, edge)).image_embeds
    mixed = sum(embed(engine, name) * weight for name, weight in zip(request.images, request.weights, strict=True))
    answers: dict[str, Any] = {}

    def rule(attention: Any, index: int, x: Tensor, query: Tensor) -> Tensor:
        (states, mask), picture = answers["text"], answers["picture"]
        out = attend(query, attention.to_k(states), attention.to_v(states), attention.heads, mask)
        context = adapter.image_norm(adapter.image_proj(picture).reshape(1, 4, -1))
        layer = layers[index]
        seen = attend(query, layer.to_key_ip(context), layer.to_v_ip(context), attention.heads)
        return attention.to_out[0](out) + request.ip_adapter_scale * layer.to_out_ip(seen)

    def predict(x: Tensor, t: int, index: int) -> tuple[Tensor, Tensor]:
        found = []
        for text, picture in zip(texts(engine, request), (mixed, nothing), strict=True):
            answers.update(text=text, picture=picture)
            found.append(reference(x, t, *text).sample)
        return found[0], found[1]

    rewrite(reference, rule)
    return ddpm(request, (request.height // 8, request.width // 8), predict)


@pytest.mark.parametrize(
    ("request_", "tolerance"),
    [
        (MIX, 1e-4),
        (replace(MIX, negative_prompt="star"), 1e-4),
        pytest.param(replace(MIX, prompt="", images=("b",), weights=(1.0,)), 1e-4, marks=pytest.mark.long),
        (replace(MIX, guidance_scale=0.0, ip_adapter_scale=2.0), 1e-4),
        pytest.param(STRONG, 1e-3, marks=pytest.mark.long),
        (as_mix(VARIATION), 1e-3),
    ],
    ids=["words", "negative", "no words", "no guidance", "guidance", "variation"],
)
@torch.inference_mode()
def test_a_mix_is_what_the_facts_say(every_mode: Engine, request_: Mix, tolerance: float):
    found = relative(latents_of(every_mode, request_, PICTURES), oracle(every_mode, request_))

    assert found < tolerance


def test_a_variation_is_a_mix_of_one_picture_without_words(every_mode: Engine):
    drawn = draw(every_mode, VARIATION, PICTURES)
    halves = Mix(("a", "a"), 7, weights=(0.5, 0.5), **SMALL)

    assert as_mix(VARIATION) == Mix(("a",), 7, weights=(1.0,), **SMALL)
    assert difference(drawn[0], draw(every_mode, halves, PICTURES)[0]) <= 1
    assert difference(drawn[0], draw(every_mode, replace(VARIATION, image="b"), PICTURES)[0]) > 30


@torch.inference_mode()
def test_a_picture_of_no_weight_leaves_the_text_alone(every_mode: Engine):
    silent = replace(MIX, ip_adapter_scale=0.0)
    unet = diffusers_unet(every_mode.components.drawing("picture").unet)
    cond, uncond = texts(every_mode, silent)

    expected = ddpm(silent, (8, 16), lambda x, t, index: (unet(x, t, *cond).sample, unet(x, t, *uncond).sample))

    assert relative(latents_of(every_mode, silent, PICTURES), expected) < 1e-4


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [{"weights": (1.5, 0.5)}, {"weights": (1.0, 3.0 / 2)}, {"ip_adapter_scale": 0.4}, {"prompt": "blue"}, {"images": ("b", "a")}],
)
def test_weights_are_not_brought_to_a_sum_and_everything_counts(every_mode: Engine, change: dict[str, Any]):
    (plain,), (changed,) = (draw(every_mode, each, PICTURES) for each in (MIX, replace(MIX, **change)))

    assert difference(plain, changed) > 3


def test_a_candidate_redrawn_alone_is_the_same_picture(every_mode: Engine):
    candidates = draw(every_mode, replace(MIX, num_images_per_prompt=3), PICTURES)

    (alone,) = draw(every_mode, replace(MIX, seed=MIX.seed + 2), PICTURES)

    assert difference(alone, candidates[2]) <= 1
    assert difference(alone, candidates[1]) > 30


@pytest.mark.parametrize("name", BAD)
def test_any_picture_that_was_decoded_can_be_varied(every_mode: Engine, name: str):
    (drawn,) = draw(every_mode, replace(VARIATION, num_inference_steps=2), {"a": bad_picture(name)})

    assert drawn.size == (128, 64)


def test_progress_is_told_and_a_preview_can_be_had(every_mode: Engine):
    seen: list[Progress] = []

    every_mode.run([MIX], PICTURES, lambda progress: seen.append(progress) or ())

    stages = [(each.stage, each.step, each.total) for each in seen]
    assert stages == [("encode", 1, 1), *(("step", step, 5) for step in range(1, 6)), ("decode", 1, 1)]
    assert {each.preview().size for each in seen} == {(128, 64)}


@pytest.mark.long
def test_after_a_drop_or_a_full_device_the_next_request_draws_the_same(every_mode: Engine, monkeypatch: pytest.MonkeyPatch):
    expected = draw(every_mode, VARIATION, PICTURES)
    dropped, drawn = every_mode.run([MIX, VARIATION], PICTURES, lambda progress: [0] if progress.stage == "step" else [])
    assert dropped == Dropped()
    assert isinstance(drawn, Drawn)
    assert list(drawn.images) == expected

    def fail(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA")

    parts = every_mode.components
    for part, name in (
        (parts.picture_encoder().network, "forward"),
        (parts.picture_prompt(), "forward"),
        (parts.text_encoder(), "forward"),
        (parts.drawing("picture").unet, "prepare"),
        (parts.drawing("picture").unet, "denoise"),
        (parts.movq(), "decode"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(part, name, fail)
            with pytest.raises(OutOfMemory, match="no memory left"):
                every_mode.run([MIX], PICTURES)
        assert draw(every_mode, VARIATION, PICTURES) == expected

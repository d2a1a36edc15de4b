from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from engine.components import Networks
from engine.denoising import guide, predict, prepare
from engine.engine import Engine
from engine.errors import BadPicture
from engine.outcomes import Drawn
from engine.requests import TextToImage
from engine.tensors import to_image

REQUEST = TextToImage("a big red circle", 5, num_inference_steps=5)


def draw(engine: Engine, request: TextToImage) -> list[Image.Image]:
    (outcome,) = engine.run([request])
    assert isinstance(outcome, Drawn)
    return list(outcome.images)


def difference(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


@pytest.mark.parametrize("flash", [True, False])
def test_a_candidate_redrawn_alone_is_the_same_picture(engine: Engine, flash: bool):
    request = replace(REQUEST, flash=flash)
    candidates = draw(engine, request)

    (alone,) = draw(engine, replace(request, seed=request.seed + 2, num_images_per_prompt=1))

    assert difference(alone, candidates[2]) <= 1
    assert difference(alone, candidates[1]) > 30


def test_guidance_follows_kandinskys_formula():
    cond, uncond = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)

    assert torch.allclose(guide(cond, uncond, 3.0), uncond + 4 * (cond - uncond), atol=1e-5)
    assert torch.equal(guide(cond, uncond, 0.0), cond)


def test_one_pass_over_both_contexts_equals_two(networks: Networks):
    latents = torch.randn(2, 4, 16, 16)
    contexts = networks.conditioning.pair("a red circle", "blue star")

    with torch.inference_mode():
        together = predict(networks, latents, prepare(networks, [500], *contexts), 0)
        apart = [predict(networks, latents, prepare(networks, [500], context), 0)[0] for context in contexts]

    assert all((one - other).abs().max() < 1e-5 for one, other in zip(together, apart, strict=True))
    assert (together[0] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"prompt": "a blue star"}, {True, False}),
        ({"guidance_scale": 1.0}, {False}),
        ({"negative_prompt": "green"}, {False}),
        ({"eta": 0.0}, {False}),
        ({"num_inference_steps": 4}, {False}),
    ],
)
@pytest.mark.parametrize("flash", [True, False])
def test_flash_heeds_the_prompt_alone_and_base_everything(
    engine: Engine, change: dict[str, object], seen: set[bool], flash: bool
):
    request = replace(REQUEST, flash=flash, num_images_per_prompt=1)

    (plain,), (changed,) = draw(engine, request), draw(engine, replace(request, **change))

    assert (difference(plain, changed) > 0) is (flash in seen)


def test_pixels_are_rounded_and_clipped():
    decoded = torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]).expand(1, 3, 1, 5)

    assert np.asarray(to_image(decoded))[0, :, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_numbers_that_are_no_picture_are_an_error(value: float):
    with pytest.raises(BadPicture, match="seed"):
        to_image(torch.full((1, 3, 8, 8), value))

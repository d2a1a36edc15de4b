"""Regions against a loop over diffusers' UNet, and against the plain prompt."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from engine.engine import Engine
from engine.errors import OutOfMemory
from engine.outcomes import Progress
from engine.requests import Regions, RequestError, TextToImage
from engine.schedulers import BaseSampler, draw_noise
from tests.engine.conftest import EVERY_MODE
from tests.engine.models.oracles import attend, relative, rewrite
from tests.engine.pipelines.loops import difference, diffusers_unet, draw, latents_of

SMALL: dict[str, Any] = {"width": 128, "height": 128, "num_inference_steps": 5, "family": EVERY_MODE}
REGIONS = Regions("map", ("a red circle", "blue star"), 3, prompt="a square", guidance_scale=1.0, **SMALL)


def halves(*colours: str) -> Image.Image:
    """Colours from left to right."""
    picture = Image.new("RGB", (64, 48))
    for index, colour in enumerate(colours):
        picture.paste(colour, (index * 64 // len(colours), 0, (index + 1) * 64 // len(colours), 48))
    return picture


def oracle(engine: Engine, request: Regions, areas: list[Tensor]) -> Tensor:
    """Every text of the conditional branch is asked by the same queries; each answer goes where its area is."""
    networks = engine.components.drawing("base")
    cond, uncond = networks.conditioning.pair(request.prompt, request.negative_prompt)
    others = [networks.conditioning.encode(prompt) for prompt in request.region_prompts]
    reference = diffusers_unet(networks.unet)
    state = {"guided": True}

    def rule(attention: Any, index: int, x: Tensor, query: Tensor) -> Tensor:
        def answer(text: Any) -> Tensor:
            key, value = attention.to_k(text.states), attention.to_v(text.states)
            return attention.to_out[0](attend(query, key, value, attention.heads, text.mask))

        if not state["guided"]:
            return answer(uncond)
        base = pasted = answer(cond)
        step = round((request.width * request.height / x.shape[1]) ** 0.5)
        for text, area in zip(others, areas, strict=True):
            cells = area[step // 2 :: step, step // 2 :: step].reshape(1, -1, 1)
            pasted = cells * answer(text) + (1 - cells) * pasted
        return (1 - request.base_ratio) * pasted + request.base_ratio * base

    rewrite(reference, rule)
    sampler = BaseSampler(request.num_inference_steps, request.eta, networks.threshold, "epsilon")
    noise = draw_noise([request.seed], sampler.noise_count, (4, request.height // 8, request.width // 8), networks.device)
    latents = noise[0]
    for index, t in enumerate(sampler.timesteps):
        state["guided"] = True
        with_text = reference(latents, t, cond.states, cond.mask).sample
        state["guided"] = False
        without = reference(latents, t, uncond.states, uncond.mask).sample
        guided = (request.guidance_scale + 1) * with_text - request.guidance_scale * without
        latents = sampler.step(guided, index, latents, noise).prev_sample
    return latents


@pytest.mark.parametrize("change", [{}, {"base_ratio": 0.3}, {"negative_prompt": "green"}])
@torch.inference_mode()
def test_each_area_reads_its_own_prompt(every_mode: Engine, change: dict[str, Any]):
    request = replace(REGIONS, **change)
    left, right = torch.zeros(128, 128), torch.zeros(128, 128)
    left[:, :32], right[:, 64:96] = 1, 1
    pictures = {"map": halves("red", "black", "blue", "black")}

    found = relative(latents_of(every_mode, request, pictures), oracle(every_mode, request, [left, right]))

    assert found < 1e-4


@pytest.mark.long
def test_a_map_of_one_area_is_the_plain_prompt(every_mode: Engine):
    prompt = "a red circle"
    (plain,) = draw(every_mode, TextToImage(prompt, 3, flash=False, num_images_per_prompt=1, guidance_scale=3.0, **SMALL), {})
    whole = Regions("map", (prompt,), 3, **SMALL)

    for request in (whole, replace(whole, prompt=prompt), replace(whole, prompt=prompt, base_ratio=0.5)):
        assert difference(draw(every_mode, request, {"map": halves("red")})[0], plain) <= 1
    other = replace(whole, region_prompts=("blue star",), prompt=prompt)
    assert difference(draw(every_mode, replace(other, base_ratio=1.0), {"map": halves("red")})[0], plain) <= 1
    assert difference(draw(every_mode, other, {"map": halves("red")})[0], plain) > 3


def test_colours_are_given_to_prompts_in_the_order_in_which_they_are_met(every_mode: Engine):
    (one,) = draw(every_mode, REGIONS, {"map": halves("red", "blue")})
    (renamed,) = draw(every_mode, REGIONS, {"map": halves("white", "green")})
    swapped = replace(REGIONS, region_prompts=REGIONS.region_prompts[::-1])

    assert one == renamed
    assert difference(one, draw(every_mode, swapped, {"map": halves("red", "blue")})[0]) > 3


@pytest.mark.long
def test_candidates_previews_and_failures_are_as_in_every_mode(every_mode: Engine, monkeypatch: pytest.MonkeyPatch):
    pictures = {"map": halves("red", "blue")}
    seen: list[Progress] = []
    (outcome,) = every_mode.run([replace(REGIONS, num_images_per_prompt=2)], pictures, lambda each: seen.append(each) or ())
    (alone,) = draw(every_mode, replace(REGIONS, seed=4), pictures)

    assert difference(outcome.images[1], alone) <= 1
    assert [each.stage for each in seen] == ["encode", *["step"] * 5, "decode", "decode"]
    assert seen[3].preview().size == (128, 128)
    with monkeypatch.context() as patch:
        patch.setattr(every_mode.components.drawing("base").unet, "denoise", lambda *args: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(OutOfMemory):
            every_mode.run([REGIONS], pictures)
    with pytest.raises(RequestError, match="3 flat colours beside black for 2 prompts"):
        every_mode.run([REGIONS], {"map": halves("red", "blue", "green")})
    assert draw(every_mode, replace(REGIONS, seed=4), pictures)[0] == alone

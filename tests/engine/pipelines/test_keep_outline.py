"""Kept outlines against a loop over diffusers' blocks, walked one by one with the residuals."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine.engine import Engine
from engine.errors import OutOfMemory
from engine.hints import canny_hint, hed_hint, sketch_hint
from engine.models.conditions import Branch
from engine.outcomes import Progress
from engine.pipelines.keep_outline import steps_of_outlines
from engine.requests import KeepOutline, RequestError
from tests.engine.conftest import EVERY_MODE
from tests.engine.models.oracles import attend, outline_residuals, relative, rewrite, walk
from tests.engine.pipelines.loops import bad_picture, ddpm, difference, diffusers_unet, draw, latents_of, photo, t5

WIDTH, HEIGHT = 150, 120  # padded to 192 x 128
PICTURES = {"a": photo(WIDTH, HEIGHT), "look": photo(60, 90, seed=1)}
REQUEST = KeepOutline("a", "a red circle", 5, hint="canny", num_inference_steps=4, guidance_scale=1.0, family=EVERY_MODE)


def edged(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    picture = Image.new(mode, size, "black")
    picture.paste("white", (size[0] // 4, size[1] // 4, size[0] // 2 + 1, size[1] // 2 + 1))
    return picture


PICTURES["a"].paste("white", (30, 30, 80, 90))  # Canny's edges are where colours jump


def texts(engine: Engine, request: KeepOutline) -> list[Branch]:
    """The facts' words: zeroed, cut, projected; an empty negative prompt is a text, too."""
    parts = engine.components
    project = parts.drawing("outline").conditioning.projection
    length = int(t5(parts, request.prompt)[1].sum()) + 1
    branches = []
    for words in (request.prompt, request.negative_prompt):
        hidden, mask = t5(parts, words)
        branches.append(Branch(project((hidden * mask[..., None])[:, :length]), mask[:, :length]))
    return branches


def hint_of(engine: Engine, request: KeepOutline) -> Tensor:
    picture = PICTURES["a"]
    detector = engine.components.edge_detector()
    hints = {"canny": canny_hint, "sketch": sketch_hint, "hed": lambda *rest: hed_hint(detector, *rest)}
    hint = hints[request.hint](picture, WIDTH, HEIGHT)
    assert hint.any()
    return F.pad(hint, (0, 192 - WIDTH, 0, 128 - HEIGHT))


def oracle(engine: Engine, request: KeepOutline, counts: range, scale: float = 1.0) -> Tensor:
    parts = engine.components
    own, controlnet = parts.drawing("outline").unet, parts.controlnet()
    reference, shell = diffusers_unet(own), diffusers_unet(own)
    shared = controlnet.state_dict().keys() & shell.state_dict().keys()
    shell.load_state_dict({name: each for name, each in controlnet.state_dict().items() if name in shared}, strict=False)
    branches, hint = texts(engine, request), hint_of(engine, request)
    asked: dict[str, Any] = {}
    if request.style_image:
        adapter, encoder = parts.picture_prompt(), parts.picture_encoder()
        looks = [encoder.embeds([PICTURES[request.style_image]], [1.0]), encoder.nothing()]

        def rule(attention: Any, index: int, x: Tensor, query: Tensor) -> Tensor:
            text, layer = branches[asked["branch"]], list(adapter.layers.values())[index]
            out = attend(query, attention.to_k(text.states), attention.to_v(text.states), attention.heads, text.mask)
            context = adapter.image_norm(adapter.image_proj(looks[asked["branch"]]).reshape(1, 4, -1))
            seen = attend(query, layer.to_key_ip(context), layer.to_v_ip(context), attention.heads)
            return attention.to_out[0](out) + request.ip_adapter_scale * layer.to_out_ip(seen)

        rewrite(reference, rule)

    def predict(x: Tensor, t: int, index: int) -> tuple[Tensor, Tensor]:
        found = []
        for number, text in enumerate(branches):
            asked["branch"] = number
            residuals = outline_residuals(controlnet, shell, x, t, hint, text)
            counted = [each * (scale if index in counts else 0) for each in residuals]
            found.append(walk(reference, x, t, text, counted))
        return found[0], found[1]

    return ddpm(request, (16, 24), predict)


@pytest.mark.parametrize(
    ("change", "counts", "scale"),
    [
        ({}, range(4), 1.0),
        pytest.param({"hint": "hed", "controlnet_conditioning_scale": 0.5}, range(4), 0.5, marks=pytest.mark.long),
        pytest.param({"hint": "sketch", "negative_prompt": "star"}, range(4), 1.0, marks=pytest.mark.long),
        pytest.param({"control_guidance_start": 0.3, "control_guidance_end": 0.6}, range(1, 3), 1.0, marks=pytest.mark.long),
        ({"style_image": "look", "ip_adapter_scale": 0.7}, range(4), 1.0),
    ],
    ids=["canny", "hed", "sketch", "some steps", "look"],
)
@torch.inference_mode()
def test_outlines_are_kept_as_the_facts_say(every_mode: Engine, change: Mapping[str, Any], counts: range, scale: float):
    request = replace(REQUEST, **change)

    found = relative(latents_of(every_mode, request, PICTURES), oracle(every_mode, request, counts, scale))

    assert found < 1e-4


@pytest.mark.long
@torch.inference_mode()
def test_residuals_of_no_scale_are_no_outline_network(every_mode: Engine):
    silent = replace(REQUEST, controlnet_conditioning_scale=0.0)
    unet = diffusers_unet(every_mode.components.drawing("outline").unet)
    cond, uncond = ((text.states, text.mask) for text in texts(every_mode, silent))

    expected = ddpm(silent, (16, 24), lambda x, t, index: (unet(x, t, *cond).sample, unet(x, t, *uncond).sample))

    assert relative(latents_of(every_mode, silent, PICTURES), expected) < 1e-4
    assert difference(draw(every_mode, silent, PICTURES)[0], draw(every_mode, REQUEST, PICTURES)[0]) > 3


@pytest.mark.long
def test_a_look_of_no_weight_is_none(every_mode: Engine):
    plain = draw(every_mode, REQUEST, PICTURES)[0]
    looks = [replace(REQUEST, style_image="look", ip_adapter_scale=scale) for scale in (0.0, 1.0)]
    silent, seen = (draw(every_mode, look, PICTURES)[0] for look in looks)

    assert difference(silent, plain) <= 1
    assert difference(seen, plain) > 3


@pytest.mark.parametrize(
    ("start", "end", "steps", "counts"),
    [(0.0, 1.0, 50, range(51)), (0.0, 0.5, 50, range(26)), (0.5, 1.0, 7, range(3, 8)), (0.0, 0.5, 1, range(1))],
)
def test_outlines_count_between_two_shares_of_the_steps(start: float, end: float, steps: int, counts: range):
    request = replace(REQUEST, control_guidance_start=start, control_guidance_end=end)

    assert steps_of_outlines(request, steps) == counts
    assert not steps_of_outlines(replace(request, controlnet_conditioning_scale=0.0), steps)


@pytest.mark.parametrize("size", [(64, 64), (150, 120), (129, 300), (1000, 40), (16, 16)])
@pytest.mark.parametrize("hint", ["hed", *(pytest.param(hint, marks=pytest.mark.long) for hint in ("canny", "sketch"))])
def test_results_have_the_pictures_size(every_mode: Engine, size: tuple[int, int], hint: str):
    request = replace(REQUEST, hint=hint, num_inference_steps=1)

    (drawn,) = draw(every_mode, request, {"a": edged(size)})

    assert (drawn.size, drawn.mode) == (size, "RGB")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        *product(("transparent", "grey", "sixteen bits"), ("hed", "canny", "sketch")),
        pytest.param("huge", "canny", marks=pytest.mark.long),
    ],
)
def test_any_picture_that_was_decoded_has_outlines(every_mode: Engine, name: str, hint: str):
    picture = bad_picture(name)

    (drawn,) = draw(every_mode, replace(REQUEST, hint=hint, num_inference_steps=1), {"a": picture})

    assert drawn.size == picture.size


@pytest.mark.parametrize("name", ["one pixel", "thin"])
def test_a_picture_too_small_for_outlines_is_refused_but_gives_its_look(every_mode: Engine, name: str):
    picture = bad_picture(name)

    with pytest.raises(RequestError) as caught:
        every_mode.run([REQUEST], {"a": picture})

    assert (caught.value.code, caught.value.values["limit"]) == ("picture-too-small", 16)
    draw(every_mode, replace(REQUEST, style_image="look", num_inference_steps=1), PICTURES | {"look": picture})


def test_a_candidate_redrawn_alone_is_the_same_picture_and_progress_is_told(every_mode: Engine):
    seen: list[Progress] = []
    (outcome,) = every_mode.run([replace(REQUEST, num_images_per_prompt=2)], PICTURES, lambda each: seen.append(each) or ())

    (alone,) = draw(every_mode, replace(REQUEST, seed=REQUEST.seed + 1), PICTURES)

    assert difference(alone, outcome.images[1]) <= 1
    assert difference(alone, outcome.images[0]) > 30
    assert [each.stage for each in seen] == ["encode", *["step"] * 4, "decode", "decode"]
    assert seen[2].preview().size == (192, 128)


@pytest.mark.long
def test_after_a_full_device_the_next_request_draws_the_same(every_mode: Engine, monkeypatch: pytest.MonkeyPatch):
    request = replace(REQUEST, hint="hed", style_image="look")
    expected = draw(every_mode, request, PICTURES)
    parts = every_mode.components

    def fail(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA")

    for part, name in (
        (parts.edge_detector(), "forward"),
        (parts.picture_encoder().network, "forward"),
        (parts.controlnet(), "prepare"),
        (parts.controlnet(), "hint_features"),
        (parts.controlnet(), "residuals"),
        (parts.drawing("outline").unet, "denoise"),
        (parts.movq(), "decode"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(part, name, fail)
            with pytest.raises(OutOfMemory, match="no memory left"):
                every_mode.run([request], PICTURES)
        assert draw(every_mode, request, PICTURES) == expected

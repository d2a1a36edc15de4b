"""Every kind of request: stored and read back, its pictures named, its bad values refused."""

import json
import math
from dataclasses import fields, replace

import pytest

from engine.requests import (
    Beautify,
    ImageToImage,
    Inpaint,
    KeepOutline,
    Mix,
    Outpaint,
    Refine,
    Regions,
    Request,
    RequestError,
    TextToImage,
    Translate,
    Upscale,
    Variation,
    from_json,
    kinds,
    to_json,
)

A, B, C = ("a.png", "b.png", "c.png")
SAMPLES: dict[type[Request], tuple[Request, str, tuple[str, ...]]] = {  # a request, its lane, the pictures it reads
    TextToImage: (TextToImage("a cat", 1), "flash", ()),
    ImageToImage: (ImageToImage(A, "a cat", 1), "base", (A,)),
    Refine: (Refine(A, "a cat", 1), "flash", (A,)),
    Variation: (Variation(A, 1), "edit", (A,)),
    Mix: (Mix((A, B, A), 1, weights=(0.5, 1, 0.25)), "edit", (A, B)),
    Inpaint: (Inpaint(A, B, "a cat", 1), "edit", (A, B)),
    Outpaint: (Outpaint(A, 1, left=64), "edit", (A,)),
    KeepOutline: (KeepOutline(A, "a cat", 1, style_image=C), "edit", (A, C)),
    Regions: (Regions(C, ("a cat", "a dog"), 1), "base", (C,)),
    Upscale: (Upscale(A, 1), "upscale", (A,)),
    Beautify: (Beautify("a cat"), "language", ()),
    Translate: (Translate("кот"), "language", ()),
}


def refused(request: Request, **changes: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        replace(request, **changes)
    json.dumps(caught.value.values, allow_nan=False)
    assert str(caught.value).endswith(".")
    return caught.value


def test_every_kind_has_a_sample():
    assert set(SAMPLES) == {each for each in kinds() if each.__module__ == "engine.requests"}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=lambda sample: sample[0].kind)
def test_a_request_survives_storage(sample: tuple[Request, str, tuple[str, ...]]):
    request, lane, sources = sample
    stored = to_json(request)

    assert from_json(stored) == request
    assert to_json(from_json(stored)) == stored
    assert set(json.loads(stored)) == {"kind", *(field.name for field in fields(request))}
    assert (request.lane, request.sources) == (lane, sources)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=lambda sample: sample[0].kind)
def test_every_number_of_a_request_has_limits(sample: tuple[Request, str, tuple[str, ...]]):
    request, _, _ = sample
    for field in fields(request):
        value = getattr(request, field.name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            for bad in (math.nan, math.inf, -1e9, 1e99, "1", None, True):
                refused(request, **{field.name: bad})


BAD = [
    (Mix, {"images": ()}, "number-of-sources"),
    (Mix, {"images": (A,) * 5}, "number-of-sources"),
    (Mix, {"images": (A, B)}, "weights-and-pictures"),
    *((Mix, {"weights": (1, 1, weight)}, "weight-range") for weight in (0, -1, 2.5)),
    (Mix, {"weights": (1, 1, math.nan)}, "strange-number"),
    (Mix, {"weights": "1,1,1"}, "not-a-request"),
    (Mix, {"ip_adapter_scale": 3}, "weight-range"),
    (ImageToImage, {"strength": 2}, "strength-range"),
    (ImageToImage, {"strength": -0.1}, "strength-range"),
    *((Inpaint, {"num_inference_steps": steps}, "steps-range") for steps in (0, 1000)),
    (Inpaint, {"prompt": ""}, "prompt-empty"),
    (Inpaint, {"prompt": "word " * 10_000}, "prompt-too-long"),
    (Inpaint, {"image": "../../etc/passwd"}, "not-a-request"),
    (Inpaint, {"mask_image": ""}, "not-a-request"),
    (Outpaint, {"left": 0}, "nothing-to-add"),
    (Outpaint, {"left": -64}, "value-range"),
    (Outpaint, {"top": 99_999}, "value-range"),
    (Outpaint, {"zoom": 0.5}, "value-range"),
    (Upscale, {"scale": 3}, "not-a-choice"),
    (Upscale, {"scale": True}, "not-a-choice"),
    (Upscale, {"flash": True}, "not-a-choice"),
    (Refine, {"timesteps": (979,)}, "not-a-choice"),
    (Refine, {"timesteps": 229}, "not-a-choice"),
    (KeepOutline, {"hint": "depth"}, "not-a-choice"),
    (KeepOutline, {"controlnet_conditioning_scale": -1}, "weight-range"),
    (KeepOutline, {"control_guidance_start": 0.7, "control_guidance_end": 0.3}, "value-range"),
    (Regions, {"region_prompts": ()}, "number-of-regions"),
    (Regions, {"region_prompts": ("a",) * 5}, "number-of-regions"),
    (Regions, {"region_prompts": ("a", " ")}, "prompt-empty"),
    (Regions, {"base_ratio": 1.5}, "value-range"),
    (Beautify, {"prompt": "\x00"}, "prompt-empty"),
    (Beautify, {"temperature": -1}, "value-range"),
    (Translate, {"max_new_tokens": 0}, "value-range"),
]


@pytest.mark.parametrize(("kind", "changes", "code"), BAD)
def test_a_bad_value_is_refused(kind: type[Request], changes: dict[str, object], code: str):
    assert refused(SAMPLES[kind][0], **changes).code == code


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_unusual_counts_of_steps_are_served(steps: int):
    assert replace(SAMPLES[Inpaint][0], num_inference_steps=steps).num_inference_steps == steps


def test_pictures_without_weights_count_the_same():
    assert Mix((A, B), 1).weights == (0.5, 0.5)


def test_a_mix_and_an_outpainting_need_no_words_and_writing_counts_no_pictures():
    assert Mix((A,), 1).prompt == Outpaint(A, 1, zoom=2).prompt == ""
    assert (Translate("кот").pictures, Upscale(A, 1).pictures, Inpaint(A, B, "a cat", 1).size) == (0, 1, (0, 0))

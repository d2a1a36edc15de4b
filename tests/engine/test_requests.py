import json
import unicodedata
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.requests import (
    MAX_SEED,
    TILES,
    RequestError,
    TextToImage,
    Upscale,
    clean_prompt,
    from_json,
    image_seed,
    new_seed,
    to_json,
)

REQUEST = TextToImage("большой красный круг", 7)


def refusal(**changes: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        replace(REQUEST, **changes)
    return caught.value


def test_a_stored_request_comes_back_complete():
    stored = to_json(REQUEST)

    assert from_json(stored) == REQUEST
    assert json.loads(stored)["kind"] == "text-to-image"
    assert set(json.loads(stored)) == {"kind", *(field.name for field in fields(REQUEST))}


def test_equal_requests_have_one_json_text():
    written_otherwise = TextToImage("  большои\u0306 красный\nкруг", 7, guidance_scale=3, eta=1)

    assert to_json(written_otherwise) == to_json(replace(REQUEST, guidance_scale=3.0))
    assert to_json(REQUEST) == json.dumps(json.loads(to_json(REQUEST)), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@settings(max_examples=100, deadline=None)
@given(
    prompt=st.text(max_size=60).map(lambda text: f"a {text}"),
    seed=st.integers(0, MAX_SEED),
    guidance=st.floats(0, 20),
    steps=st.integers(1, 100),
    flash=st.booleans(),
)
def test_any_request_survives_storage(prompt: str, seed: int, guidance: float, steps: int, flash: bool):
    request = TextToImage(prompt, seed, guidance_scale=guidance, num_inference_steps=steps, flash=flash)

    assert from_json(to_json(request).encode().decode()) == request


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\u200d\u200b\ufe0f\u202e👨👩❤ \t\n\x00\ud800é=\u0338⫝̸"))))
def test_cleaning_leaves_nothing_invisible_and_is_done_once(text: str):
    cleaned = clean_prompt(text)

    assert clean_prompt(cleaned) == cleaned
    cleaned.encode()
    assert not {unicodedata.category(character) for character in cleaned.replace("\u200d", "")} & {"Cc", "Cf", "Cs"}


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("  a\tred\r\n circle ", "a red circle"),
        ("re\u200bd \u202ecircle\u202c", "red circle"),
        ("re\u200dd", "red"),
        ("\ufeffred\x00circle\x1b", "red circle"),
        ("red \ud83d circle", "red circle"),
        ("a 👨‍👩‍👧 by ❤️‍🔥", "a 👨‍👩‍👧 by ❤️‍🔥"),
        ("e\u200d\u0301", "é"),
    ],
)
def test_a_prompt_is_cleaned(typed: str, clean: str):
    assert clean_prompt(typed) == clean


@pytest.mark.parametrize(
    ("changes", "code", "values"),
    [
        ({"prompt": ""}, "prompt-empty", {}),
        ({"prompt": " \u200b\n\x07"}, "prompt-empty", {}),
        ({"prompt": "🎨👨‍👩‍👧 !?…"}, "prompt-nothing-to-draw", {}),
        ({"prompt": "a" * 4096}, "prompt-too-long", {"limit": 2000, "value": 4096}),
        ({"negative_prompt": "a" * 2001}, "prompt-too-long", {"limit": 2000, "value": 2001}),
        ({"seed": -1}, "seed-range", {"minimum": 0, "maximum": 2**32 - 1, "value": -1}),
        ({"seed": 2**32}, "seed-range", {"minimum": 0, "maximum": 2**32 - 1, "value": 2**32}),
        ({"num_images_per_prompt": 0}, "number-of-pictures", {"minimum": 1, "maximum": 4, "value": 0}),
        ({"num_images_per_prompt": 5}, "number-of-pictures", {"minimum": 1, "maximum": 4, "value": 5}),
        ({"num_inference_steps": 0}, "steps-range", {"minimum": 1, "maximum": 100, "value": 0}),
        ({"guidance_scale": 20.5}, "guidance-range", {"minimum": 0.0, "maximum": 20.0, "value": 20.5}),
        ({"guidance_scale": float("nan")}, "strange-number", {"name": "guidance_scale", "value": "nan"}),
        ({"guidance_scale": 10**400}, "strange-number", {"name": "guidance_scale", "value": "inf"}),
        ({"eta": float("inf")}, "strange-number", {"name": "eta", "value": "inf"}),
        ({"eta": 1.5}, "strange-number", {"name": "eta", "value": "1.5"}),
        ({"width": 128.0}, "strange-number", {"name": "width", "value": "128.0"}),
        ({"seed": True}, "strange-number", {"name": "The seed", "value": "True"}),
        ({"seed": 10**5000}, "strange-number", {"name": "The seed", "value": "inf"}),
        ({"flash": 1}, "not-a-request", {}),
        ({"prompt": None}, "not-a-request", {}),
    ],
)
def test_a_bad_value_is_refused(changes: dict[str, object], code: str, values: dict[str, object]):
    error = refusal(**changes)

    assert (error.code, error.values) == (code, values)
    assert str(error).endswith(".")
    json.dumps(error.values, allow_nan=False)


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        ("", "not-a-request"),
        ("[]", "not-a-request"),
        ("[" * 100_000, "not-a-request"),
        ('{"kind":"text-to-image","seed":1}', "not-a-request"),
        ('{"kind":"text-to-image","prompt":"a","seed":1,"colour":1}', "not-a-request"),
        ('{"kind":"text-to-image","prompt":["a"],"seed":1}', "not-a-request"),
        ('{"kind":"text-to-image","prompt":"a","seed":NaN}', "strange-number"),
        ('{"kind":"paint","prompt":"a","seed":1}', "kind-not-served"),
        ('{"kind":{},"prompt":"a","seed":1}', "kind-not-served"),
    ],
)
def test_stored_text_that_is_no_request_is_refused(stored: str, code: str):
    with pytest.raises(RequestError) as caught:
        from_json(stored)
    assert caught.value.code == code


def test_seeds_of_the_candidates_follow_each_other_and_wrap():
    last = replace(REQUEST, seed=MAX_SEED)

    assert [image_seed(last, index) for index in range(3)] == [MAX_SEED, 0, 1]


def test_new_seeds_differ():
    assert new_seed() != new_seed()
    assert 0 <= new_seed() <= MAX_SEED


@pytest.mark.parametrize("size", [(9, 9), (128, 128), (1000, 37), (2, 1)])
def test_the_parts_of_a_picture_cover_it_and_none_is_empty(size: tuple[int, int]):
    width, height = size
    covered = set()
    for tile in range(1, TILES * TILES + 1):
        left, top, right, bottom = Upscale("a.png", 1, tile=tile).part(width, height)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        covered |= {(x, y) for x in range(left, right) for y in range(top, bottom)}
    assert len(covered) == width * height
    assert Upscale("a.png", 1).part(width, height) == (0, 0, width, height)

"""Parameters in a message: how they are typed, what they become, and what is said of them."""

from typing import Any

import pytest

from engine import catalog
from engine.requests import MAX_SEED, RequestError
from handlers.parameters import Asked, ParameterError, known, read
from handlers.typed import parse

NANO, BIG = "kandinsky-nano", "kandinsky-3.1"
FREE_SEED = 99


def asked(text: str, family: str = BIG, lanes: tuple[str, ...] | None = None) -> Asked:
    return read(text, family, FREE_SEED, catalog.family(family).default_size, 4, lanes)


def said(of: Asked) -> list[str]:
    return [remark.key for remark in of.remarks]


def values(of: Asked, key: str) -> dict[str, Any]:
    return next(dict(remark.values) for remark in of.remarks if remark.key == key)


def flags(text: str) -> list[tuple[str | None, str]]:
    return [(flag.name, flag.value) for flag in parse(text).flags]


def test_without_parameters_words_are_as_they_were() -> None:
    got = asked("a red star, and a well-known house - at the sea")
    assert got.request.prompt == "a red star, and a well-known house - at the sea"
    assert (got.request.seed, got.request.num_images_per_prompt, got.request.flash) == (FREE_SEED, 4, True)
    assert got.remarks == ()


def test_a_line_of_parameters() -> None:
    got = asked("a red star --ar 3:4 --seed 7 --n 2 --engine base --steps 30 --cfg 2.5 --no hat, text --raw")
    request = got.request
    assert request.prompt == "a red star"
    assert (request.width, request.height) == (768, 1024)
    assert (request.seed, request.num_images_per_prompt, request.flash) == (7, 2, False)
    assert (request.num_inference_steps, request.guidance_scale) == (30, 2.5)
    assert request.negative_prompt == "hat, text"
    assert got.raw
    order = ["base", "size", "seed", "pictures", "steps", "cfg", "no", "raw"]
    assert said(got) == [f"asked.{name}" for name in order]


@pytest.mark.parametrize(
    "typed",
    ["--seed 7", "—seed 7", "–seed 7", "−seed 7", "--seed=7", "--seed = 7", "--seed =7", "--seed= 7", "--SEED 7", "-seed 7",
     "–-seed 7", "--seed: 7", "--seed7", "--seed 7,", "--seed «7»", "--seed '7'", "--sееd 7", "--сид 7", "—сид=7", "--seed 7.0"],
)  # fmt: skip
def test_ways_to_type_one_parameter(typed: str) -> None:
    for text in (f"a star {typed}", f"{typed} a star"):
        got = asked(text)
        assert (got.request.prompt, got.request.seed) == ("a star", 7)


@pytest.mark.parametrize(
    ("typed", "number"), [("3.5", 3.5), ("3,5", 3.5), ("3", 3.0), ("0", 0.0), ("«3,5»", 3.5), ("3,", 3.0), ("+2", 2.0)]
)
def test_a_comma_is_a_decimal_point(typed: str, number: float) -> None:
    assert asked(f"a star --cfg {typed}").request.guidance_scale == number


@pytest.mark.parametrize("typed", ['"a hat"', "«a hat»", "„a hat“", "“a hat”", "'a hat'", "=«a hat»", "a hat", "= a hat,"])
def test_what_is_left_out_is_one_thing_or_several_words(typed: str) -> None:
    got = asked(f"a star --no {typed} --seed 7")
    assert (got.request.prompt, got.request.negative_prompt, got.request.seed) == ("a star", "a hat", 7)


def test_words_behind_a_quoted_value_are_the_prompts() -> None:
    assert asked('--no "a hat" a red star').request.prompt == "a red star"


@pytest.mark.parametrize(
    "text",
    ["звезда — символ", "дом —старый и тёмный", "a star -- a circle", "temperature -5", "a 3-d star", "red-hot", "—2 stars"],
)
def test_a_dash_in_prose_is_no_parameter(text: str) -> None:
    assert flags(text) == []
    assert parse(text).words == text


@pytest.mark.parametrize("typed", ["a star, --seed 7", "a star — --seed 7", "a star; --seed 7", "--seed 7 a star"])
def test_what_only_led_to_a_parameter_is_no_word(typed: str) -> None:
    assert asked(typed).request.prompt == "a star"


def test_of_two_alike_the_last_counts() -> None:
    assert asked("a star --seed 1 --seed 2").request.seed == 2
    assert asked("a star --engine base --flash").request.flash


@pytest.mark.parametrize(
    ("typed", "offer"), [("--sed 7", "--seed 7"), ("--ngine base", "--engine base"), ("—sedd 7", "--seed 7"), ("--rw", "--raw")]
)
def test_an_unknown_one_is_answered_with_its_nearest(typed: str, offer: str) -> None:
    with pytest.raises(ParameterError) as refused:
        asked(f"a star {typed} --n 2")
    assert refused.value.code == "refused.parameter-unknown"
    assert refused.value.offers == ((offer, f"a star {offer} --n 2"),)
    assert asked(refused.value.offers[0][1]).request.prompt == "a star"
    assert refused.value.without == "a star --n 2"


@pytest.mark.parametrize(
    ("typed", "without"),
    [("--v 6 a star", "a star"), ("a star --tile in red", "a star in red"), ("--style neon a star", "neon a star")],
)
def test_an_unknown_one_that_is_like_none_takes_only_what_is_no_word(typed: str, without: str) -> None:
    with pytest.raises(ParameterError) as refused:
        asked(typed)
    assert (refused.value.offers, refused.value.without) == ((), without)


def test_those_that_are_listed_are_those_of_use() -> None:
    assert known(BIG) == ["--ar", "--size", "--n", "--seed", "--engine", "--steps", "--cfg", "--no", "--raw"]
    assert "--ar" not in known(NANO)


@pytest.mark.parametrize(
    ("typed", "field", "used"),
    [
        ("--n 9", "num_images_per_prompt", 4),
        ("--n 0", "num_images_per_prompt", 1),
        ("--seed -5", "seed", 0),
        ("--seed —5", "seed", 0),
        (f"--seed {10**30}", "seed", MAX_SEED),
        ("--steps 500", "num_inference_steps", 100),
        ("--cfg 20,5", "guidance_scale", 20.0),
    ],
)
def test_out_of_range_is_clamped_and_said(typed: str, field: str, used: float) -> None:
    got = asked(f"a star {typed}")
    assert getattr(got.request, field) == used
    changed = values(got, "changed.range")
    assert changed["used"] == used
    assert changed["minimum"] <= used <= changed["maximum"]
    assert changed["typed"].split()[0] == typed.split()[0]


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("--seed blue", "whole"),
        ("--seed 7.5", "whole"),
        ("--seed", "whole"),
        ("--n two", "whole"),
        ("--steps --n 2", "whole"),
        ("--cfg 1.2.3", "number"),
        ("--ar wide", "ratio"),
        ("--ar 0:1", "ratio"),
        ("--size big", "size"),
        ("--size 0x768", "size"),
        ("--engine midjourney", "engine"),
    ],
)
def test_a_wrong_type_is_refused_with_a_mended_message(typed: str, code: str) -> None:
    with pytest.raises(ParameterError) as refused:
        asked(f"a star {typed}")
    assert refused.value.code == f"refused.parameter-{code}"
    for _, message in refused.value.offers:
        assert asked(message).request.prompt == "a star"
    assert refused.value.offers
    assert asked(refused.value.without).request.prompt == "a star"


def test_nothing_to_leave_out_is_refused() -> None:
    with pytest.raises(ParameterError, match="empty"):
        asked("a star --no --seed 7")


def test_parameters_alone_are_no_words() -> None:
    with pytest.raises(RequestError) as refused:
        asked("--seed 7")
    assert refused.value.code == "prompt-empty"
    with pytest.raises(ParameterError) as unreadable:
        asked("--seed blue")
    assert (unreadable.value.offers, unreadable.value.without) == ((), "")


@pytest.mark.parametrize(
    ("typed", "size", "exact"),
    [
        ("--ar 4:3", (1024, 768), True),
        ("--ar 1:1", (1024, 1024), True),
        ("--ar 3/4", (768, 1024), True),
        ("--ar 1,333", (1024, 768), True),
        ("--ar 5x4", (960, 768), True),
        ("--ar 100:1", (1024, 768), False),
        ("--ar 1:100", (768, 1024), False),
        ("--size 768x1024", (768, 1024), True),
        ("--size 768×1024", (768, 1024), True),
        ("--size 768х1024", (768, 1024), True),
        ("--size 832", (832, 832), True),
        ("--size 1536x640", (1536, 640), True),
        ("--size 1000x1000", (1024, 1024), False),
        ("--size 99999x99999", (1024, 1024), False),
        ("--size 1x1", (768, 768), False),
    ],
)
def test_sizes_are_those_that_are_drawn(typed: str, size: tuple[int, int], exact: bool) -> None:
    got = asked(f"a star {typed}")
    assert (got.request.width, got.request.height) == size
    assert said(got) == ["asked.size"] + ([] if exact else ["changed.size"])


def test_a_family_with_one_size_says_so() -> None:
    for typed in ("--ar 16:9", "--size 1024x768"):
        got = asked(f"a red star {typed}", NANO)
        assert got.request.size == (128, 128)
        assert [(each.key, dict(each.values)) for each in got.remarks] == [("changed.one-size", {"size": "128×128"})]
    assert said(asked("a red star --ar 1:1 --size 128x128", NANO)) == []


@pytest.mark.parametrize("typed", ["--no hat", "--cfg 3", "--steps 20", "--engine flash --no hat"])
def test_what_flash_does_not_hear_is_drawn_with_care(typed: str) -> None:
    got = asked(f"a star {typed}")
    assert not got.request.flash
    assert {"asked.base", "changed.careful"} <= set(said(got))
    here = asked(f"a star {typed}", lanes=("flash",))
    assert here.request.flash
    assert "changed.not-heard" in said(here)
    assert not {"changed.careful", "changed.no-base"} & set(said(here))


def test_an_engine_that_is_not_installed_is_replaced_and_said() -> None:
    got = asked("a star --engine base", lanes=("flash", "language"))
    assert got.request.flash
    assert said(got) == ["asked.flash", "changed.no-base"]
    got = asked("a star --engine flash", "kandinsky-3.0")
    assert not got.request.flash
    assert "changed.no-flash" in said(got)


def test_what_is_quoted_back_is_short() -> None:
    got = asked(f"a star --n {'9' * 40} --seed {'9' * 40} --no {'x' * 900} --size 999999x999999 --engine flash")
    assert len(got.remarks) > 5
    assert all(len(str(value)) <= 40 for remark in got.remarks for value in remark.values.values())

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine import catalog
from engine.requests import Inpaint, KeepOutline, Mix, Regions, Request, RequestError, TextToImage, Variation, kinds

NANO = "kandinsky-nano"


def refusal(prompt: str, family: str = NANO, **changes: object) -> RequestError:
    with pytest.raises(RequestError) as caught:
        catalog.text_to_image(family, prompt, 1, **changes)
    return caught.value


def test_the_defaults_of_a_request_are_those_of_the_default_family():
    assert catalog.text_to_image(NANO, "a red circle", 1) == TextToImage("a red circle", 1)
    assert TextToImage("a red circle", 1).family == catalog.DEFAULT_FAMILY


def test_another_family_fills_in_its_own_defaults():
    request = catalog.text_to_image("kandinsky-3.1", "A cat in glasses", 1, flash=False)

    assert (request.width, request.height) == catalog.family("kandinsky-3.1").default_size
    assert request.flash is False


@pytest.mark.parametrize(("flash", "queue"), [(True, "kandinsky-nano.flash"), (False, "kandinsky-nano.base")])
def test_a_request_goes_to_its_lane(flash: bool, queue: str):
    assert catalog.route(TextToImage("a red circle", 1, flash=flash)).queue == queue


@pytest.mark.parametrize("family", catalog.families(), ids=lambda family: family.name)
def test_a_family_can_serve_what_it_offers(family: catalog.Family):
    assert family.default_size in family.sizes
    assert {"flash", "base"} & set(family.lanes) <= set(family.unets)
    for language in family.languages:
        for prompt in catalog.examples(family.name, language):
            catalog.check(catalog.text_to_image(family.name, prompt, 1))


def test_examples_fall_back_to_a_language_the_family_speaks():
    assert catalog.examples("kandinsky-3.1", "ru") == catalog.examples("kandinsky-3.1", "en")
    assert catalog.examples(NANO, "ru") != catalog.examples(NANO, "en")


def test_a_word_nano_does_not_know_is_named_with_words_it_knows():
    error = refusal("Кот в очках за компьютером")

    assert error.code == "unknown-words"
    assert error.values["language"] == "ru"
    assert {"Кот", "очках", "компьютером"} <= set(error.values["words"])
    assert "круг" in error.values["suggestions"]


def test_a_prompt_without_an_object_gets_objects_to_tap():
    error = refusal("red on a blue background")

    assert error.code == "no-object"
    assert "circle" in error.values["suggestions"]


def test_an_object_in_the_colour_of_its_background_does_not_fit() -> None:
    error = refusal("a red circle on a red background")

    assert error.code == "words-do-not-fit"
    assert error.values["words"] == ["red"]


def test_only_words_that_nano_does_not_know_are_called_unknown() -> None:
    assert refusal("a red cirle on a blue background").values["words"] == ["cirle"]


def test_more_objects_than_nano_can_draw_are_counted():
    error = refusal("a circle, a star and a heart")

    assert error.code == "too-many-objects"
    assert (error.values["limit"], error.values["value"]) == (2, 3)
    assert error.values["prompts"] == ["a circle and a star", "a star and a heart"]


@pytest.mark.parametrize(
    ("prompt", "words", "offer"),
    [
        ("three red stars on a blue background", ["three", "stars"], "a red star on a blue background"),
        ("5 circles", ["5", "circles"], "a circle"),
        ("a few big white hearts at the top", ["few", "hearts"], "a big white heart at the top"),
        ("три красные звезды слева", ["три", "красные"], "красная звезда слева"),
        ("звёзды на чёрном фоне", ["звёзды"], "звезда на чёрном фоне"),
        ("несколько кружков", ["несколько", "кружков"], "круг"),
    ],
)
def test_plurals_and_numbers_have_a_refusal_of_their_own(prompt: str, words: list[str], offer: str) -> None:
    error = refusal(prompt)

    assert error.code == "several-of-one"
    assert error.values == {"limit": 1, "words": words, "prompts": [offer]}
    assert catalog.text_to_image(NANO, offer, 1).prompt == offer


def test_a_plural_that_is_to_be_left_out_is_a_word_like_any_other() -> None:
    assert refusal("a red circle", flash=False, negative_prompt="stars").values["words"] == ["stars"]


def test_several_of_what_nano_does_not_know_is_unknown() -> None:
    assert refusal("three cats").values["words"] == ["cats"]


def test_other_examples_are_others_each_time_and_all_can_be_drawn() -> None:
    for family in catalog.families():
        for language in family.languages:
            turns = [catalog.other_examples(family.name, language, turn) for turn in range(4)]
            assert len({prompt for turn in turns for prompt in turn}) == 8
            for prompt in {prompt for turn in range(9) for prompt in catalog.other_examples(family.name, language, turn)}:
                catalog.text_to_image(family.name, prompt, 1)


def test_words_of_a_negative_prompt_count_where_it_is_read():
    assert refusal("a red circle", flash=False, negative_prompt="watermark").code == "unknown-words"
    assert catalog.text_to_image(NANO, "a red circle", 1, negative_prompt="watermark").flash


def test_a_size_outside_the_family_is_refused_with_its_sizes():
    error = refusal("a red circle", width=64, height=4096)

    assert (error.code, error.values) == ("size-not-served", {"value": "64x4096", "sizes": ["128x128"]})


def test_an_unknown_family_is_refused():
    error = refusal("a red circle", family="kandinsky-9")

    assert error.code == "family-unknown"
    assert NANO in error.values["families"]


@pytest.mark.parametrize("size", [(0, 0), (63, 63), (65, 1024), (1, 8192), (8192, 8192), (10_048, 10_048), (192, 192)])
@pytest.mark.parametrize("kind", [TextToImage, Mix])
def test_a_size_beyond_the_limits_is_refused_with_them(size: tuple[int, int], kind: type[Request]):
    words = {"prompt": "a cat"} if kind is TextToImage else {"images": ("a.png",)}
    with pytest.raises(RequestError, match="multiples of 64 from 256 to 8192") as caught:
        catalog.make(kind, "kandinsky-3.1", seed=1, width=size[0], height=size[1], **words)
    assert (caught.value.code, caught.value.values["value"]) == ("size-not-served", f"{size[0]}x{size[1]}")


@pytest.mark.parametrize("size", [(512, 512), (4096, 1024), (256, 8192)])
def test_large_families_draw_more_sizes_than_they_offer(size: tuple[int, int]):
    request = catalog.text_to_image("kandinsky-3.1", "a cat", 1, width=size[0], height=size[1])

    assert request.size == size
    assert size not in catalog.family("kandinsky-3.1").sizes


def test_a_family_without_flash_draws_with_care():
    assert not catalog.text_to_image("kandinsky-3.0", "a cat", 1).flash
    assert refusal("a cat", "kandinsky-3.0", flash=True).code == "kind-not-served"


def test_the_defaults_are_those_of_the_facts():
    base = catalog.text_to_image("kandinsky-3.1", "a cat", 1, flash=False)
    inpaint = catalog.make(Inpaint, "kandinsky-3.1", image="a", mask_image="b", prompt="a cat", seed=1)
    variation = catalog.make(Variation, "kandinsky-3.1", image="a", seed=1)
    outline = catalog.make(KeepOutline, "kandinsky-3.1", image="a", prompt="a cat", seed=1)

    assert [request.guidance_scale for request in (base, inpaint, variation, outline)] == [3.0, 4.0, 7.5, 7.0]
    assert [request.num_inference_steps for request in (base, inpaint, variation, outline)] == [50] * 4
    assert (catalog.family("kandinsky-3.1").threshold, catalog.family("kandinsky-3.1").inpaint_threshold) == (0.99, 0.95)
    assert variation.size == (1024, 1024)


def test_a_family_may_want_another_guidance_for_a_kind(monkeypatch: pytest.MonkeyPatch):
    big = catalog.family("kandinsky-3.1")
    monkeypatch.setattr(catalog, "FAMILIES", {big.name: replace(big, guidance_scales={"variation": 2.5})})

    assert catalog.make(Variation, big.name, image="a", seed=1).guidance_scale == 2.5
    assert catalog.make(Variation, big.name, image="a", seed=1, guidance_scale=3.0).guidance_scale == 3.0
    assert catalog.make(KeepOutline, big.name, image="a", prompt="a cat", seed=1).guidance_scale == 7.0


def test_each_family_serves_what_it_has_weights_for():
    served = {family.name: set(family.kinds) for family in catalog.families()}
    every = {each.kind for each in kinds() if each.__module__ == "engine.requests"}

    edits = {"image-to-image", "variation", "mix", "inpaint", "outpaint", "keep-outline", "upscale"}
    assert served[NANO] == {"text-to-image", "beautify", "translate"} | edits
    assert served["kandinsky-3.1"] == every
    assert served["kandinsky-3.0"] == served["kandinsky-3.1-small"] == {"text-to-image", "image-to-image", "regions"}


def test_a_kind_that_the_family_does_not_serve_is_refused():
    class Dream(Request):
        kind = "dream"
        family = NANO

    with pytest.raises(RequestError) as caught:
        catalog.check(Dream())
    assert (caught.value.code, caught.value.values) == ("kind-not-served", {"kind": "dream", "family": NANO})


@pytest.mark.parametrize(
    ("folders", "lanes"),
    [
        (("unet_flash", "movq"), ("flash",)),
        (("unet", "unet_flash"), ("flash", "base")),
        (("unet_flash", "super_resolution_x4"), ("flash", "upscale")),
        (("language_model",), ("language",)),
        (
            ("unet", "unet_flash", "picture_prompt", "super_resolution_x2", "language_model"),
            catalog.family("kandinsky-3.1").lanes,
        ),
        ((), ()),
    ],
)
def test_the_lanes_that_are_here_are_those_whose_networks_are(tmp_path: Path, folders: tuple[str, ...], lanes: tuple[str, ...]):
    for name in folders:
        (tmp_path / name).mkdir()
    assert catalog.lanes_here("kandinsky-3.1", tmp_path) == lanes


def test_nano_has_all_its_lanes_here():
    assert catalog.lanes_here("kandinsky-nano") == catalog.family("kandinsky-nano").lanes


@pytest.mark.parametrize(
    "request_of",
    [
        lambda words: TextToImage(words, 1, width=1024, height=1024, family="kandinsky-3.1"),
        lambda words: Inpaint("a.png", "mask.png", words, 1),
        lambda words: Regions("map.png", ("a tree", words), 1),
    ],
)
def test_what_is_against_the_law_is_refused_wherever_it_is_drawn(request_of: Callable[[str], Request]):
    catalog.check(request_of("two friends in a park"))

    with pytest.raises(RequestError, match="against the law") as caught:
        catalog.check(request_of("child porn"))

    assert caught.value.code == "illegal"

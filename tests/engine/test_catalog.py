import pytest

from engine import catalog
from engine.requests import Request, RequestError, TextToImage

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
    assert set(family.lane_weights) == set(family.lanes)
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

    assert (error.code, error.values) == ("too-many-objects", {"limit": 2, "value": 3})


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


def test_a_kind_that_the_family_does_not_serve_is_refused():
    class Dream(Request):
        kind = "dream"
        family = NANO

    with pytest.raises(RequestError) as caught:
        catalog.check(Dream())
    assert (caught.value.code, caught.value.values) == ("kind-not-served", {"kind": "dream", "family": NANO})

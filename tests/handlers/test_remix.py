"""What an answer to "what shall I change?" changes, and what it leaves as it was."""

from dataclasses import replace

import pytest

from engine import catalog
from engine.requests import Inpaint, TextToImage, Variation
from handlers import remix
from handlers.parameters import ParameterError
from tests.storage.made import FAMILY

CAREFUL = catalog.text_to_image(
    FAMILY,
    "a red star",
    5,
    flash=False,
    num_images_per_prompt=2,
    num_inference_steps=30,
    guidance_scale=2.0,
    negative_prompt="a cross",
)
REPAINTED = catalog.make(Inpaint, FAMILY, image="i.png", mask_image="m.png", prompt="a red star", seed=5, mask_feather=3)


def test_words_alone_change_words_alone() -> None:
    assert remix.changed(CAREFUL, "a blue star", 5, None) == (replace(CAREFUL, prompt="a blue star"), ())
    assert remix.changed(REPAINTED, "a blue star", 5, None)[0] == replace(REPAINTED, prompt="a blue star")


def test_parameters_alone_leave_the_words() -> None:
    request, remarks = remix.changed(CAREFUL, "--seed 77 --n 1 --steps 20", 5, None)
    assert request == replace(CAREFUL, seed=77, num_images_per_prompt=1, num_inference_steps=20)
    assert "asked.seed" in {remark.key for remark in remarks}
    assert remix.changed(REPAINTED, "--cfg 2", 5, None)[0] == replace(REPAINTED, guidance_scale=2.0)


def test_the_sampler_is_another_one_if_that_is_said() -> None:
    request, _ = remix.changed(CAREFUL, "a red star --engine flash", 5, None)
    assert isinstance(request, TextToImage)
    assert request.flash
    flash = replace(CAREFUL, flash=True)
    assert remix.changed(flash, "a blue star", 5, None)[0] == replace(flash, prompt="a blue star")
    told, _ = remix.changed(flash, "a red star --no circle", 5, None)
    assert (told.flash, told.negative_prompt) == (False, "circle")  # type: ignore[attr-defined]


def test_the_same_answer_is_the_same_request() -> None:
    assert remix.changed(CAREFUL, " a  red star ", 5, None)[0] == CAREFUL
    assert remix.changed(CAREFUL, "a red star", 6, None)[0] == replace(CAREFUL, seed=6)


def test_parameters_of_an_edit_are_read_as_in_any_words_about_a_picture() -> None:
    request, remarks = remix.changed(REPAINTED, "a red star --ar 3:4 --n 3", 5, None)
    assert request == replace(REPAINTED, num_images_per_prompt=3)
    assert "changed.picture-size" in {remark.key for remark in remarks}
    with pytest.raises(ParameterError):
        remix.changed(REPAINTED, "a red star --sed 5", 5, None)


def test_long_words_are_not_put_into_a_button() -> None:
    def labels(prompt: str) -> list[list[str]]:
        keyboard = remix.keyboard("job", 1, prompt, False, lambda key: f"X {key}")
        return [[button.text for button in row] for row in keyboard.inline_keyboard]

    seeds = ["● button.seed-same", "X button.seed-new"]
    assert labels("a" * 256) == [["X button.copy"], seeds]
    assert labels("a" * 257) == [seeds]
    assert labels("") == [seeds]
    assert not hasattr(Variation, "prompt")  # so it has no such button

"""Drawings with Telegram's pencil, made by the sandbox's, become masks. The table is `benchmarks.pencil`."""

from random import Random

import pytest
from PIL import Image

from benchmarks.drawings import PENS, as_telegram, draw, nano_picture, overlap, photograph
from bot.masks.pencil import pencil_mask
from sandbox.pencil import Crop, Stroke, circle, rectangle
from storage.domain import Refused
from tests.bot.masks.drawn import back, plane_of


@pytest.mark.parametrize(
    ("kind", "pen", "photo"),
    [
        ("outline", "red", True),
        ("open outline", "black", False),
        ("filled", "blue", True),
        pytest.param("two outlines", "green", False, marks=pytest.mark.long),
        pytest.param("outline", "white", False, marks=pytest.mark.long),
        pytest.param("filled", "yellow", False, marks=pytest.mark.long),
    ],
)
def test_what_was_drawn_is_found_after_telegram(kind: str, pen: str, photo: bool) -> None:
    picture = photograph("cat", 512) if photo else nano_picture(4, 512)
    drawing = draw(picture, kind, PENS[pen], Random(1), thickness=0.008)
    assert drawing.visible > 0.95
    found = pencil_mask(picture, drawing.returned)
    assert overlap(found.mask, drawing.truth) >= 0.9


@pytest.mark.long
def test_what_two_pens_drew_is_one_mask() -> None:
    picture = nano_picture(5, 512)
    red, blue = circle(0.25, 0.3, 0.15), rectangle(0.6, 0.5, 0.9, 0.9)
    found = pencil_mask(picture, back(picture, Stroke(red, PENS["red"]), Stroke(blue, PENS["blue"])))
    assert overlap(found.mask, plane_of(picture, red) | plane_of(picture, blue)) >= 0.9


def test_an_outline_that_leaves_the_picture_is_closed_by_its_border() -> None:
    picture = photograph("coffee", 512)
    line = [(0.0, 0.3), (0.3, 0.3), (0.3, 0.7), (0.0, 0.7)]
    found = pencil_mask(picture, back(picture, Stroke(line, PENS["green"])))
    assert overlap(found.mask, plane_of(picture, rectangle(0, 0.3, 0.3, 0.7))) >= 0.9


@pytest.mark.parametrize(
    ("crop", "turns"),
    [(None, 1), pytest.param(None, 2, marks=pytest.mark.long), ((0.1, 0.05, 0.8, 0.9), 0)],
    ids=["left", "around", "cropped"],
)
def test_a_picture_that_was_turned_or_cropped_is_laid_back(crop: Crop | None, turns: int) -> None:
    picture = photograph("astronaut", 512)
    line = circle(0.45, 0.4, 0.2)
    found = pencil_mask(picture, back(picture, Stroke(line, PENS["blue"]), crop=crop, turns=turns))
    assert overlap(found.mask, plane_of(picture, line)) >= 0.9
    assert found.cropped is (crop is not None)


@pytest.mark.parametrize("picture", [nano_picture(8, 512), photograph("rocket", 512)], ids=["nano", "photograph"])
def test_a_picture_that_only_went_through_telegram_has_nothing_drawn_on_it(picture: Image.Image) -> None:
    with pytest.raises(Refused) as caught:
        pencil_mask(picture, as_telegram(picture, 1280, 70))
    assert caught.value.code == "refused.pencil-nothing"


def test_white_on_white_is_told() -> None:
    picture = Image.new("RGB", (512, 512), "white")
    picture.paste("teal", (300, 300, 400, 400))
    with pytest.raises(Refused) as caught:
        pencil_mask(picture, back(picture, Stroke(circle(0.3, 0.3, 0.2), PENS["white"])))
    assert caught.value.code == "refused.pencil-nothing"


@pytest.mark.parametrize(
    ("picture", "other"),
    [(photograph("cat", 512), photograph("coffee", 512)), (nano_picture(3, 512), nano_picture(11, 512))],
    ids=["photographs", "nano"],
)
def test_another_picture_is_told_with_both_sizes(picture: Image.Image, other: Image.Image) -> None:
    returned = as_telegram(other, 1280, 80)
    with pytest.raises(Refused) as caught:
        pencil_mask(picture, returned)
    assert caught.value.code == "refused.pencil-other"
    assert caught.value.values["value"] == f"{returned.width}x{returned.height}"


def test_a_picture_under_paint_is_refused() -> None:
    picture = photograph("cat", 512)
    with pytest.raises(Refused) as caught:
        pencil_mask(picture, back(picture, Stroke(rectangle(0.01, 0.01, 0.99, 0.99), PENS["red"], filled=True)))
    assert caught.value.code in ("refused.mask-everything", "refused.pencil-other")

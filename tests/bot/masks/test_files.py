"""Masks that come as files."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.drawings import photograph
from bot.masks.files import file_mask, looks_like_mask
from engine.requests import RequestError
from storage.domain import Refused

SIZE = (120, 80)


def sheet(paper: int, ink: int, size: tuple[int, int] = SIZE) -> Image.Image:
    picture = Image.new("L", size, paper)
    ImageDraw.Draw(picture).rectangle((size[0] // 4, size[1] // 4, size[0] // 2 - 1, size[1] // 2 - 1), fill=ink)
    return picture


PICTURE = photograph("coffee", 120).resize(SIZE)


def test_white_is_drawn_anew_at_any_size_of_the_picture() -> None:
    for picture in (sheet(0, 255), sheet(0, 255, (240, 160)), sheet(0, 255).filter(ImageFilter.GaussianBlur(1)).convert("RGB")):
        found = file_mask(picture, None, PICTURE)
        assert found.read == "white"
        assert found.mask[20:40, 30:60].mean() > 0.95
        assert found.mask.mean() == pytest.approx(1 / 16, abs=0.01)


def test_black_on_white_is_read_as_it_is_and_pointed_at() -> None:
    found = file_mask(sheet(255, 0), None, PICTURE)
    assert found.read == "paper"
    assert not found.mask[20:40, 30:60].any()


def test_black_is_meant_where_nearly_all_is_white() -> None:
    picture = Image.new("L", SIZE, 255)
    picture.paste(0, (30, 20, 45, 35))
    found = file_mask(picture, None, PICTURE)
    assert (found.read, found.mask.sum()) == ("black", 225)


@pytest.mark.parametrize("colour", ["white", "black", "teal"])
def test_of_a_file_with_transparent_parts_what_is_painted_is_meant_in_any_colour(colour: str) -> None:
    opacity = Image.new("L", SIZE)
    opacity.paste(255, (30, 20, 60, 40))
    picture = Image.new("RGB", SIZE, "white")
    picture.paste(colour, (30, 20, 60, 40))
    found = file_mask(picture, opacity, PICTURE)
    assert (found.read, found.mask.sum()) == ("painted", 600)
    assert found.mask[20:40, 30:60].all()


def test_a_hole_in_the_picture_itself_is_what_was_erased() -> None:
    opacity = Image.new("L", SIZE, 255)
    opacity.paste(0, (30, 20, 60, 40))
    picture = PICTURE.copy()
    picture.paste("white", (30, 20, 60, 40))
    found = file_mask(picture, opacity, PICTURE)
    assert (found.read, found.mask.sum()) == ("erased", 600)
    assert found.mask[20:40, 30:60].all()


def test_a_photograph_is_no_mask() -> None:
    picture = photograph("coffee", 256)
    assert not looks_like_mask(picture)
    with pytest.raises(Refused) as caught:
        file_mask(picture, None, picture)
    assert caught.value.code == "refused.mask-colours"
    assert int(str(caught.value.values["value"])) > int(str(caught.value.values["limit"]))


@pytest.mark.parametrize(("dots", "code"), [(1, "refused.mask-empty"), (9_599, "refused.mask-everything")])
def test_almost_nothing_and_almost_everything_is_refused(dots: int, code: str) -> None:
    pixels = np.zeros(SIZE[0] * SIZE[1], np.uint8)
    pixels[:dots] = 255
    picture = Image.fromarray(pixels.reshape(SIZE[::-1]))
    if code.endswith("everything"):  # with a black border nobody means the opposite
        picture = Image.new("L", SIZE, 255)
        ImageDraw.Draw(picture).line((0, 0, SIZE[0], 0), fill=0)
        ImageDraw.Draw(picture).line((0, 0, 0, SIZE[1]), fill=0)
    with pytest.raises(Refused) as caught:
        file_mask(picture, None, PICTURE)
    assert caught.value.code == code


def test_a_mask_of_another_shape_is_refused_with_both_sizes() -> None:
    with pytest.raises(RequestError) as caught:
        file_mask(sheet(0, 255, (80, 120)), None, PICTURE)
    assert caught.value.values == {"value": "80x120", "limit": "120x80"}

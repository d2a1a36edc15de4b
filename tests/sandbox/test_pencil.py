"""Telegram's pencil without a browser."""

import io

import numpy as np
import pytest
from PIL import Image

from sandbox.pencil import Stroke, circle, drawn_on, rectangle
from sandbox.person import Person
from tests.sandbox.conftest import Png


def opened(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo)).convert("RGB")


def test_a_photo_comes_back_as_a_jpeg_of_telegrams_size(png: Png) -> None:
    drawn = Image.open(io.BytesIO(drawn_on(png(64, 32), [Stroke(circle(0.5, 0.5, 0.2))])))
    assert (drawn.format, drawn.size) == ("JPEG", (1280, 640))


def test_strokes_have_their_colour_and_outlines_leave_their_inside_alone(png: Png) -> None:
    strokes = [Stroke(rectangle(0.1, 0.1, 0.4, 0.9), "#007aff", 0.02), Stroke(rectangle(0.6, 0.1, 0.9, 0.9), "lime", filled=True)]
    pixels = np.asarray(opened(drawn_on(png(64, 64), strokes)), np.int16)
    for x, y, colour in ((128, 640, (0, 122, 255)), (320, 640, (255, 0, 0)), (960, 640, (0, 255, 0)), (640, 640, (255, 0, 0))):
        assert np.abs(pixels[y, x] - colour).max() < 16


def test_a_photo_can_be_cropped_and_turned(png: Png) -> None:
    assert opened(drawn_on(png(64, 64), [], crop=(0, 0, 1, 0.5))).size == (1280, 640)
    assert opened(drawn_on(png(64, 32), [], turns=1)).size == (640, 1280)


@pytest.mark.parametrize("reply", [True, False])
async def test_a_person_draws_on_a_photo_of_the_chat(anna: Person, png: Png, reply: bool) -> None:
    photo = await anna.sends_photo(png(64, 64))
    drawn = await anna.draws_on(photo.id, Stroke(circle(0.5, 0.5, 0.3), "blue"), caption="a fox", reply=reply)
    assert (drawn.text, drawn.photo_size, drawn.reply_to) == ("a fox", (1280, 1280), photo.id if reply else None)
    assert opened(drawn.photo).getpixel((1024, 640)) != opened(photo.photo).getpixel((32, 32))

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from engine.region_map import read_areas
from engine.requests import RequestError


def painted(size: tuple[int, int] = (400, 300), background: str = "black", mode: str = "RGB") -> Image.Image:
    """A green disc below, a red square above it at the left."""
    picture = Image.new(mode, size, background)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((200, 100, 390, 290), fill="lime")
    pen.rectangle((20, 30, 150, 150), fill="red")
    return picture


def shares(areas: list) -> list[float]:
    return [round(float(area.mean()), 2) for area in areas]


EXACT = [round(131 * 121 / 120_000, 2), round(3.14159 * 95.5**2 / 120_000, 2)]


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize(
    "region_map",
    [
        painted(),
        as_jpeg(painted(), 60),
        painted().filter(ImageFilter.GaussianBlur(1.5)),
        painted((400, 300), (0, 0, 0, 0), "RGBA"),
        painted().resize((3000, 2250), Image.Resampling.BICUBIC).resize((400, 300), Image.Resampling.BILINEAR),
    ],
    ids=["exact", "jpeg", "soft", "transparent", "scaled"],
)
def test_areas_are_the_flat_colours_in_reading_order(region_map: Image.Image):
    areas = read_areas(region_map, 2, (400, 300))

    assert [tuple(area.shape) for area in areas] == [(300, 400)] * 2
    assert shares(areas) == pytest.approx(EXACT, abs=0.011)
    assert areas[0][90, 80] == areas[1][200, 300] == 1
    assert not (areas[0] * areas[1]).any()


def test_areas_have_the_size_of_the_picture_to_draw():
    areas = read_areas(painted(), 2, (128, 192))

    assert shares(areas) == pytest.approx(EXACT, abs=0.011)
    assert areas[0].shape == (192, 128)


@pytest.mark.parametrize("size", [(2, 1), (1, 2), (3, 2), (64, 2)])
def test_a_tiny_map_is_a_map(size: tuple[int, int]):
    picture = Image.new("RGB", size, "red")
    picture.putpixel((size[0] - 1, size[1] - 1), (0, 0, 255))

    areas = read_areas(picture, 2, (128, 128))

    assert (areas[0] + areas[1]).all()
    assert areas[1][-1, -1] == 1


def test_a_grey_map_has_its_levels_as_colours():
    levels = np.repeat(np.array([[0, 120, 250]], dtype=np.uint8), 60, axis=1).repeat(40, axis=0)

    assert shares(read_areas(Image.fromarray(levels), 2, (90, 40))) == pytest.approx([1 / 3, 1 / 3], abs=0.02)


def test_a_frame_of_one_colour_around_another_is_met_first():
    picture = Image.new("RGB", (100, 100), "yellow")
    picture.paste("blue", (30, 30, 70, 70))

    around, inside = read_areas(picture, 2, (64, 64))

    assert around[0, 0] == inside[32, 32] == 1


@pytest.mark.parametrize(
    ("region_map", "found"),
    [
        (Image.new("RGB", (50, 50)), 0),
        (Image.new("L", (1, 1), 255), 1),
        (Image.new("RGBA", (50, 50), (255, 0, 0, 0)), 0),
        (painted(background="white"), 3),
    ],
)
def test_a_map_that_does_not_fit_the_prompts_is_refused(region_map: Image.Image, found: int):
    with pytest.raises(RequestError) as caught:
        read_areas(region_map, 2, (128, 128))

    assert (caught.value.code, caught.value.values) == ("regions-and-prompts", {"value": found, "limit": 2})


def test_a_photo_is_no_map_and_is_refused_soon():
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise[::50, ::50]).resize((900, 700), Image.Resampling.BICUBIC)

    for picture in (Image.fromarray(noise), smooth):
        with pytest.raises(RequestError):
            read_areas(picture, 2, (128, 128))

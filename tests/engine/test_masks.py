import numpy as np
import pytest
from PIL import Image

from engine.marked import Box, Mask, read_mask
from engine.masks import dilated, feathered, latent_mask, place_of
from engine.requests import RequestError

SIZE = (60, 40)


def square(size: tuple[int, int] = SIZE, box: tuple[int, int, int, int] = (20, 10, 40, 30)) -> Mask:
    mask = np.zeros((size[1], size[0]), dtype=bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def drawn(mode: str, value: object, background: object = 0) -> Image.Image:
    picture = Image.new(mode, SIZE, background)
    picture.paste(value, (20, 10, 40, 30))
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        drawn("L", 255),
        drawn("L", 128, 127),
        drawn("RGB", (255, 255, 255)),
        drawn("RGBA", (255, 255, 255, 255), (0, 0, 0, 255)),
        drawn("RGBA", (255, 255, 255, 255), (0, 0, 0, 0)),
        drawn("RGBA", (0, 0, 0, 255), (255, 255, 255, 0)),  # black strokes on a transparent sheet
        drawn("RGBA", (255, 0, 0, 160), (0, 0, 0, 0)),
        drawn("L", 255).resize((120, 80), Image.Resampling.NEAREST),
    ],
    ids=["grey", "greys", "colour", "opaque", "white on nothing", "black on nothing", "alpha alone", "twice the size"],
)
def test_what_a_person_marked_is_read(picture: Image.Image):
    assert np.array_equal(read_mask(picture, SIZE), square())


def test_a_mask_of_everything_is_served():
    assert read_mask(Image.new("L", SIZE, 255), SIZE).all()


@pytest.mark.parametrize(
    "picture",
    [Image.new("L", SIZE), Image.new("L", SIZE, 127), Image.new("RGBA", SIZE, (255, 255, 255, 0)), Image.new("RGB", SIZE)],
)
def test_a_mask_of_nothing_is_refused(picture: Image.Image):
    with pytest.raises(RequestError) as caught:
        read_mask(picture, SIZE)
    assert caught.value.code == "mask-empty"


def test_a_mask_of_another_shape_is_refused_with_both_sizes():
    with pytest.raises(RequestError) as caught:
        read_mask(Image.new("L", (40, 60), 255), SIZE)
    assert (caught.value.code, caught.value.values) == ("mask-size", {"value": "40x60", "limit": "60x40"})


@pytest.mark.parametrize("distance", [0, 1, 7])
def test_a_mask_grows_by_the_distance_on_every_side(distance: int):
    grown = dilated(square(), distance)

    assert np.array_equal(grown, square(box=(20 - distance, 10 - distance, 40 + distance, 30 + distance)))


def test_the_new_fades_in_inside_of_the_mask_alone():
    mask = square()
    alpha = feathered(mask, 4)

    assert not alpha[~mask].any()
    assert alpha[20, 20:27] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    assert alpha[20, 39:33:-1] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert np.array_equal(feathered(mask, 0), mask)


def test_thin_strokes_reach_the_new_picture_in_their_middle():
    alpha = feathered(square(box=(20, 10, 23, 30)), 8)

    assert alpha[20, 19:24] == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_the_borders_of_the_picture_are_no_borders_of_the_mask():
    assert feathered(np.ones((40, 60), dtype=bool), 8).min() == 1


def test_the_unet_reads_one_where_a_cell_is_known():
    mask = square(size=(64, 32), box=(15, 8, 32, 9))
    expected = np.ones((4, 8))
    expected[1, 1:4] = 0

    assert latent_mask(mask)[0, 0].numpy().tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((900, 400, 1000, 500), Box(822, 322, 1078, 578)),  # the smallest place
        ((0, 0, 300, 200), Box(0, 0, 600, 400)),  # twice the mask, inside of the picture
        ((900, 0, 1100, 1000), Box(800, 0, 1200, 1000)),
        ((100, 100, 1700, 900), Box(0, 0, 2000, 1000)),  # more than half: all of it
    ],
)
def test_a_small_mask_is_drawn_with_its_surroundings_alone(box: tuple[int, int, int, int], place: Box):
    assert place_of(square((2000, 1000), box)) == place

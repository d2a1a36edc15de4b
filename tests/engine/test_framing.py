import numpy as np
import pytest
from PIL import Image

from engine.framing import Frame
from engine.requests import RequestError

AREAS = (768 * 768, 1024 * 1024)


@pytest.mark.parametrize(
    ("size", "scaled", "padded"),
    [
        ((1024, 1024), (1024, 1024), (1024, 1024)),
        ((1000, 800), (1000, 800), (1024, 832)),
        ((2048, 1024), (1448, 724), (1472, 768)),  # not larger than was trained
        ((136, 72), (1056, 559), (1088, 576)),  # nor smaller
        ((8000, 16), (17173, 34), (17216, 64)),
    ],
)
def test_a_picture_is_scaled_to_a_trained_area_and_padded_to_multiples_of_64(size, scaled, padded):
    frame = Frame.around(size, AREAS)

    assert (frame.scaled, frame.padded) == (scaled, padded)
    assert frame.latents == (padded[1] // 8, padded[0] // 8)


def test_a_picture_of_a_good_size_goes_through_untouched_and_is_padded_by_its_mirror_image():
    pixels = np.random.default_rng(0).integers(0, 256, (800, 1000, 3), dtype=np.uint8)
    frame = Frame.around((1000, 800), AREAS)

    laid = np.asarray(frame.fit(Image.fromarray(pixels)))

    assert np.array_equal(laid[:800, :1000], pixels)
    assert np.array_equal(laid[:800, 1000:], pixels[:, :-25:-1])
    assert np.array_equal(np.asarray(frame.restore(Image.fromarray(laid))), pixels)


@pytest.mark.parametrize("size", [(15, 600), (1, 1)])
def test_a_picture_that_is_too_small_is_refused(size: tuple[int, int]):
    with pytest.raises(RequestError) as caught:
        Frame.around(size, AREAS)
    assert (caught.value.code, caught.value.values["limit"]) == ("picture-too-small", 16)

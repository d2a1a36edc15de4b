import io

import numpy as np
import pytest
from PIL import Image

from engine import pictures
from engine.requests import RequestError


def saved(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("stored", "read"), [("RGB", "RGB"), ("L", "L"), ("1", "L"), ("RGBA", "RGBA"), ("LA", "RGBA"), ("P", "RGB"), ("I;16", "L")]
)
def test_a_picture_is_colour_grey_or_transparent(stored: str, read: str):
    assert pictures.decoded(saved(Image.new(stored, (5, 4)))).mode == read


def test_a_palette_with_a_transparent_colour_is_transparent():
    assert pictures.decoded(saved(Image.new("P", (5, 4)), transparency=0)).mode == "RGBA"


def test_sixteen_bits_become_eight():
    deep = Image.fromarray(np.array([[0, 257, 65535]], dtype=np.uint16))

    assert np.asarray(pictures.decoded(saved(deep))).tolist() == [[0, 1, 255]]


def test_a_picture_is_upright():
    turned = Image.Exif()
    turned[0x0112] = 6

    assert pictures.decoded(saved(Image.new("RGB", (5, 4)), "JPEG", exif=turned)).size == (4, 5)


@pytest.mark.parametrize("data", [b"", b"no picture", saved(Image.effect_noise((50, 40), 9))[:300]])
def test_what_is_no_picture_is_refused(data: bytes):
    with pytest.raises(RequestError) as caught:
        pictures.decoded(data)
    assert caught.value.code == "picture-unreadable"


def test_a_huge_picture_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 19)

    with pytest.raises(RequestError) as caught:
        pictures.decoded(saved(Image.new("RGB", (5, 4))))

    assert (caught.value.code, caught.value.values["value"]) == ("picture-too-large", "5x4")

"""Sizes read from headers."""

import pytest
from PIL import Image

from sandbox.pictures import picture_mime, picture_size, scaled_sizes


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_size_comes_from_the_header(png, kind: str) -> None:
    data = png(123, 45, kind)
    assert picture_size(data) == (123, 45)
    assert picture_mime(data) == Image.MIME[kind]


def test_lossless_webp_too() -> None:
    import io

    buffer = io.BytesIO()
    Image.new("RGBA", (33, 77)).save(buffer, "WEBP", lossless=True)
    assert picture_size(buffer.getvalue()) == (33, 77)


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_no_picture_has_no_size(data: bytes) -> None:
    assert picture_size(data) is None


def test_thumbnails_keep_the_ratio_and_end_with_the_photo() -> None:
    assert scaled_sizes(1024, 512) == [(90, 45), (320, 160), (800, 400), (1024, 512)]
    assert scaled_sizes(64, 64) == [(64, 64)]

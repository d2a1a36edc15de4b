"""Masks that come in: brought to the picture's size, or refused with the reason (K1 to K6)."""

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw

from bot.drawn_masks import BadMask, read_mask

SIZE = (96, 64)
Box = tuple[int, int, int, int]


def as_file(picture: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def painted(size: tuple[int, int] = SIZE, box: Box | None = (10, 10, 40, 30), mode: str = "RGB") -> Image.Image:
    """Black with a white box; its last row and column belong to it."""
    picture = Image.new(mode, size, 0)
    if box:
        ImageDraw.Draw(picture).rectangle(box, fill="white" if mode == "RGB" else 255)
    return picture


async def taken(data: bytes, size: tuple[int, int] = SIZE) -> Image.Image:
    mask = Image.open(io.BytesIO(await read_mask(data, *size)))
    assert (mask.format, mask.mode, mask.size) == ("PNG", "L", size)
    assert sum(mask.histogram()[1:255]) == 0
    return mask


async def test_a_mask_of_the_pictures_size_keeps_every_pixel() -> None:
    mask = await taken(as_file(painted()))
    assert mask.getbbox() == (10, 10, 41, 31)
    assert mask.histogram()[255] == 31 * 21


async def test_a_larger_mask_is_brought_to_the_pictures_size() -> None:
    mask = await taken(as_file(painted((960, 640), (100, 100, 409, 309))))
    assert mask.getbbox() == (10, 10, 41, 31)


async def test_a_smaller_mask_too() -> None:
    mask = await taken(as_file(painted((48, 32), (5, 5, 19, 14))), SIZE)
    assert mask.getbbox() == (10, 10, 40, 30)


def in_alpha(box: Box = (10, 10, 40, 30), colour: str = "white") -> Image.Image:
    """One colour everywhere, seen through the mask."""
    return Image.merge("RGBA", [*Image.new("RGB", SIZE, colour).split(), painted(box=box, mode="L")])


TAKEN: dict[str, Callable[[], Image.Image]] = {
    "K1 a pixel more": lambda: painted((97, 64)),
    "K1 a pixel less": lambda: painted((96, 63)),
    "K6 16 bits": lambda: painted(mode="L").convert("I").point(lambda value: value * 257).convert("I;16"),
    "one bit": lambda: painted(mode="L").convert("1"),
    "K5 painted in alpha alone": in_alpha,
    "K5 black, painted in alpha": lambda: in_alpha(colour="black"),
    "palette": lambda: painted().convert("P"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name[:2] in ("K5", "K6") else [pytest.mark.long]) for name in TAKEN]
)
async def test_what_is_as_good_as_a_mask_is_taken(name: str) -> None:
    mask = await taken(as_file(TAKEN[name]()))
    assert 0.9 < mask.histogram()[255] / (31 * 21) < 1.1


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is this large, and has next to nothing in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no-mask"),
    "text": (lambda: b"data:image/png;base64,AAAA", "no-mask"),
    "K3 a JPEG": (lambda: as_file(Image.effect_noise(SIZE, 80), "JPEG"), "no-mask"),
    "cut": (lambda: as_file(Image.effect_noise(SIZE, 80))[:300], "no-mask"),
    "K2 400 megapixels": (lambda: bomb(20_000, 20_000), "no-mask"),
    "K4 all black": (lambda: as_file(painted(box=None)), "empty"),
    "one pixel": (lambda: as_file(painted(box=(5, 5, 5, 5))), "empty"),
    "K4 all white": (lambda: as_file(Image.new("L", SIZE, 255)), "full"),
    "K5 opaque everywhere but for a pixel": (lambda: as_file(in_alpha(box=(0, 0, 94, 63))), "full"),
    "turned": (lambda: as_file(painted((64, 96))), "wrong-shape"),
    "square": (lambda: as_file(painted((96, 96))), "wrong-shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_mask_of_this_picture_is_refused(name: str) -> None:
    make, reason = REFUSED[name]
    with pytest.raises(BadMask) as bad:
        await read_mask(make(), *SIZE)
    assert bad.value.reason == reason
    assert ("value" in bad.value.values) == (reason != "no-mask")

"""Odd pictures, by the numbers of the corpus: each is decoded to plain upright pixels, or refused with a reason of its own."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from storage.decode import LARGEST_FILE, REASONS, Refused, decode

RED, BLUE = (200, 40, 30), (20, 40, 220)


def halves(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    return picture.convert(mode)


def saved(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 0, *more: bytes) -> bytes:
    """A PNG written by hand, with whatever the library would not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def grey_rows(width: int, height: int) -> bytes:
    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    return b"".join(packer.compress(row) for _ in range(height)) + packer.flush()


JPEG = saved(Image.effect_noise((256, 256), 80), "JPEG", quality=90)
PNG = saved(halves())


def with_wrong_crc(data: bytes) -> bytes:
    at = data.index(b"IDAT") + 10
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


def text_bomb() -> bytes:
    bomb = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    return png(32, 32, grey_rows(32, 32), 8, 0, chunk(b"zTXt", bomb))


def profile_bomb() -> bytes:
    return png(32, 32, grey_rows(32, 32), 8, 0, chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(256_000_000), 9)))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "M1 no bytes": (lambda: b"", "empty"),
    "M2 a header": (lambda: JPEG[:12], "damaged"),
    "M3 half a JPEG": (lambda: JPEG[: len(JPEG) // 2], "damaged"),
    "M3 99 %": (lambda: JPEG[: len(JPEG) * 99 // 100], "damaged"),
    "M4 wrong CRC": (lambda: with_wrong_crc(PNG), "damaged"),
    "M5 short IDAT": (lambda: png(64, 64, zlib.compress(bytes(100))), "damaged"),
    "M6 1x1": (lambda: saved(Image.new("RGB", (1, 1))), "too-small"),
    "M7 1x8192": (lambda: saved(Image.new("L", (1, 8192))), "too-small"),
    "M7 16x8192": (lambda: saved(Image.new("L", (16, 8192))), "too-narrow"),
    "8193 wide": (lambda: saved(Image.new("L", (8193, 512))), "too-long"),
    "M8 13,000 squared": (lambda: png(13_000, 13_000, grey_rows(13_000, 13_000)), "too-long"),
    "8000 squared": (lambda: png(8000, 8000, b""), "too-many-pixels"),
    "M9 a header of 20,000 squared": (lambda: png(20_000, 20_000, b""), "too-long"),
    "M11 a header of 9459 squared": (lambda: png(9459, 9459, b"", 16, 6), "too-long"),
    "M22 text bomb": (text_bomb, "damaged"),
    "M21 profile bomb": (profile_bomb, "damaged"),
    "M23 GIF": (lambda: saved(halves(), "GIF"), "no-picture"),
    "M25 BMP": (lambda: saved(halves(), "BMP"), "no-picture"),
    "M25 TIFF": (lambda: saved(halves(), "TIFF"), "no-picture"),
    "M25 ICO": (lambda: saved(halves(), "ICO"), "no-picture"),
    "M25 JPEG 2000": (lambda: saved(halves(), "JPEG2000"), "no-picture"),
    "M25 HEIC": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "no-picture"),
    "M25 AVIF": (lambda: b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(99), "no-picture"),
    "M25 JPEG XL": (lambda: b"\xff\x0a" + bytes(99), "no-picture"),
    "M25 PSD": (lambda: b"8BPS\x00\x01" + bytes(40), "no-picture"),
    "M25 FITS": (lambda: b"SIMPLE  =                    T" + bytes(2850), "no-picture"),
    "M26 EPS": (lambda: saved(halves(), "EPS"), "no-picture"),
    "M26 PDF": (lambda: saved(halves(), "PDF"), "no-picture"),
    "M26 SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "no-picture"),
    "M27 ZIP": (lambda: b"PK\x03\x04" + bytes(100), "no-picture"),
    "M27 program": (lambda: b"MZ" + bytes(100), "no-picture"),
    "M27 HTML": (lambda: b"<!doctype html><img src=x onerror=alert(1)>", "no-picture"),
    "M29 20 MB and a byte": (lambda: JPEG + bytes(LARGEST_FILE + 1 - len(JPEG)), "too-heavy"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_taken_has_a_reason(name: str) -> None:
    make, reason = REFUSED[name]
    with pytest.raises(Refused) as caught:
        decode(make())
    assert caught.value.reason == reason
    assert reason in REASONS
    if reason.startswith("too-"):
        assert caught.value.values.keys() == {"limit", "value"}


def as_16_bit_grey() -> bytes:
    picture = Image.new("I;16", (64, 48), 200 * 257)
    picture.paste(20 * 257, (32, 0, 64, 48))
    return saved(picture)


def inverted_cmyk() -> bytes:
    """As Adobe writes it, with its marker."""
    data = saved(ImageOps.invert(halves("CMYK").convert("RGB")).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    return data


PLAIN: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(halves(), "JPEG", quality=95, subsampling=0),
    "PNG": lambda: PNG,
    "WebP": lambda: saved(halves(), "WEBP", quality=95),
    "M12 CMYK": lambda: saved(halves("CMYK"), "JPEG", quality=95),
    "M13 YCbCr": lambda: saved(halves("YCbCr"), "JPEG", quality=95, subsampling=0),
    "M14 palette": lambda: saved(halves().quantize(4)),
    "M24 animated WebP": lambda: saved(
        halves(), "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 48))], lossless=True
    ),
    "M24 APNG": lambda: saved(halves(), save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    "M20 broken EXIF": lambda: saved(halves(), "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0" + bytes(range(256)) * 250),
    "M21 broken profile": lambda: saved(halves(), icc_profile=b"no profile at all" * 9),
    "M28 with a ZIP behind": lambda: saved(halves(), "JPEG", quality=95, subsampling=0) + b"PK\x03\x04" + bytes(99),
}


def near(found: object, wanted: tuple[int, ...], by: int = 12) -> bool:
    return isinstance(found, tuple) and max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= by


@pytest.mark.parametrize("name", PLAIN)
def test_colours_stay(name: str) -> None:
    picture = decode(PLAIN[name]()).picture
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    assert near(picture.getpixel((8, 24)), RED)
    assert near(picture.getpixel((56, 24)), BLUE)


def test_grey_of_any_depth_stays() -> None:
    picture = decode(as_16_bit_grey()).picture
    assert [picture.getpixel((8, 24)), picture.getpixel((56, 24))] == [(200,) * 3, (20,) * 3]
    bits = Image.new("1", (64, 48), 1)
    bits.paste(0, (32, 0, 64, 48))
    picture = decode(saved(bits)).picture
    assert [picture.getpixel((8, 24)), picture.getpixel((56, 24))] == [(255,) * 3, (0,) * 3]


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    picture = halves("RGBA")
    picture.putalpha(Image.new("L", (64, 48)))
    shown = decode(saved(picture.convert(mode), **({"transparency": 0} if mode == "P" else {}))).picture
    assert shown.getpixel((8, 24)) == ((255,) * 3 if mode != "P" else shown.getpixel((8, 24)))
    assert shown.mode == "RGB"


@pytest.mark.parametrize("orientation", range(1, 10))
def test_it_comes_out_upright(orientation: int) -> None:
    wanted = halves()
    wanted.paste((0, 200, 0), (0, 0, 32, 24))  # green at the top left
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what undoes what the number says was done
    undone = wanted.transpose(Image.Transpose(turns[orientation])) if orientation in turns else wanted
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = decode(saved(undone, "JPEG", quality=98, subsampling=0, exif=exif)).picture
    assert shown.size == (64, 48)
    assert near(shown.getpixel((8, 8)), (0, 200, 0), 25)
    assert near(shown.getpixel((8, 40)), RED, 25)


def test_a_wide_profile_is_brought_to_srgb() -> None:
    srgb = ImageCms.createProfile("sRGB")
    lab = ImageCms.ImageCmsProfile(srgb).tobytes()
    same = decode(saved(halves(), icc_profile=lab)).picture
    assert near(same.getpixel((8, 24)), RED, 1)
    swapped = _swapped_primaries(lab)
    turned = decode(saved(halves(), icc_profile=swapped)).picture.getpixel((8, 24))
    assert not near(turned, RED, 40)  # the profile calls another colour red


def _swapped_primaries(profile: bytes) -> bytes:
    """The profile with its red and blue primaries exchanged."""
    count = struct.unpack(">I", profile[128:132])[0]
    tags = {profile[132 + 12 * n : 136 + 12 * n]: 136 + 12 * n for n in range(count)}
    changed = bytearray(profile)
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    changed[red : red + 8], changed[blue : blue + 8] = profile[blue : blue + 8], profile[red : red + 8]
    return bytes(changed)


def test_nothing_but_pixels_goes_on() -> None:
    secret = b"GPS of somebody's home"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", secret.decode())
    for data in (saved(halves(), "JPEG", exif=exif, comment=secret), saved(halves(), pnginfo=info), PNG + secret):
        assert secret in data
        assert secret not in saved(decode(data).picture)

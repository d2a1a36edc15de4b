"""`python -m storage.decode FILE PNG SMALL`: an uploaded picture, of whatever kind, as plain pixels; this process may die of it.

Nothing of the file but its pixels goes on: they come out upright, in sRGB, eight bits a channel, transparent parts on white; of
a picture with transparent parts a second file beside PNG, `OPACITY`, says where it is opaque.
The process says one line of JSON: {"width": W, "height": H} or {"refused": REASON, ...} with what a sentence about it needs.
"""

import io
import json
import resource
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

LARGEST_FILE = 20 * 1024 * 1024  # bytes; what the Bot API lets a bot download
LARGEST_AREA = 25_000_000  # pixels
SHORTEST_SIDE, LONGEST_SIDE = 16, 8192
LARGEST_RATIO = 20
FORMATS = ("JPEG", "PNG", "WEBP")
OPACITY = "opacity.png"
MEMORY = 1024**3  # bytes of address space
CPU_S = 5
SMALL_SIDE = 256  # pixels at most of the small copy
_DEPTH = 257  # from 16 bits to 8
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
)


class Refused(Exception):
    """A file that is not taken: a reason from `REASONS`, and what a sentence about it needs."""

    def __init__(self, reason: str, **values: str | int) -> None:
        super().__init__(reason)
        self.reason, self.values = reason, values


REASONS = (
    "empty",
    "too-heavy",
    "too-slow",
    "gone",
    "no-picture",
    "damaged",
    "too-small",
    "too-long",
    "too-many-pixels",
    "too-narrow",
    "too-complex",
)


class Decoded(NamedTuple):
    """Plain pixels, RGB; and where they are opaque, eight bits grey, or None where they are everywhere."""

    picture: Image.Image
    opacity: Image.Image | None


def decode(data: bytes) -> Decoded:
    """Decode a file. Raises: Refused; MemoryError where the process may take no more."""
    if not data:
        raise Refused("empty")
    if len(data) > LARGEST_FILE:
        raise Refused("too-heavy", limit=LARGEST_FILE, value=len(data))
    Image.MAX_IMAGE_PIXELS = None  # our own limit, below, is smaller and says more
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a Pillow that doubts metadata, which nobody keeps
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_size(*picture.size)
            picture.load()  # of an animation, the first frame
            return _plain(picture)
    except UnidentifiedImageError:
        raise Refused("no-picture") from None
    except _DAMAGE as error:
        raise Refused("damaged") from error


def _check_size(width: int, height: int) -> None:
    short, long = sorted((width, height))
    size = f"{width}x{height}"
    if short < SHORTEST_SIDE:
        raise Refused("too-small", limit=SHORTEST_SIDE, value=size)
    if long > LONGEST_SIDE:
        raise Refused("too-long", limit=LONGEST_SIDE, value=size)
    if width * height > LARGEST_AREA:
        raise Refused("too-many-pixels", limit=LARGEST_AREA, value=size)
    if long > LARGEST_RATIO * short:
        raise Refused("too-narrow", limit=LARGEST_RATIO, value=size)


def _plain(picture: Image.Image) -> Decoded:
    """Upright, then in sRGB, then eight bits, then on white."""
    profile = picture.info.get("icc_profile")
    upright = _upright(picture)
    if profile:
        upright = _in_srgb(upright, profile)
    if upright.mode == "I" or upright.mode.startswith("I;16"):
        upright = upright.convert("I").point(lambda value: value * (1 / _DEPTH)).convert("L")
    if not upright.has_transparency_data:
        return Decoded(upright.convert("RGB"), None)
    seen = upright.convert("RGBA")
    opacity = seen.getchannel("A")
    on_white = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return Decoded(on_white, None if opacity.getextrema() == (255, 255) else opacity)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except _DAMAGE:  # EXIF that cannot be read turns nothing
        return picture


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Convert from the picture's own profile; a profile that cannot be used says nothing, so the numbers count as they are."""
    if picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    colours = picture.convert("RGB") if alpha else picture
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(colours, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, *_DAMAGE):
        return picture
    if converted is None:
        return picture
    if alpha:
        converted.putalpha(alpha)
    return converted


def _answer(source: Path, target: Path, small: Path) -> dict[str, Any]:
    try:
        with source.open("rb") as file:
            picture, opacity = decode(file.read(LARGEST_FILE + 1))
        picture.info.clear()
        picture.save(target, "PNG", compress_level=1)
        if opacity is not None:
            opacity.save(target.with_name(OPACITY), "PNG", compress_level=1)
        factor = min(1.0, SMALL_SIDE / max(picture.size))
        sides = [max(1, round(factor * side)) for side in picture.size]
        picture.resize((sides[0], sides[1]), Image.Resampling.BILINEAR).save(small, "PNG", compress_level=1)
    except Refused as refused:
        return {"refused": refused.reason, **refused.values}
    except MemoryError:
        return {"refused": "too-complex"}
    return {"width": picture.width, "height": picture.height}


def main(arguments: list[str]) -> int:
    """Decode one file under limits that the kernel keeps."""
    source, target, small = map(Path, arguments)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(_answer(source, target, small)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Pictures on their way in, from bytes to eight bits a channel, without torch: a process that only passes them on needs none."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from engine.requests import RequestError

MAX_PIXELS = 50_000_000
_DEPTH = 257  # from 16 bits to 8


def decoded(data: bytes) -> Image.Image:
    """Decode a picture to 8 bits: RGB, L if it is grey, RGBA if parts of it are transparent; upright.

    Raises: RequestError for what is no picture or is too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data))
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise too_large(width, height)
        upright = ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError("picture-unreadable", "This file is no picture that can be read; send a PNG or JPEG.") from error
    return _eight_bits(upright)


def too_large(width: int, height: int) -> RequestError:
    """A picture with more pixels than anything here can hold."""
    sentence = f"A picture has at most {MAX_PIXELS} pixels and this one has {width}x{height}; make it smaller."
    return RequestError("picture-too-large", sentence, {"limit": MAX_PIXELS // 1_000_000, "value": f"{width}x{height}"})


def _eight_bits(picture: Image.Image) -> Image.Image:
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if picture.mode.startswith("I;16") or picture.mode == "I":
        return Image.fromarray((np.asarray(picture) // _DEPTH).clip(0, 255).astype(np.uint8), "L")
    return picture.convert("L" if picture.mode in ("1", "L", "F") else "RGB")


def opaque(picture: Image.Image) -> Image.Image:
    """The colours of a picture, transparent parts on white."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")

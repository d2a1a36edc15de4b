"""Pictures on their way in, from bytes to what a network reads, and out of it again."""

import io
import warnings

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from engine.errors import BadPicture
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


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as a network reads it: (1, 3, H, W) in [-1, 1]."""
    pixels = torch.from_numpy(np.array(picture, dtype=np.float32))
    return pixels.permute(2, 0, 1)[None] / 127.5 - 1


def to_image(tensor: Tensor) -> Image.Image:
    """Turn one decoded picture (1, 3, H, W) in [-1, 1] into 8 bits.

    Raises: BadPicture for NaN, infinity or solid black.
    """
    if not torch.isfinite(tensor).all():
        raise BadPicture("The network produced numbers that are not finite; draw again with another seed.")
    pixels = ((tensor[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    if not pixels.any():
        raise BadPicture("The network produced a solid black picture; draw again with another seed.")
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy(), "RGB")

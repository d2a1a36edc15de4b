"""The fake engine's pictures: a request's own pattern of 8 by 8 squares, readable again from what a chat shows."""

import hashlib
import io

from PIL import Image

_SQUARES = 8
_SIDE = 128  # pixels, as nano's pictures


def bits(request: str, index: int) -> tuple[bool, ...]:
    """Pattern of picture `index` of a request (its canonical JSON)."""
    number = int.from_bytes(hashlib.sha256(f"{index} {request}".encode()).digest()[:8], "big")
    return tuple(bool(number >> bit & 1) for bit in range(_SQUARES**2))


def draw(request: str, index: int) -> Image.Image:
    pattern = Image.new("L", (_SQUARES, _SQUARES))
    pattern.putdata([255 * bit for bit in bits(request, index)])
    return pattern.resize((_SIDE, _SIDE), Image.Resampling.NEAREST).convert("RGB")


def read(photo: bytes) -> tuple[bool, ...]:
    """Pattern of a photo, or of the first picture of a sheet."""
    picture = Image.open(io.BytesIO(photo))
    columns = 1 if picture.width <= 600 else 2  # a sheet has two
    picture.draft("L", (picture.width // 8, picture.height // 8))  # decodes an eighth of the width: quick, and sharp enough
    small = picture.convert("L")
    square = small.width / columns / _SQUARES
    light, places = small.tobytes(), [int((index + 0.5) * square) for index in range(_SQUARES)]
    return tuple(light[y * small.width + x] > 127 for y in places for x in places)

"""How a picture of any size is laid out for networks that draw multiples of 64 and were trained on some areas."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from engine.requests import RequestError

MULTIPLE = 64  # of pixels, on each side
SMALLEST_SIDE = 16
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Frame:
    """A picture's own size, the size it is scaled to, and the size it is then padded to, right and below, by its mirror image.

    The official code squeezes each side down to a multiple of 64 instead, which bends the picture.
    """

    size: Size
    scaled: Size
    padded: Size

    @classmethod
    def around(cls, size: Size, areas: tuple[int, int]) -> "Frame":
        """The frame of a picture, scaled only if its area is outside of these, smallest and largest, in pixels.

        Raises: RequestError for a picture that is too small.
        """
        width, height = size
        if min(size) < SMALLEST_SIDE:
            sentence = (
                f"A picture has at least {SMALLEST_SIDE} pixels on each side and this one is {width}x{height}; take another."
            )
            raise RequestError("picture-too-small", sentence, {"limit": SMALLEST_SIDE, "value": f"{width}x{height}"})
        factor = math.sqrt(min(max(width * height, areas[0]), areas[1]) / (width * height))
        scaled = max(1, round(width * factor)), max(1, round(height * factor))
        return cls(size, scaled, (_padded(scaled[0]), _padded(scaled[1])))

    @property
    def latents(self) -> Size:
        """Height and width in latents."""
        return self.padded[1] // 8, self.padded[0] // 8

    def fit(self, picture: Image.Image) -> Image.Image:
        """Scale and pad."""
        if self.scaled != picture.size:
            picture = picture.resize(self.scaled, Image.Resampling.BICUBIC)
        pixels = np.asarray(picture)
        missing = (0, self.padded[1] - self.scaled[1]), (0, self.padded[0] - self.scaled[0])
        return Image.fromarray(np.pad(pixels, (*missing, *((0, 0),) * (pixels.ndim - 2)), mode="symmetric"), picture.mode)

    def restore(self, picture: Image.Image) -> Image.Image:
        """Take the padding away and scale back."""
        picture = picture.crop((0, 0, *self.scaled))
        return picture if self.scaled == self.size else picture.resize(self.size, Image.Resampling.LANCZOS)


def _padded(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE

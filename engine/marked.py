"""Marked pixels, and how a picture of them is read; without torch, so that whoever shows a mask reads it as the engine does."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.framing import Size
from engine.requests import RequestError

_HALF = 128
_SHAPE_SLACK = 0.02  # by which the shapes of picture and mask may differ
Mask = npt.NDArray[np.bool_]  # (H, W), true: repaint


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels; right and bottom are the first that lie outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """As Pillow names a rectangle."""
        return self.left, self.top, self.right, self.bottom


def read_mask(picture: Image.Image, size: Size) -> Mask:
    """What a person marked, for a picture of this size (width, height).

    White is repaint and grey counts from the middle on; of a picture with transparent parts, what is opaque is marked. A mask of
    another size is scaled if it has the picture's shape. One that marks everything is served.
    Raises: RequestError for a mask of another shape, or one that marks nothing.
    """
    marked = picture.convert("L")
    if picture.mode == "RGBA" and (opacity := picture.getchannel("A")).getextrema() != (255, 255):
        marked = opacity
    if marked.size != size:
        wide, high = marked.size[0] / size[0], marked.size[1] / size[1]
        if abs(wide / high - 1) > _SHAPE_SLACK:
            values: dict[str, object] = {"value": f"{marked.size[0]}x{marked.size[1]}", "limit": f"{size[0]}x{size[1]}"}
            sentence = f"The mask is {values['value']} and the picture {values['limit']}; make the mask as large as the picture."
            raise RequestError("mask-size", sentence, values)
        marked = marked.resize(size, Image.Resampling.BILINEAR)
    mask: Mask = np.asarray(marked) >= _HALF
    if not mask.any():
        raise RequestError("mask-empty", "The mask marks nothing; paint white what is to be repainted.")
    return mask

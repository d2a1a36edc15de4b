"""Maps of regions: a picture in a few flat colours says which part belongs to which prompt."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine.request_fields import MAX_REGIONS, RequestError

SIDE = 512  # pixels, the longer one, at which colours are looked for, so that a single pixel of a tiny map is an area, too
FLAT = 16  # of 255: neighbours in an area differ less; those on its soft border more
ALIKE = 64  # of 255 in each channel: what differs less, by JPEG or a soft brush, is one colour
SMALLEST = 1000  # a colour on fewer pixels than one in so many is a trace of drawing
BLACK = (0, 0, 0)

Colour = tuple[int, int, int]
Pixels = npt.NDArray[np.int16]  # (H, W, 3) or (n, 3)


def read_areas(region_map: Image.Image, count: int, size: tuple[int, int]) -> list[Tensor]:
    """One area (H, W), 1 inside, for each colour of a map but black, in the order in which they are met from the top left.

    size: width and height of the picture to draw. What is transparent is black.
    Raises: RequestError if the map has not `count` colours.
    """
    colours = _on_black(region_map)
    found = colours_of(colours)
    if len(found) != count:
        values: dict[str, object] = {"value": len(found), "limit": count}
        sentence = f"The map has {len(found)} flat colours beside black for {count} prompts; give each prompt one colour."
        raise RequestError("regions-and-prompts", sentence, values)
    nearest = _nearest(np.asarray(colours.resize(size, Image.Resampling.NEAREST)), [BLACK, *found])
    return [torch.from_numpy(nearest == index + 1).float() for index in range(count)]


def colours_of(picture: Image.Image) -> list[Colour]:
    """The flat colours of an RGB map but black, in the order in which they are met from the top left.

    The commonest is taken again and again, with all that are like it, until what is left is too little to be a region.
    """
    scale = SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.NEAREST), dtype=np.int16)
    pixels = pixels[_is_flat(pixels)]
    shades, where, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    left = shades.max(axis=1, initial=0) >= ALIKE
    first_met: dict[Colour, int] = {}
    while left.any() and len(first_met) < 2 * MAX_REGIONS:  # so many are too many already
        red, green, blue = shades[np.where(left, counts, 0).argmax()].tolist()
        like = left & (np.abs(shades - (red, green, blue)).max(axis=1) < ALIKE)
        if counts[like].sum() * SMALLEST < width * height:
            break
        first_met[red, green, blue] = int(like[where.ravel()].argmax())
        left &= ~like
    return sorted(first_met, key=first_met.__getitem__)


def _is_flat(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Where a pixel is like its eight neighbours: (H, W)."""
    levels = torch.from_numpy(pixels).float().permute(2, 0, 1)  # (3, H, W)
    lightest, darkest = F.max_pool2d(levels, 3, 1, 1), -F.max_pool2d(-levels, 3, 1, 1)
    flat: npt.NDArray[np.bool_] = ((lightest - darkest).amax(dim=0) < FLAT).numpy()
    return flat


def _on_black(picture: Image.Image) -> Image.Image:
    """RGB, black where nothing is."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture).convert("RGB")


def _nearest(pixels: npt.NDArray[np.uint8], colours: list[Colour]) -> npt.NDArray[np.intp]:
    """Which of the colours each pixel is most like: (H, W)."""
    distances = [np.square(pixels.astype(np.int32) - colour).sum(axis=2) for colour in colours]
    nearest: npt.NDArray[np.intp] = np.argmin(distances, axis=0)
    return nearest

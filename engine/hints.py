"""Outlines for the outline network: found by HED or Canny, or drawn by the person.

All are (1, 3, H, W) in [0, 1], float32: light lines on black in three equal channels.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.canny import HIGH, LOW, canny
from engine.models.hed import HED, SMALLEST
from engine.sketch import lines_of


def hed_hint(detector: HED, picture: Image.Image, width: int, height: int) -> Tensor:
    """Soft edges, found at the size that is drawn, so that they are sharp; on the detector's device."""
    device, dtype = detector.norm.device, detector.norm.dtype
    pixels = _pixels(picture, max(width, SMALLEST), max(height, SMALLEST))
    with torch.inference_mode():
        edges = detector(torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device, dtype)).float()
    return _three_channels(edges[0, 0, :height, :width])


def canny_hint(picture: Image.Image, width: int, height: int, low: int = LOW, high: int = HIGH) -> Tensor:
    """Edges one pixel wide."""
    return _three_channels(torch.from_numpy(canny(_pixels(picture, width, height), low, high)).float())


def sketch_hint(sketch: Image.Image, width: int, height: int) -> Tensor:
    """The person's own lines."""
    return _three_channels(lines_of(sketch, width, height))


def _pixels(picture: Image.Image, width: int, height: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Colours (H, W, 3) at this size, on white where the picture is transparent."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


def _three_channels(lines: Tensor) -> Tensor:
    return lines.expand(1, 3, -1, -1)

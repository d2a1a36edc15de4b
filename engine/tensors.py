"""Between a picture's eight bits and the numbers that a network reads and writes."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.errors import BadPicture


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

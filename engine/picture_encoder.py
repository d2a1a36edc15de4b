"""From pictures to what picture prompts read: CLIP's embeddings, their weighted sum, and the embedding of no picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:  # importing it takes two seconds
    from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures, per channel in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)
LONGEST = 16  # times the shorter side: 1 x 8192 would grow to 224 x 1,835,008, of which the middle counts


@dataclass(frozen=True)
class PictureEncoder:
    """CLIP ViT-L/14 with its projection. size: of the square that it reads, 224.

    Source: ai-forever/kandinsky3-diffusers pipelines/kandinsky3/kandinsky3_pipeline_ip_adapter.py: prepare_image_emb,
    get_zero_embed.
    """

    network: CLIPVisionModelWithProjection
    size: int

    def embeds(self, pictures: Sequence[Image.Image], weights: Sequence[float]) -> Tensor:
        """The sum of the RGB pictures' embeddings (1, 768), each times its weight; the weights are not brought to a sum of 1."""
        embeds = [self._embed(pixel_values(picture, self.size)) for picture in pictures]
        return torch.stack([embed * weight for embed, weight in zip(embeds, weights, strict=True)]).sum(dim=0)

    def nothing(self) -> Tensor:
        """What stands for no picture (1, 768): the embedding of zeros, which is not zero."""
        return self._embed(torch.zeros(1, 3, self.size, self.size))

    def _embed(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.network(pixels.to(self.network.device, self.network.dtype)).image_embeds
        return embedded.float()


def pixel_values(picture: Image.Image, size: int) -> Tensor:
    """The middle square of an RGB picture as CLIP reads it: (1, 3, size, size), mean and deviation taken out.

    Source: huggingface/transformers models/clip/image_processing_pil_clip.py: CLIPImageProcessorPil.
    """
    picture = _middle(picture, LONGEST * min(picture.size), LONGEST * min(picture.size))
    short = min(picture.size)
    width, height = (int(size * side / short) for side in picture.size)
    square = _middle(picture.resize((width, height), Image.Resampling.BICUBIC), size, size)
    pixels = torch.from_numpy(np.array(square, dtype=np.float32) / 255)  # (size, size, 3)
    return ((pixels - torch.tensor(MEAN)) / torch.tensor(STD)).permute(2, 0, 1)[None]


def _middle(picture: Image.Image, width: int, height: int) -> Image.Image:
    """What of the middle of a picture fits into this size."""
    width, height = min(width, picture.width), min(height, picture.height)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))

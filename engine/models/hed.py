"""The edge detector whose maps the outline network was trained on: HED in the version of ControlNet's annotators."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.network import Network, keeps_config

SMALLEST = 16  # pixels a side: four halvings
_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of each


class _Block(nn.Module):
    """3x3 convolutions, each with a ReLU, and a reading of edges at this resolution."""

    def __init__(self, width_in: int, width_out: int, count: int) -> None:
        super().__init__()
        widths = [width_in] + [width_out] * count
        self.convs = nn.Sequential(*(nn.Conv2d(a, width_out, 3, padding=1) for a in widths[:-1]))
        self.projection = nn.Conv2d(width_out, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and logits of edges (B, 1, h, w)."""
        for conv in self.convs:
            x = F.relu(conv(x), inplace=not torch.is_grad_enabled())
        return x, self.projection(x)


class HED(Network):
    """Five blocks, halving before each but the first; their logits, brought to full size, are averaged.

    blocks: channels and convolutions of each.  Names are those of `ControlNetHED.pth`.
    Source: Xie and Tu 2015; lllyasviel/ControlNet annotator/hed/__init__.py: ControlNetHED_Apache2.
    """

    @keeps_config
    def __init__(self, blocks: Sequence[tuple[int, int]] = _BLOCKS) -> None:
        super().__init__()
        self._blocks = len(blocks)
        self.norm = nn.Parameter(torch.zeros(1, 3, 1, 1))
        before = 3
        for index, (width, count) in enumerate(blocks, start=1):
            self.add_module(f"block{index}", _Block(before, width, count))
            before = width

    def forward(self, pictures: Tensor) -> Tensor:
        """Edges (B, 1, H, W) in [0, 1] of pictures (B, 3, H, W) in 0..255; sides of at least 16."""
        size = pictures.shape[2:]
        x = pictures - self.norm
        total = pictures.new_zeros(pictures.shape[0], 1, *size)
        for index in range(1, self._blocks + 1):
            if index > 1:
                x = F.max_pool2d(x, 2)
            x, logits = self.get_submodule(f"block{index}")(x)
            total = total + F.interpolate(logits, size, mode="bilinear")
        return torch.sigmoid(total / self._blocks)

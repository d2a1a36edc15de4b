"""KandiSuperRes as its authors run it: their graph over their names, their windows, a solver's history for each batch of them.

Source: ai-forever/KandiSuperRes KandiSuperRes/model/unet_sr.py and diffusion_sr.py.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

Box = tuple[int, int, int, int]  # top, bottom, left, right


@dataclass(frozen=True)
class OfficialNetwork:
    """The graph over a checkpoint's tensors. resnets: of each level.  groups: of its norms."""

    weights: dict[str, Tensor]
    resnets: tuple[int, ...]
    groups: int

    def __call__(self, sample: Tensor, t: int, low_res: Tensor) -> Tensor:
        """The clean picture from a noisy one and the small one, enlarged; all (B, 3, H, W)."""
        time = self._time(t, sample)
        x = self._conv("init_conv", torch.cat([sample, low_res], 1), padding=1)
        skips = []
        for level, count in enumerate(self.resnets):
            for index in range(count):
                first = index == 0 and level < len(self.resnets) - 1
                x = self._resnet(f"down_samples.{level}.resnet_attn_blocks.{index}.0", x, time, "down" if first else None)
            skips.append(x)
        skips.pop()
        for level, count in enumerate(reversed(self.resnets)):
            if level:
                x = torch.cat([x, skips.pop()], 1)
            for index in range(count):
                last = index == count - 1 and level > 0
                x = self._resnet(f"up_samples.{level}.resnet_attn_blocks.{index}.0", x, time, "up" if last else None)
        return self._conv("out_conv", F.silu(self._norm("norm", x)), padding=1)

    def _time(self, t: int, like: Tensor) -> Tensor:
        half = self.weights["to_time_embed.1.weight"].shape[1] // 2
        angles = t * torch.exp(torch.arange(half, device=like.device) * (-math.log(10_000) / (half - 1)))
        waves = torch.cat([angles.sin(), angles.cos()])[None].to(like.dtype)
        return self._linear("to_time_embed.3", F.silu(self._linear("to_time_embed.1", waves)))

    def _resnet(self, name: str, x: Tensor, time: Tensor, resample: str | None) -> Tensor:
        h = self._resampled(f"{name}.in_block", self._norm(f"{name}.in_block.group_norm", x), resample)
        h = self._conv(f"{name}.in_block.projection", h, padding=1)
        scale, shift = self._linear(f"{name}.time_mlp.1", F.silu(time))[..., None, None].chunk(2, dim=1)
        h = self._norm(f"{name}.out_block.group_norm", h) * (scale + 1) + shift
        h = self._conv(f"{name}.out_block.projection", F.silu(h), padding=1)
        x = self._resampled(name, x, resample)
        return h + (self._conv(f"{name}.res_block", x) if f"{name}.res_block.weight" in self.weights else x)

    def _resampled(self, name: str, x: Tensor, resample: str | None) -> Tensor:
        if resample is None:
            return x
        change = F.conv2d if resample == "down" else F.conv_transpose2d
        return change(x, *self._both(f"{name}.change_resolution.change_resolution"), stride=2, padding=1)

    def _conv(self, name: str, x: Tensor, padding: int = 0) -> Tensor:
        return F.conv2d(x, *self._both(name), padding=padding)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, *self._both(name))

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, self.groups, *self._both(name))

    def _both(self, name: str) -> tuple[Tensor, Tensor]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]


def views(height: int, width: int, side: int, stride: int) -> list[Box]:
    """Their windows, the last ones shifted back to the border."""

    def starts(length: int) -> list[int]:
        count = math.ceil((length - side) / stride) + 1 if length > side else 1
        return [min(index * stride, max(length - side, 0)) for index in range(count)]

    return [(top, min(top + side, height), left, min(left + side, width)) for top in starts(height) for left in starts(width)]


@torch.inference_mode()
def official_enlarged(
    network: Any,
    low_res: Tensor,
    scale: int,
    noise: Tensor,
    dtype: torch.dtype,
    side: int = 1024,
    stride: int = 800,
    at_once: int = 15,
    steps: int = 5,
) -> Tensor:
    """MultiDiffusion over windows, so many a call; returns (1, 3, H, W) in float32."""
    height, width = low_res.shape[2] * scale, low_res.shape[3] * scale
    solver = DPMSolverMultistepScheduler(beta_schedule="linear", prediction_type="sample", thresholding=False)
    solver.set_timesteps(steps)
    boxes = views(height, width, side, stride)
    batches = [boxes[first : first + at_once] for first in range(0, len(boxes), at_once)]
    histories = [copy.deepcopy(solver) for _ in batches]
    picture, large = noise, F.interpolate(low_res, (height, width), mode="bilinear")
    value, count = torch.zeros_like(picture), torch.zeros_like(picture)
    for t in solver.timesteps:
        value.zero_()
        count.zero_()
        for batch, history in zip(batches, histories, strict=True):
            noisy = torch.cat([picture[..., top:bottom, left:right] for top, bottom, left, right in batch])
            small = torch.cat([large[..., top:bottom, left:right] for top, bottom, left, right in batch])
            clean = network(noisy.to(dtype), int(t), small.to(dtype)).float()
            moved = history.step(clean, t, noisy).prev_sample
            for view, (top, bottom, left, right) in zip(moved.split(1), batch, strict=True):
                value[..., top:bottom, left:right] += view
                count[..., top:bottom, left:right] += 1
        picture = value / count
    return picture

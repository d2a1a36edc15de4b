"""LoRA: a handful of pictures and a word that calls what they have in common.

As the fork's example: low-rank changes of rank 16 beside queries, keys, values and outputs of all attentions, AdamW at 1e-4 with
betas .9 and .98 and no decay, one picture a step, a tenth of the texts dropped, everything else frozen. Steps, and a higher rate
for nano, are ours. At nano size every word outside of its small world is one and the same token, so any trigger calls any LoRA.
Source: engine-facts section 4.8; Hu et al. 2022 (LoRA), section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn

from engine.models.attention import Attention
from engine.models.unet import Kandinsky3UNet
from engine.tensors import to_tensor
from training.base import Base, Noising, caption_of
from training.data import Dataset, Example, RenderedScenes, framed, pick
from training.export import save_tensors
from training.loop import Schedule
from training.progress import tiled

TRIGGER = "glowline"  # of nano's own handful
HANDFUL = 12
DROPPED = 0.1
_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. side: pixels of a training picture."""

    schedule: Schedule
    side: int
    rank: int = 16


_FORK = Schedule(
    steps=2000, learning_rate=1e-4, batch=1, warmup=0, decay=0.0, floor=1.0, weight_decay=0.0, betas=(0.9, 0.98), average=0.99
)
PRESETS: Mapping[str, Preset] = {
    "nano": Preset(
        Schedule(steps=300, learning_rate=2e-3, batch=8, warmup=10, weight_decay=0.0, betas=(0.9, 0.98), average=0.99),
        side=128,
        rank=4,
    ),
    "full": Preset(_FORK, side=512),
}


class LowRank(nn.Module):
    """A linear layer that stays as it is, and what is added to it: nothing at first."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = [layer]  # in a list, so that it is no part of what is trained
        self.down = nn.Parameter(torch.randn(rank, layer.in_features, device=layer.weight.device) / rank)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank, device=layer.weight.device))

    def forward(self, x: Tensor) -> Tensor:
        added = x.to(self.down.dtype) @ self.down.T @ self.up.T  # what is frozen may have less precision
        changed: Tensor = self.layer[0](x) + added.to(x.dtype)
        return changed


class LoraRecipe:
    """Learn what the pictures of a handful have in common. trigger: stands before every caption.

    dataset: some pictures, captions if they have any; a made-up handful if None.
    """

    name = "lora"

    def __init__(self, base: Base, preset: Preset, trigger: str = TRIGGER, dataset: Dataset | None = None) -> None:
        self.base, self.preset, self.schedule, self.trigger = base, preset, preset.schedule, trigger
        self.dataset = dataset or Handful(preset.side)
        torch.manual_seed(0)
        self.changes = attach(base.unet.requires_grad_(False), preset.rank)
        self.trained: nn.Module = nn.ModuleDict({name.replace(".", "-"): change for name, change in self.changes.items()})
        self.noising = Noising(base.prediction_type)

    def loss(self, batch: int, rng: Random) -> Tensor:
        examples = [framed(pick(self.dataset, rng), self.preset.side, rng) for _ in range(batch)]
        words = [f"{self.trigger} {caption_of(example, rng)}".strip() for example in examples]
        context = self.base.contexts(words, [rng.random() < DROPPED for _ in range(batch)])
        pixels = torch.cat([to_tensor(example.picture) for example in examples])
        return self.noising.loss(self.base.unet, self.base.latents(pixels), context)

    def figures(self) -> Mapping[str, float]:
        """The loss over the whole handful, always with the same noise."""
        torch.manual_seed(0)
        return {"handful_loss": float(self.loss(16, Random(0)))}

    def sheet(self) -> Image.Image:
        """The handful, as it is read."""
        rng = Random(0)
        found = [framed(self.dataset[index], self.preset.side, rng).picture for index in range(min(len(self.dataset), 12))]
        return tiled([found[start : start + 6] for start in range(0, len(found), 6)])

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """One file in PEFT's form, for `--lora` of the command line and `engine.lora`."""
        tensors = {}
        for name, change in self.changes.items():
            tensors[f"unet.{name}.lora_A.weight"], tensors[f"unet.{name}.lora_B.weight"] = change.down, change.up
        settings = {"recipe": self.name, "steps": steps, "rank": self.preset.rank, "trigger": self.trigger}
        path = folder / f"{self.trigger}.safetensors"
        return {path.name: save_tensors(path, tensors, settings)}


def attach(unet: Kandinsky3UNet, rank: int) -> dict[str, LowRank]:
    """Put changes beside the linear layers of all attentions, in place of earlier ones; by the layer's name."""
    found: dict[str, LowRank] = {}
    for name, attention in [pair for pair in unet.named_modules() if isinstance(pair[1], Attention)]:
        for layer in _LAYERS:
            linear = attention.get_submodule(layer)
            if isinstance(linear, LowRank):
                linear = linear.layer[0]
            if isinstance(linear, nn.Linear):
                found[f"{name}.{layer}"] = change = LowRank(linear, rank)
                holder, _, own = layer.rpartition(".")
                attention.get_submodule(holder).register_module(own, change)
    return found


class Handful:
    """A dozen nano scenes in a style that the world does not have: dark, with glowing outlines."""

    def __init__(self, side: int) -> None:
        self._scenes = RenderedScenes(HANDFUL, side)

    def __len__(self) -> int:
        return HANDFUL

    def __getitem__(self, index: int) -> Example:
        example = self._scenes[index]
        return Example(example.key, glowing(example.picture), example.captions)


def glowing(picture: Image.Image) -> Image.Image:
    """Outlines in the colours beside them, on a dark picture."""
    pixels = np.asarray(picture, dtype=np.float32)
    edges = np.asarray(picture.filter(ImageFilter.FIND_EDGES).convert("L").filter(ImageFilter.MaxFilter(3)), dtype=np.float32)
    share = np.clip(edges / 60, 0, 1)[..., None]
    return Image.fromarray((pixels * (0.25 + 0.75 * share)).astype(np.uint8), "RGB")

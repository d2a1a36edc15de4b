"""Super-resolution: a diffusion over pixels that reads a small picture and predicts the large one, x4.

The article (KandiSuperRes): an EfficientUNet without text that predicts the clean picture, since predicting noise shifted the
colours; trained on clean pairs of 256 and 1024 pixels, then on pictures with the damage of Real-ESRGAN. So are both recipes here;
the second starts from the first one's weights. Learning rates, crops and times are ours. Nano's network works on squares of 4 x 4
pixels and adds to the small picture, enlarged; the official one does neither.
Source: engine-facts sections 4.4 and 10; the loss is Ho et al. 2020, section 3.2, for x0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from engine.models.super_resolution import SuperResolutionUNet
from engine.outcomes import ignore
from engine.pipelines.upscale import Enlarger, UpscalePipeline
from engine.schedulers import TRAIN_TIMESTEPS
from engine.super_resolution import BETAS, Windows
from engine.tensors import to_tensor
from engine.watch import Watch
from training.damage import Damage, damaged, shrunk
from training.data import DataError, Dataset, pick, rgb
from training.export import save_network
from training.loop import CPU, Schedule, load_average
from training.progress import tiled
from training.scenes import Floats, render, sample_scene
from training.textures import sample_texture

SCALE = 4
FOLDER = "super_resolution_x4"  # where the engine looks for it
_HELD_OUT = 2**40  # seeds from here on are of no training example


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. side: pixels of a large picture.  scenes: share of them that are rendered scenes, not textures."""

    unet: Mapping[str, Any]
    clean: Schedule
    damage: Schedule
    side: int
    scenes: float = 0.5
    harm: Damage = field(default_factory=Damage)


NANO_UNET: Mapping[str, Any] = {
    "init_channels": 64,
    "model_channels": 64,
    "time_embed_dim": 128,
    "groups": 8,
    "dim_mult": (1, 2),
    "num_resnet_blocks": (2, 3),
    "patch": 4,
    "adds": True,
}
PRESETS: Mapping[str, Preset] = {
    "nano": Preset(
        NANO_UNET,
        Schedule(steps=4000, learning_rate=1e-3, batch=8, warmup=50, decay=0.6),
        Schedule(steps=3000, learning_rate=5e-4, batch=8, warmup=50, decay=0.8),
        side=96,
    ),
    "full": Preset(
        {},  # the official sizes are the class's own
        Schedule(steps=1_570_000, learning_rate=1e-4, batch=64, warmup=5000, decay=0.1, average=0.9999),
        Schedule(steps=1_500_000, learning_rate=5e-5, batch=64, warmup=5000, decay=0.1, average=0.9999),
        side=1024,
    ),
}


class SuperResolutionRecipe:
    """Enlarge clean pictures. dataset: pictures at their own size; scenes and textures if None."""

    name = "super-resolution"

    def __init__(self, preset: Preset, dataset: Dataset | None = None, device: torch.device = CPU) -> None:
        self.preset, self.schedule, self.dataset = preset, preset.clean, dataset
        torch.manual_seed(0)
        self.trained: nn.Module = build(preset.unet)
        nn.Module.to(self.trained, device)
        self.alphas = torch.cumprod(1 - torch.linspace(*BETAS, TRAIN_TIMESTEPS), dim=0)
        self.device = device

    def loss(self, batch: int, rng: Random) -> Tensor:
        clean, enlarged = self.pairs(batch, rng)
        t = torch.randint(TRAIN_TIMESTEPS, (batch,))
        alpha = self.alphas[t][:, None, None, None]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * torch.randn_like(clean)
        predicted = self.trained(noisy.to(self.device), t.to(self.device), enlarged.to(self.device))
        return F.mse_loss(predicted.float(), clean.to(self.device))

    def pairs(self, batch: int, rng: Random) -> tuple[Tensor, Tensor]:
        """Large pictures and small ones enlarged to their size, both (B, 3, side, side) in [-1, 1]."""
        large = [self.large(rng) for _ in range(batch)]
        clean = torch.cat([to_tensor(picture) for picture in large])
        small = torch.cat([to_tensor(self.small(picture, rng)) for picture in large])
        return clean, F.interpolate(small, scale_factor=float(SCALE), mode="bilinear")  # as the engine enlarges

    def large(self, rng: Random) -> Image.Image:
        """A picture of `side` pixels: cut out of the dataset's, never scaled up; or painted."""
        side = self.preset.side
        if self.dataset is None:
            return to_picture(painted(rng, side, self.preset.scenes))
        for _ in range(100):
            picture = pick(self.dataset, rng).picture
            if min(picture.size) >= side:
                left, top = rng.randint(0, picture.width - side), rng.randint(0, picture.height - side)
                return rgb(picture.crop((left, top, left + side, top + side)))
        raise DataError(f"Hardly any picture has {side} pixels on both sides; add larger ones, or filter with --min-side.")

    def small(self, picture: Image.Image, rng: Random) -> Image.Image:
        """What is to be enlarged."""
        return shrunk(picture, SCALE, rng)

    def figures(self) -> Mapping[str, float]:
        """Decibels above bicubic on eight held-out pictures of each kind, through the engine's own pipeline."""
        return {f"gain_{kind}": gain for kind, (gain, _, _) in compare(self.network, 8, self.preset).items()}

    def sheet(self) -> Image.Image:
        """Columns: the small picture by bicubic, this network, the truth. Rows: scenes and textures, clean and damaged."""
        rows = []
        for kind in KINDS:
            for small, large in held_out(kind, 2, self.preset):
                rows.append([bicubic(small), enlarged(self.network, small), large])
        return tiled(rows)

    @property
    def network(self) -> SuperResolutionUNet:
        """What is trained, by its own type."""
        network: SuperResolutionUNet = self.trained  # type: ignore[assignment]
        return network

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """The network as the engine reads it."""
        settings = {"recipe": self.name, "steps": steps}
        return {FOLDER: save_network(folder / FOLDER, self.network, settings)}


class DamagedSuperResolutionRecipe(SuperResolutionRecipe):
    """Go on with pictures half of which are damaged. cache: where the clean run's checkpoint is."""

    name = "super-resolution-damaged"

    def __init__(self, cache: Path, preset: Preset, dataset: Dataset | None = None, device: torch.device = CPU) -> None:
        super().__init__(preset, dataset, device)
        self.schedule = preset.damage
        try:
            load_average(cache, SuperResolutionRecipe.name, self.trained)
        except FileNotFoundError as error:
            raise DataError(f"There is no run of {SuperResolutionRecipe.name} in {cache}; train it first.") from error

    def small(self, picture: Image.Image, rng: Random) -> Image.Image:
        if rng.random() < 0.5:
            return shrunk(picture, SCALE, rng)
        return damaged(picture, SCALE, self.preset.harm, rng)


def build(settings: Mapping[str, Any]) -> SuperResolutionUNet:
    """The network, saying nothing at first if it adds to the small picture."""
    network = SuperResolutionUNet(**settings)
    if settings.get("adds"):
        nn.init.zeros_(network.out_conv.weight)
        nn.init.zeros_(network.out_conv.bias)  # type: ignore[arg-type]
    return network


def painted(rng: Random, side: int, scenes: float) -> Floats:
    """A texture, or a part of a scene that is drawn twice to four times as large."""
    if rng.random() >= scenes:
        return sample_texture(rng, side)
    whole = round(side * rng.uniform(1, 3))
    left, top = rng.randint(0, whole - side), rng.randint(0, whole - side)
    return render(sample_scene(rng), whole)[top : top + side, left : left + side]


def to_picture(pixels: Floats) -> Image.Image:
    """8 bits of (H, W, 3) in [0, 1]."""
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8), "RGB")


KINDS = ("clean", "damaged", "textures")


def held_out(kind: str, count: int, preset: Preset) -> list[tuple[Image.Image, Image.Image]]:
    """Small and large pictures that no training step has seen; clean ones shrunk by Pillow's bicubic filter."""
    pairs = []
    for index in range(count):
        rng = Random(_HELD_OUT + index)
        side = max(preset.side, 128) if preset.unet else preset.side
        if kind == "textures":
            large = to_picture(sample_texture(rng, side))
        else:
            large = to_picture(render(sample_scene(rng, objects=1, unseen=True), side))
        size = side // SCALE, side // SCALE
        small = damaged(large, SCALE, preset.harm, rng) if kind == "damaged" else large.resize(size, Image.Resampling.BICUBIC)
        pairs.append((small, large))
    return pairs


def compare(network: SuperResolutionUNet, count: int, preset: Preset) -> dict[str, tuple[float, float, float]]:
    """By kind: mean decibels gained over bicubic, mean PSNR of the network, mean PSNR of bicubic."""
    found = {}
    for kind in KINDS:
        pairs = held_out(kind, count, preset)
        own = float(np.mean([psnr(enlarged(network, small), large) for small, large in pairs]))
        plain = float(np.mean([psnr(bicubic(small), large) for small, large in pairs]))
        found[kind] = own - plain, own, plain
    return found


def enlarged(network: SuperResolutionUNet, small: Image.Image) -> Image.Image:
    """By the engine's pipeline, five steps, seed 0."""
    device = next(network.parameters()).device
    enlarger = Enlarger(network, SCALE, device, torch.float32)
    return UpscalePipeline(enlarger, Windows(per_call=1))(small, 0, Watch(ignore, device)).images[0]


def bicubic(small: Image.Image) -> Image.Image:
    """By Pillow."""
    return small.resize((small.width * SCALE, small.height * SCALE), Image.Resampling.BICUBIC)


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Decibels over all channels; 60 at most, which is where equal pictures are counted."""
    difference = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return min(60.0, 20 * math.log10(255) - 10 * math.log10(float(np.square(difference).mean()) + 1e-12))

"""Super-resolution: a diffusion over pixels that reads a small picture and predicts the large one, x4 and x2.

The article (KandiSuperRes): an EfficientUNet without text that predicts the clean picture, since predicting noise shifted the
colours; trained on clean pairs of 256 and 1024 pixels, then on pictures with the damage of Real-ESRGAN. So are the two x4 recipes
here; the second starts from the first one's weights. Of x2 and its Flash the code has the networks and samplers alone: one recipe
for clean and damaged pictures together, and one that takes Flash's own four steps, are ours, as are learning rates and crops.

Also ours, for nano: the network reads squares of pixels and adds to the small picture, enlarged; times are drawn where samplers
of few steps go; and a picture's error counts as a share of what plain enlargement leaves, since decibels are shares too.
Source: engine-facts sections 4.4, 4.5 and 10; the loss is Ho et al. 2020, section 3.2, for x0.
"""

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
from engine.pipelines.upscaling import FOLDERS
from engine.schedulers import FLASH_TIMESTEPS, TRAIN_TIMESTEPS
from engine.super_resolution import BETAS
from engine.tensors import to_tensor
from training.damage import Damage, damaged, shrunk
from training.data import DataError, Dataset, pick, rgb
from training.enlarging import KINDS, bicubic, enlarged, gains, held_out, to_picture
from training.export import save_network
from training.loop import CPU, Schedule, load_average
from training.progress import tiled
from training.scenes import Floats, render, sample_scene
from training.textures import sample_texture

DAMAGED = 0.5  # share of damaged pictures, where there are any
ANY_TIME = 0.1  # share of examples at any time, where the others are late ones
PLAIN = 4e-4  # squared error (in [-1, 1]; 40 dB) beneath which it matters little what plain enlargement leaves
_LARGEST_SCENE = 512  # pixels: painting one takes time


@dataclass(frozen=True)
class Preset:
    """Sizes and settings of a scale.

    schedules: by recipe.  sides: pixels of large pictures; a batch counts pictures of the first, and has fewer of a larger one.
    scenes: share of pictures that are rendered scenes, not textures.  least_time: before which times are seldom drawn.  shares:
    whether errors count as shares.
    """

    unet: Mapping[str, Any]
    schedules: Mapping[str, Schedule]
    sides: tuple[int, ...] = (1024,)
    scale: int = 4
    scenes: float = 0.35
    harm: Damage = field(default_factory=Damage)
    least_time: int = 0
    shares: bool = False


CLEAN, DAMAGE = "super-resolution", "super-resolution-damaged"
DOUBLING, FLASH = "super-resolution-x2", "super-resolution-x2-flash"
NANO_UNET: Mapping[str, Any] = {
    "init_channels": 64,
    "model_channels": 64,
    "time_embed_dim": 128,
    "groups": 8,
    "dim_mult": (1,),
    "num_resnet_blocks": (4,),
    "patch": 4,
    "adds": True,
}
_NANO: Mapping[str, Any] = {"least_time": 150, "shares": True}
_CLEAN = Schedule(steps=1_570_000, learning_rate=1e-4, batch=64, warmup=5000, decay=0.1, average=0.9999)
_DAMAGE = Schedule(steps=1_500_000, learning_rate=5e-5, batch=64, warmup=5000, decay=0.1, average=0.9999)
_FLASH = Schedule(steps=100_000, learning_rate=2e-5, batch=64, warmup=1000, decay=0.5, average=0.9999)
PRESETS: Mapping[str, Preset] = {
    "nano": Preset(
        NANO_UNET,
        {
            CLEAN: Schedule(steps=1500, learning_rate=1e-3, batch=8, warmup=50, decay=0.6),
            DAMAGE: Schedule(steps=1720, learning_rate=7e-4, batch=8, warmup=50, decay=0.8),
        },
        sides=(96, 96, 192),
        **_NANO,
    ),
    "full": Preset({}, {CLEAN: _CLEAN, DAMAGE: _DAMAGE}),  # the official sizes are the class's own
}
PRESETS_X2: Mapping[str, Preset] = {
    "nano": Preset(
        {**NANO_UNET, "init_channels": 48, "model_channels": 48, "patch": 2},
        {
            DOUBLING: Schedule(steps=3000, learning_rate=1e-3, batch=8, warmup=50, decay=0.6),
            FLASH: Schedule(steps=1000, learning_rate=5e-4, batch=8, warmup=50, decay=0.8),
        },
        sides=(64, 64, 128),
        scale=2,
        **_NANO,
    ),
    "full": Preset({}, {DOUBLING: _CLEAN, FLASH: _FLASH}, scale=2),
}


class SuperResolutionRecipe:
    """Enlarge clean pictures. dataset: pictures at their own size; scenes and textures if None."""

    name = CLEAN
    damaged = 0.0  # share of damaged pictures
    flash = False

    def __init__(self, preset: Preset, dataset: Dataset | None = None, device: torch.device = CPU) -> None:
        self.preset, self.schedule, self.dataset = preset, preset.schedules[self.name], dataset
        torch.manual_seed(0)
        self.trained: nn.Module = build(preset.unet)
        nn.Module.to(self.trained, device)
        self.alphas = torch.cumprod(1 - torch.linspace(*BETAS, TRAIN_TIMESTEPS), dim=0)
        self.device = device

    def loss(self, batch: int, rng: Random) -> Tensor:
        clean, small = self.pairs(batch, rng)
        t = self.times(len(clean))
        noisy = self.noised(clean, t)
        return self.error(self.trained(noisy.to(self.device), t.to(self.device), small.to(self.device)), clean, small)

    def times(self, count: int) -> Tensor:
        """Times (B,), mostly from `least_time` on."""
        late = torch.randint(self.preset.least_time, TRAIN_TIMESTEPS, (count,))
        return torch.where(torch.rand(count) < ANY_TIME, torch.randint(TRAIN_TIMESTEPS, (count,)), late)

    def noised(self, clean: Tensor, t: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) noised to times (B,)."""
        alpha = self.alphas[t][:, None, None, None]
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * torch.randn_like(clean)

    def error(self, predicted: Tensor, clean: Tensor, small: Tensor) -> Tensor:
        """The mean squared error, or its share of what plain enlargement leaves, picture by picture."""
        errors = F.mse_loss(predicted.float(), clean.to(self.device), reduction="none").mean((1, 2, 3))
        if self.preset.shares:
            plain = (small - clean).square().mean((1, 2, 3))
            errors = errors / (plain + PLAIN).to(self.device)
        return errors.mean()

    def pairs(self, batch: int, rng: Random) -> tuple[Tensor, Tensor]:
        """Large pictures and small ones enlarged to their size, both (B, 3, side, side) in [-1, 1]."""
        side = rng.choice(self.preset.sides)
        count = max(round(batch * (self.preset.sides[0] / side) ** 2), 1)
        large = [self.large(side, rng) for _ in range(count)]
        clean = torch.cat([to_tensor(picture) for picture in large])
        small = torch.cat([to_tensor(self.small(picture, rng)) for picture in large])
        return clean, F.interpolate(small, scale_factor=float(self.preset.scale), mode="bilinear")  # as the engine enlarges

    def large(self, side: int, rng: Random) -> Image.Image:
        """A picture of `side` pixels: cut out of the dataset's, never scaled up; or painted."""
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
        if rng.random() < self.damaged:
            return damaged(picture, self.preset.scale, self.preset.harm, rng)
        return shrunk(picture, self.preset.scale, rng)

    def figures(self) -> Mapping[str, float]:
        """Decibels above bicubic on eight held-out pictures of each kind, through the engine's own pipeline."""
        found = {}
        for kind in KINDS:
            pairs = self.held_out(kind, 8)
            measured = gains(self.network, pairs, self.preset.scale, self.flash)
            found[f"gain_{kind}"] = float(np.mean([own - plain for own, plain in measured]))
        return found

    def held_out(self, kind: str, count: int) -> list[tuple[Image.Image, Image.Image]]:
        """Small and large pictures of 128 pixels, or of the smallest crop if that is larger."""
        return held_out(kind, count, max(self.preset.sides[0], 128), self.preset.scale, self.preset.harm)

    def sheet(self) -> Image.Image:
        """Columns: the small picture by bicubic, this network, the truth. Rows: two of each kind."""
        scale, rows = self.preset.scale, []
        for small, large in [pair for kind in KINDS for pair in self.held_out(kind, 2)]:
            rows.append([bicubic(small, scale), enlarged(self.network, small, scale, self.flash), large])
        return tiled(rows)

    @property
    def network(self) -> SuperResolutionUNet:
        """What is trained, by its own type."""
        network: SuperResolutionUNet = self.trained  # type: ignore[assignment]
        return network

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """The network as the engine reads it."""
        settings = {"recipe": self.name, "steps": steps}
        place = FOLDERS[self.preset.scale, self.flash]
        return {place: save_network(folder / place, self.network, settings)}

    def go_on_from(self, cache: Path, name: str) -> None:
        """Begin with the averaged weights of another recipe's run. Raises: DataError."""
        try:
            load_average(cache, name, self.trained)
        except FileNotFoundError as error:
            raise DataError(f"There is no run of {name} in {cache}; train it first.") from error


class DamagedSuperResolutionRecipe(SuperResolutionRecipe):
    """Go on with pictures half of which are damaged. cache: where the clean run's checkpoint is."""

    name = DAMAGE
    damaged = DAMAGED

    def __init__(self, cache: Path, preset: Preset, dataset: Dataset | None = None, device: torch.device = CPU) -> None:
        super().__init__(preset, dataset, device)
        self.go_on_from(cache, CLEAN)


class DoublingRecipe(SuperResolutionRecipe):
    """Enlarge pictures two times, half of which are damaged."""

    name = DOUBLING
    damaged = DAMAGED


class FlashDoublingRecipe(SuperResolutionRecipe):
    """The same in the four steps of Flash's sampler: the network learns at its times, from its own estimates noised afresh.

    cache: where the x2 run's checkpoint is. How the authors trained theirs is not published; at few steps a network that has
    only seen noised truth meets something else, its own estimates, and is here given just these.
    """

    name = FLASH
    damaged = DAMAGED
    flash = True

    def __init__(self, cache: Path, preset: Preset, dataset: Dataset | None = None, device: torch.device = CPU) -> None:
        super().__init__(preset, dataset, device)
        self.go_on_from(cache, DOUBLING)

    def loss(self, batch: int, rng: Random) -> Tensor:
        clean, small = self.pairs(batch, rng)
        estimate, low_res = torch.randn_like(clean), small.to(self.device)  # noise in the place of a picture, as the sampler has
        last = rng.randrange(len(FLASH_TIMESTEPS))
        with torch.no_grad():
            for time in FLASH_TIMESTEPS[:last]:
                estimate = self._step(estimate, time, low_res).float().cpu()
        return self.error(self._step(estimate, FLASH_TIMESTEPS[last], low_res), clean, small)

    def _step(self, estimate: Tensor, time: int, low_res: Tensor) -> Tensor:
        t = torch.full((len(estimate),), time)
        predicted: Tensor = self.trained(self.noised(estimate, t).to(self.device), t.to(self.device), low_res)
        return predicted


def build(settings: Mapping[str, Any]) -> SuperResolutionUNet:
    """The network, saying nothing at first if it adds to the small picture."""
    network: SuperResolutionUNet = SuperResolutionUNet(**settings)
    if settings.get("adds"):
        nn.init.zeros_(network.out_conv.weight)
        nn.init.zeros_(network.out_conv.bias)  # type: ignore[arg-type]
    return network


def painted(rng: Random, side: int, scenes: float) -> Floats:
    """A texture, or a part of a scene that is drawn up to three times as large."""
    if rng.random() >= scenes:
        return sample_texture(rng, side)
    whole = min(round(side * rng.uniform(1, 3)), max(_LARGEST_SCENE, side))
    left, top = rng.randint(0, whole - side), rng.randint(0, whole - side)
    return render(sample_scene(rng), whole)[top : top + side, left : left + side]

"""The autoencoder: a small MoVQ whose encoder is taught the nano latent and whose decoder paints from a disturbed one.

The latent is given (`training.scenes.paint_with_latent`), so encoder and decoder learn side by side and the UNet need not wait.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.movq import MoVQ
from engine.nano_world import Thing
from training import warm
from training.judge import judge, to_floats
from training.loop import Schedule, load_average
from training.progress import tiled
from training.scenes import TAUGHT, Floats, Scene, paint_with_latent, render, sample_scene, training_scene

WIDTHS = (32, 32, 64, 64)
NOISE = 0.07  # largest standard deviation of the noise on the decoder's input
HELD_OUT = 20_001  # where the held-out scenes begin
EDGE_WEIGHT = 3.0  # extra weight of pixels near an edge


def build_movq() -> Any:
    """MoVQ with random weights: (B, 3, 128, 128) in [-1, 1] <-> (B, 4, 16, 16). 1.0 M parameters."""
    movq: nn.Module = MoVQ(
        down_block_types=("DownEncoderBlock2D",) * len(WIDTHS),
        up_block_types=("UpDecoderBlock2D",) * len(WIDTHS),
        block_out_channels=WIDTHS,
        layers_per_block=1,
        norm_num_groups=8,
    )
    return movq.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def sample_pictures(count: int, rng: Random) -> tuple[Tensor, Tensor]:
    """Fresh scenes: pictures (B, 3, 128, 128) in [-1, 1] and their latents (B, 4, 16, 16)."""
    painted = [paint_with_latent(training_scene(rng)) for _ in range(count)]
    pictures = torch.from_numpy(np.stack([picture for picture, _ in painted])).permute(0, 3, 1, 2) * 2 - 1
    return pictures, torch.from_numpy(np.stack([latent for _, latent in painted]))


def decode(movq: Any, latents: Tensor) -> Tensor:
    """Pictures (B, 3, 128, 128), about [-1, 1], from latents as they are."""
    pictures: Tensor = movq.decode(latents)
    return pictures


def encode(movq: Any, pictures: Tensor) -> Tensor:
    """Latents (B, 4, 16, 16) of pictures."""
    latents: Tensor = movq.encode(pictures)
    return latents


def picture_loss(painted: Tensor, truth: Tensor) -> Tensor:
    """L1, L2 and L1 of the gradients, with more weight near edges; pictures are (B, 3, H, W)."""
    weight = 1 + EDGE_WEIGHT * near_edge(truth)
    weight = weight / weight.mean()
    error = painted - truth
    down, across = error.diff(dim=2), error.diff(dim=3)
    slope = (weight[:, :, 1:] * down.abs()).mean() + (weight[..., 1:] * across.abs()).mean()
    return (weight * error.abs()).mean() + (weight * error.square()).mean() + 0.5 * slope


def near_edge(pictures: Tensor) -> Tensor:
    """1 within three pixels of an outline, else 0: (B, 1, H, W)."""
    contrast = (pictures - F.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)).abs().amax(1, keepdim=True)
    return (F.max_pool2d(contrast, 5, stride=1, padding=2) > 0.06).to(pictures.dtype)


def held_out_scenes(count: int) -> list[Scene]:
    """Scenes for measuring, the same ones every time."""
    rng = Random(HELD_OUT)
    return [sample_scene(rng, world=TAUGHT) for _ in range(count)]


@torch.no_grad()
def rebuilt(movq: Any, scenes: Sequence[Scene]) -> Iterator[tuple[Scene, Image.Image, Image.Image]]:
    """Each scene with its picture and what encoder and decoder make of that."""
    for scene in scenes:
        picture = render(scene)
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] * 2 - 1
        again: Floats = decode(movq, encode(movq, pixels))[0].permute(1, 2, 0).add(1).div(2).numpy()
        yield scene, _image(picture), _image(again)


def _image(picture: Floats) -> Image.Image:
    return Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))


def wished(scene: Scene) -> list[Thing]:
    """What a judge has to find on a scene's picture."""
    count = len(scene.pieces) if scene.group else 1
    pieces = scene.pieces[:1] if scene.group else scene.pieces
    return [Thing(piece.shape, piece.colour, None, piece.place or None, count) for piece in pieces]


def load_autoencoder(cache: Path) -> tuple[Any, list[int]]:
    """The trained autoencoder, with the later encoder if there is one, and the steps of each."""
    movq = build_movq()
    steps = [load_average(cache, AutoencoderRecipe.name, movq)]
    if (cache / f"{EncoderRecipe.name}.pt").exists():
        steps.append(load_average(cache, EncoderRecipe.name, encoder_of(movq)))
    return movq, steps


def encoder_of(movq: Any) -> nn.Module:
    """The half that makes latents."""
    return nn.ModuleDict({"encoder": movq.encoder, "quant_conv": movq.quant_conv})


def decoder_of(movq: Any) -> nn.Module:
    """The half that paints."""
    return nn.ModuleDict({"post_quant_conv": movq.post_quant_conv, "decoder": movq.decoder})


class EncoderRecipe:
    """Go on with the encoder alone, after `AutoencoderRecipe`."""

    name = "encoder"

    def __init__(self, cache: Path, schedule: Schedule | None = None) -> None:
        self.schedule = schedule or Schedule(steps=450, learning_rate=1.5e-3, batch=12, warmup=20, decay=0.8)
        torch.manual_seed(0)
        self.movq = build_movq()
        load_average(cache, AutoencoderRecipe.name, self.movq)
        self.trained: nn.Module = encoder_of(self.movq)

    def loss(self, batch: int, rng: Random) -> Tensor:
        pictures, latents = sample_pictures(batch, rng)
        difference = encode(self.movq, pictures) - latents
        return difference.square().mean() + 0.1 * difference.abs().mean()


class AutoencoderRecipe:
    """Encoder: regress the latent. Decoder: paint the picture from the latent plus noise."""

    name = "autoencoder"

    def __init__(self, schedule: Schedule | None = None) -> None:
        self.schedule = schedule or Schedule(steps=1300, learning_rate=1.5e-3, batch=8, warmup=40, decay=0.65)
        torch.manual_seed(0)
        self.trained: nn.Module = build_movq()

    def begin_with(self, folder: Path) -> list[str]:
        """Begin with a family's weights; returns what stays as it is."""
        return warm.movq(folder, self.trained)

    def figures(self) -> Mapping[str, float]:
        """Share of 40 held-out scenes of which the judge finds everything right on what is rebuilt."""
        found = [
            judge(to_floats(again), scene.background, wished(scene), scene.style).right
            for scene, _, again in rebuilt(self.trained, held_out_scenes(40))
        ]
        return {"reconstructions_right": float(np.mean(found))}

    def sheet(self) -> Image.Image:
        """Pictures above, rebuilt ones below, twice."""
        pairs = [(picture, again) for _, picture, again in rebuilt(self.trained, held_out_scenes(20))]
        return tiled([[pair[kind] for pair in row] for row in (pairs[:10], pairs[10:]) for kind in (0, 1)])

    def loss(self, batch: int, rng: Random) -> Tensor:
        pictures, latents = sample_pictures(batch, rng)
        some = (batch + 3) // 4  # the encoder's task is the easier one
        encoded = F.mse_loss(encode(self.trained, pictures[:some]), latents[:some])
        level = torch.rand(batch, 1, 1, 1) * NOISE
        painted = decode(self.trained, latents + level * torch.randn_like(latents))
        return picture_loss(painted, pictures) + encoded

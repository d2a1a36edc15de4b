"""Text-to-image at full size: noise prediction, stage after stage at growing sizes, each from the weights of the one before.

The article (Kandinsky 3.0): five stages with these sizes, steps, batches and numbers of GPUs; a frozen text encoder; pictures
filtered by aesthetics, match, duplicates, resolution and aspect ratio, as `--data` and its filters do here. The code: the cosine
schedule, noise prediction, a learned null embedding and what is done to padding. Small (3.1): the same with FLAN-T5-XL and a UNet
of a billion weights, batch 2048, a million steps; its sizes are not published and are the last four stages' here.

Ours: a tenth of the texts dropped (the code's LoRA trainer does so), rates, warm-up, how sides of the last stage are chosen for a
picture, and that the earlier stages cut squares.
Source: engine-facts sections 3.1, 4 and 10; buckets as in NovelAI 2022 ("Improvements on Stable Diffusion", aspect ratios).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from engine import catalog
from engine.components import Components
from engine.conditioning import MAX_TOKENS, Context
from engine.errors import EngineError
from engine.families import KANDINSKY_3_1, KANDINSKY_3_1_SMALL, SMALL_TEXT_WIDTH, SMALL_UNET, Family, Size
from engine.models.movq import MoVQ
from engine.models.t5 import T5Encoder
from engine.tensors import to_tensor
from engine.weights import Folder
from training.base import Noising, caption_of
from training.data import DataError, Dataset, Example, pick, rgb
from training.export import save_network, save_tensors
from training.loop import Schedule, load_average
from training.text_to_image import DROPPED, Conditioned

FOLDER, CONDITIONING = "unet", "conditioning.safetensors"  # where the engine looks for them
_TRIES = 64  # pictures looked at, for each that is taken, to find one of the batch's bucket
_FULL_UNET: Mapping[str, Any] = {"cross_attention_dim": 4096}  # the official sizes are the class's own


@dataclass(frozen=True)
class Stage:
    """One size. sides: (width, height) of its buckets.  per_gpu, gpus: the batch.  pairs: that the authors had, in millions."""

    sides: tuple[Size, ...]
    steps: int
    per_gpu: int
    gpus: int
    learning_rate: float
    pairs: int = 0
    warmup: int = 10_000
    average: float = 0.9999

    @property
    def schedule(self) -> Schedule:
        """Constant after a warm-up; the next stage goes on. `--accumulate` makes up for GPUs that are not there."""
        batch = self.per_gpu * self.gpus
        return Schedule(
            self.steps, self.learning_rate, batch, self.warmup, decay=0.0, floor=1.0, betas=(0.9, 0.999), average=self.average
        )


@dataclass(frozen=True)
class Preset:
    """A network and its stages. family: whose text encoder, tokenizer and autoencoder are there.  text_width: of that encoder."""

    name: str
    family: Family
    stages: tuple[Stage, ...]
    unet: Mapping[str, Any]
    text_width: int

    def stage(self, number: int) -> Stage:
        """From 1 on. Raises: DataError."""
        if not 1 <= number <= len(self.stages):
            raise DataError(f"The preset {self.name} has stages 1 to {len(self.stages)}, not {number}; choose one of them.")
        return self.stages[number - 1]


def _square(side: int) -> tuple[Size, ...]:
    return ((side, side),)


_MIXED = tuple((width, height) for width in range(768, 1025, 64) for height in range(768, 1025, 64))
PRESETS: Mapping[str, Preset] = {
    "full": Preset(
        "full",
        KANDINSKY_3_1,
        (
            Stage(_square(256), 600_000, 20, 100, 1e-4, pairs=1100),
            Stage(_square(384), 500_000, 10, 100, 1e-4, pairs=768),
            Stage(_square(512), 400_000, 10, 100, 5e-5, pairs=450),
            Stage(_square(768), 250_000, 4, 416, 2e-5, pairs=224),
            Stage(_MIXED, 350_000, 1, 416, 1e-5, pairs=280),
        ),
        _FULL_UNET,
        text_width=4096,
    ),
    "small": Preset(
        "small",
        KANDINSKY_3_1_SMALL,
        (
            Stage(_square(256), 500_000, 32, 64, 1e-4, pairs=700),
            Stage(_square(512), 300_000, 32, 64, 1e-4, pairs=700),
            Stage(_square(768), 100_000, 16, 128, 5e-5, pairs=700),
            Stage(_MIXED, 100_000, 8, 256, 2e-5, pairs=700),
        ),
        SMALL_UNET,
        SMALL_TEXT_WIDTH,
    ),
}


@dataclass(frozen=True)
class Frozen:
    """What a text-to-image UNet is trained beside, all of it finished."""

    texts: "Texts"
    movq: MoVQ
    device: torch.device

    @torch.no_grad()
    def latents(self, pixels: Tensor) -> Tensor:
        """Latents (B, 4, H/8, W/8) of pictures (B, 3, H, W) in [-1, 1]."""
        return self.movq.encode(pixels.to(self.device))


@dataclass(frozen=True)
class Texts:
    """Tokenizer and encoder, without the projection, which is in training."""

    tokenizer: Any
    encoder: T5Encoder

    @torch.no_grad()
    def states(self, captions: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """States (B, L, width) and mask (B, L) of captions, with one pad after the longest, as the official path keeps it."""
        tokens = [self.tokenizer.encode(caption).ids for caption in captions]
        length = min(max(map(len, tokens)) + 1, MAX_TOKENS)
        ids = torch.tensor([row + [0] * (length - len(row)) for row in tokens], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in tokens], device=device)
        return self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float(), mask


def load_frozen(family: Family, weights: Path | None, device: torch.device) -> Frozen:
    """Text encoder, tokenizer and autoencoder out of a family's folder. Raises: DataError."""
    try:
        folder = Folder(family, weights or catalog.weights_folder(family.name))
        parts = Components(folder, device, torch.float32 if device.type == "cpu" else torch.bfloat16)
        tokenizer = folder.tokenizer()
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return Frozen(Texts(tokenizer, parts.text_encoder()), parts.movq(), device)
    except EngineError as error:
        raise DataError(f"{error}") from error


class StageRecipe:
    """One stage of a preset. stage: its number from 1 on.  cache: where the checkpoint of the stage before is."""

    def __init__(self, cache: Path, frozen: Frozen, preset: Preset, stage: int, dataset: Dataset) -> None:
        self.frozen, self.preset, self.dataset, self.stage = frozen, preset, dataset, preset.stage(stage)
        self.name, self.schedule = stage_name(preset, stage), self.stage.schedule
        torch.manual_seed(0)
        self.network = Conditioned({**preset.unet, "encoder_hid_dim": None}, preset.text_width)
        self.trained: nn.Module = self.network
        nn.Module.to(self.trained, frozen.device)
        if stage > 1:
            before = stage_name(preset, stage - 1)
            try:
                load_average(cache, before, self.trained)
            except FileNotFoundError as error:
                raise DataError(f"There is no run of {before} in {cache}; train that stage first.") from error
        self.noising = Noising("epsilon")

    def loss(self, batch: int, rng: Random) -> Tensor:
        examples, (width, height) = self.examples(batch, rng)
        pixels = torch.cat([to_tensor(cut(rgb(example.picture), (width, height), rng)) for example in examples])
        captions = [caption_of(example, rng) for example in examples]
        dropped = torch.tensor([rng.random() < DROPPED for _ in examples])
        return self.noising.loss(self.network.unet, self.frozen.latents(pixels), self.context(captions, dropped))

    def context(self, captions: Sequence[str], dropped: Tensor) -> Context:
        """What the UNet reads: projected states, and the null embedding for captions that are dropped, (B,) bool."""
        states, mask = self.frozen.texts.states(captions, self.frozen.device)
        context, counted = self.network.context(states, mask, dropped.to(self.frozen.device))
        return Context(context, counted.bool())

    def examples(self, batch: int, rng: Random) -> tuple[list[Example], Size]:
        """Pictures of one bucket, and its (width, height): that of the first, which is any picture of the source.

        So a bucket comes as often as its pictures do. Where hardly any other is found, those nearest to it are cut to its shape.
        """
        found = [pick(self.dataset, rng)]
        bucket = bucket_of(found[0].picture.size, self.stage.sides)
        while len(found) < batch:
            near: Example | None = None
            for _ in range(_TRIES):
                example = pick(self.dataset, rng)
                if near is None or _apart(example, bucket) < _apart(near, bucket):
                    near = example
                if bucket_of(example.picture.size, self.stage.sides) == bucket:
                    near = example
                    break
            assert near is not None  # noqa: S101 (a name for the type checker)
            found.append(near)
        return found, bucket

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """UNet and text projection as the engine reads them."""
        settings = {"recipe": self.name, "steps": steps, "prediction_type": "epsilon"}
        network = self.network
        conditioning = {
            "projection.weight": network.projection.weight,
            "projection_norm.weight": network.projection_norm.weight,
            "projection_norm.bias": network.projection_norm.bias,
            "null_embedding": network.null_embedding,
        }
        return {
            FOLDER: save_network(folder / FOLDER, network.unet, settings),
            CONDITIONING: save_tensors(folder / CONDITIONING, conditioning, settings),
        }


def stage_name(preset: Preset, stage: int) -> str:
    """Of a stage's checkpoint."""
    return f"text-to-image-{preset.name}-{stage}"


def bucket_of(size: Size, sides: Sequence[Size]) -> Size:
    """The bucket for a picture of this size: the one of the nearest aspect ratio; of several, the largest that it fills.

    If it fills none of them, the smallest.
    """
    width, height = size
    aspect = math.log(width / height)
    ratios = {side: abs(math.log(side[0] / side[1]) - aspect) for side in sides}
    nearest = [side for side in sides if ratios[side] <= min(ratios.values()) + 1e-9]
    filled = [side for side in nearest if side[0] <= width and side[1] <= height]
    return max(filled, key=math.prod) if filled else min(nearest, key=math.prod)


def cut(picture: Image.Image, size: Size, rng: Random) -> Image.Image:
    """The largest part of this shape, anywhere in the picture, scaled to this size."""
    width, height = size
    scale = min(picture.width / width, picture.height / height)
    wide, high = width * scale, height * scale
    left, top = rng.uniform(0, picture.width - wide), rng.uniform(0, picture.height - high)
    box = (left, top, min(left + wide, picture.width), min(top + high, picture.height))
    return picture.resize(size, Image.Resampling.LANCZOS, box)


def _apart(example: Example, bucket: Size) -> float:
    """How unlike two shapes are."""
    width, height = example.picture.size
    return abs(math.log(width / height) - math.log(bucket[0] / bucket[1]))

"""How good an enlarger is: pairs of a small and a large picture that no training step has seen, and decibels above bicubic."""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
from PIL import Image

from engine.models.super_resolution import SuperResolutionUNet
from engine.outcomes import Drawn, ignore
from engine.pipelines.upscale import Enlarger, FlashUpscalePipeline, UpscalePipeline
from engine.super_resolution import Windows
from engine.watch import Watch
from training.damage import Damage, damaged
from training.scenes import Floats, render, sample_scene
from training.textures import sample_texture

KINDS = ("clean", "damaged", "textures")
Pair = tuple[Image.Image, Image.Image]  # small, large
_HELD_OUT = 2**40  # seeds from here on are of no training example


def to_picture(pixels: Floats) -> Image.Image:
    """8 bits of (H, W, 3) in [0, 1]."""
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8), "RGB")


def held_out(kind: str, count: int, side: int, scale: int, harm: Damage) -> list[Pair]:
    """Pictures of one of `KINDS`, large ones of `side` pixels; clean small ones are made by Pillow's bicubic filter."""
    pairs = []
    for index in range(count):
        rng = Random(_HELD_OUT + index)
        texture = kind == "textures"
        large = to_picture(sample_texture(rng, side) if texture else render(sample_scene(rng, objects=1, unseen=True), side))
        small = damaged(large, scale, harm, rng) if kind == "damaged" else shrunk_plainly(large, scale)
        pairs.append((small, large))
    return pairs


def shrunk_plainly(large: Image.Image, scale: int) -> Image.Image:
    """Shrunk so many times by Pillow's bicubic filter; sides are multiples of `scale`."""
    return large.resize((large.width // scale, large.height // scale), Image.Resampling.BICUBIC)


def gains(network: SuperResolutionUNet, pairs: Sequence[Pair], scale: int, flash: bool = False) -> list[tuple[float, float]]:
    """PSNR of the network and of bicubic, for each pair."""
    return [(psnr(enlarged(network, small, scale, flash), large), psnr(bicubic(small, scale), large)) for small, large in pairs]


def enlarged(network: SuperResolutionUNet, small: Image.Image, scale: int, flash: bool = False) -> Image.Image:
    """By the engine's pipeline, seed 0: five steps, or Flash's four, unrefined."""
    device = next(network.parameters()).device
    enlarger, windows, watch = Enlarger(network, scale, device, dtype=network.dtype), Windows(per_call=1), Watch(ignore, device)
    drawn: Drawn = (
        FlashUpscalePipeline(enlarger, None, windows)(small, 0, watch)
        if flash
        else UpscalePipeline(enlarger, windows)(small, 0, watch)
    )
    return drawn.images[0]


def bicubic(small: Image.Image, scale: int) -> Image.Image:
    """By Pillow."""
    return small.resize((small.width * scale, small.height * scale), Image.Resampling.BICUBIC)


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Decibels over all channels; 60 at most, which is where equal pictures are counted."""
    difference = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return min(60.0, 20 * math.log10(255) - 10 * math.log10(float(np.square(difference).mean()) + 1e-12))

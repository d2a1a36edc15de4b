"""What the pipelines that draw latents share: predictions with guidance or in windows, the loop of steps, decoding."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine import tiling
from engine.components import LATENT_MULTIPLE, Networks
from engine.conditioning import Context
from engine.models.conditions import Branch, Prepared
from engine.outcomes import Drawn
from engine.schedulers import Sampler
from engine.tensors import to_image
from engine.watch import Watch

LATENT_CHANNELS = 4
LATENT_SCALE = 8  # pixels per latent
_ROUGH_SIDE = 64  # latents, of a picture that only shows how far its large original is

Predict = Callable[[Tensor, int], Tensor]
"""From latents (B, 4, h, w) and the index of a step to the prediction (B, 4, h, w)."""
Preview = Callable[[Tensor], Image.Image]
Finish = Callable[[Image.Image], Image.Image]


def prepare(networks: Networks, timesteps: Sequence[int], *contexts: Context) -> Prepared:
    """What the UNet reads at these times under each of these contexts."""
    branches = [Branch(context.states.to(networks.dtype), context.mask) for context in contexts]
    prepared: Prepared = networks.unet.prepare(timesteps, branches)
    return prepared


def predict(
    networks: Networks, latents: Tensor, prepared: Prepared, index: int, known: Tensor | None = None
) -> tuple[Tensor, ...]:
    """One UNet call at the time of this index; returns the prediction (B, 4, h, w) under each prepared context.

    known: further channels (1, C, h, w), for a UNet that reads more than latents.
    """
    contexts = prepared.table.shape[1]
    sample = latents if known is None else torch.cat([latents, known.expand(latents.shape[0], -1, -1, -1)], dim=1)
    prediction: Tensor = networks.unet.denoise(sample.repeat(contexts, 1, 1, 1).to(networks.dtype), prepared, index)
    return prediction.float().chunk(contexts)


def guide(cond: Tensor, uncond: Tensor, guidance_scale: float) -> Tensor:
    """Mix conditional and unconditional prediction (classifier-free guidance).

    Args: cond, uncond: (B, 4, h, w).  guidance_scale: w >= 0; 0 returns cond.
    Source: ai-forever/Kandinsky-3 kandinsky3/model/diffusion.py: text_guidance.
    """
    return (guidance_scale + 1) * cond - guidance_scale * uncond


def predictor(networks: Networks, prepared: Prepared, guidance_scale: float, known: Tensor | None = None) -> Predict:
    """Predict under the first context, guided away from the second if there is one."""

    def guided(latents: Tensor, index: int) -> Tensor:
        cond, *uncond = predict(networks, latents, prepared, index, known)
        return guide(cond, uncond[0], guidance_scale) if uncond else cond

    return guided


def in_windows(predict: Predict, size: tuple[int, int], window: tuple[int, int]) -> Predict:
    """Predict a picture that is larger than the UNet was trained for: in overlapping windows, blended where they overlap.

    size, window: (h, w) in latents. Each window weighs less towards its borders, so that none of them shows.
    Source: Bar-Tal et al. 2023 (MultiDiffusion), equation 5 with weights, on predictions instead of samples.
    """
    places = [(top, left) for top in window_starts(size[0], window[0]) for left in window_starts(size[1], window[1])]
    if len(places) == 1:
        return predict
    weight = _ramp(window[0])[:, None] * _ramp(window[1])  # (h, w)

    def blended(latents: Tensor, index: int) -> Tensor:
        total, weights = torch.zeros_like(latents), latents.new_zeros(latents.shape[2:])
        own = weight.to(latents.device)
        for top, left in places:
            rows, columns = slice(top, top + window[0]), slice(left, left + window[1])
            total[:, :, rows, columns] += predict(latents[:, :, rows, columns], index) * own
            weights[rows, columns] += own
        return total / weights

    return blended


def window_starts(length: int, window: int) -> list[int]:
    """Where windows begin that cover a length evenly, each sharing a quarter at least with the next; multiples of 8."""
    if length <= window:
        return [0]
    steps = -(-(length - window) // (window * 3 // 4))
    return [round((length - window) * step / steps / LATENT_MULTIPLE) * LATENT_MULTIPLE for step in range(steps + 1)]


def _ramp(length: int) -> Tensor:
    """Weights of a window's cells: growing to the middle, never 0."""
    cells = torch.arange(1, length + 1, dtype=torch.float32)
    return torch.minimum(cells, length + 1 - cells)


def run_steps(
    sampler: Sampler,
    latents: Tensor,
    noise: Sequence[Tensor],
    predict: Predict,
    watch: Watch,
    preview: Callable[[Tensor], Image.Image],
) -> Tensor:
    """Take latents through all times of a sampler, reporting each. preview: makes a picture of clean latents (1, 4, h, w)."""
    for index in range(len(sampler.timesteps)):
        latents, x0 = sampler.step(predict(latents, index), index, latents, noise)
        watch.finished("step", index + 1, len(sampler.timesteps), partial(preview, x0[:1]))
    return latents


def decode(networks: Networks, latents: Tensor, on_tile: tiling.OnTile = tiling.no_report) -> Image.Image:
    """The picture of latents (1, 4, h, w); in tiles if it is large, such as a panorama.

    Raises: BadPicture.
    """
    with torch.inference_mode():  # a preview is decoded outside of the loop
        return to_image(tiling.decode(networks.movq, latents, on_tile, networks.tiled_above))


def rough(networks: Networks, latents: Tensor) -> Image.Image:
    """A small picture of latents (1, 4, h, w), quickly."""
    scale = min(_ROUGH_SIDE / max(latents.shape[2:]), 1)
    size = [max(round(side * scale), 1) for side in latents.shape[2:]]
    with torch.inference_mode():
        return decode(networks, F.interpolate(latents, size, mode="area"))


def pictures_of(
    networks: Networks, latents: Tensor, seeds: Sequence[int], watch: Watch, finish: Finish = lambda image: image
) -> Drawn:
    """Decode latents (B, 4, h, w) one by one; `finish` makes of each what the person gets."""
    images: list[Image.Image] = []
    tiles = 1  # of each picture

    def told(done: int, total: int) -> None:
        nonlocal tiles
        tiles = total
        if done < total:  # the last one is reported when the picture is there
            watch.finished("decode", len(images) * total + done, len(seeds) * total, partial(rough, networks, latent))

    for latent in latents.split(1):
        images.append(finish(decode(networks, latent, told)))
        watch.finished("decode", len(images) * tiles, len(seeds) * tiles, partial(images.__getitem__, -1))
    return Drawn(tuple(images), tuple(seeds))

"""Larger pictures: KandiSuperRes x4 and x2, and Flash x2 with the refiner."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from engine import tiling
from engine.conditioning import Context
from engine.errors import BadPicture
from engine.memory import Ladder, within_memory
from engine.models.conditions import Branch
from engine.models.movq import MoVQ
from engine.models.super_resolution import SuperResolutionUNet
from engine.models.unet import Kandinsky3UNet
from engine.outcomes import Drawn, Stage
from engine.schedulers import alphas_cumprod, predicted_x0
from engine.super_resolution import UNET_MULTIPLE, Box, Enlarged, FlashSampler, Mean, SolverSampler, Windows, WindowSampler
from engine.watch import Watch

STEPS = 5
REFINE_TIME = 229
REFINED_MULTIPLE = 64  # pixels: 8 per latent, of which the refiner halves 8 three times
PREVIEW_SIDE = 512
_STRIP = 256  # rows turned into 8 bits at once


@dataclass(frozen=True)
class Enlarger:
    """A KandiSuperRes network and what it enlarges by. The loop around it is float32."""

    unet: SuperResolutionUNet
    scale: int
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Refiner:
    """Kandinsky Flash's UNet with the fixed context of KandiSuperRes, and the autoencoder, which is float32."""

    unet: Kandinsky3UNet
    movq: MoVQ
    context: Context
    dtype: torch.dtype
    tiled_above: int = tiling.TILED_ABOVE


class UpscalePipeline:
    """KandiSuperRes x4 and x2: a few solver steps, each in windows."""

    def __init__(self, enlarger: Enlarger, windows: Windows | None = None, num_inference_steps: int = STEPS) -> None:
        self._enlarger = enlarger
        self._windows = windows or Windows()
        self._steps = num_inference_steps

    @torch.inference_mode()
    def __call__(self, picture: Image.Image, seed: int, watch: Watch) -> Drawn:
        """Enlarge a picture of any size to exactly `scale` times its sides, reporting to `watch`.

        Raises: GivenUp when the watch says so, OutOfMemory, BadPicture if the network's numbers are no picture.
        """
        enlarger = self._enlarger
        with within_memory(_too_large(picture, enlarger)):
            enlarged = Enlarged(_padded(picture, UNET_MULTIPLE // enlarger.scale).to(enlarger.device), enlarger.scale)
            generator = torch.Generator("cpu").manual_seed(seed)
            sampler = SolverSampler(self._steps, generator, enlarged.size, enlarger.device)
            result = sample(sampler, enlarged, enlarger, self._windows, watch)
            return _drawn(result, picture, enlarger.scale, seed, watch)


class FlashUpscalePipeline:
    """KandiSuperRes Flash x2: four steps, each in windows, then one step of Kandinsky Flash over the latents.

    The official code takes the first four over the whole picture, for which memory grows with its area; windows with their own
    group statistics give other numbers above one window's size. `Windows` as large as the picture give the official ones.
    """

    def __init__(self, enlarger: Enlarger, refiner: Refiner | None, windows: Windows | None = None) -> None:
        self._enlarger = enlarger
        self._refiner = refiner
        self._windows = windows or Windows()

    @torch.inference_mode()
    def __call__(self, picture: Image.Image, seed: int, watch: Watch) -> Drawn:
        """Enlarge a picture of any size to exactly twice its sides, reporting to `watch`; unrefined if there is no refiner.

        Raises: as `UpscalePipeline`.
        """
        enlarger = self._enlarger
        with within_memory(_too_large(picture, enlarger)):
            enlarged = Enlarged(_padded(picture, REFINED_MULTIPLE // enlarger.scale).to(enlarger.device), enlarger.scale)
            generator = torch.Generator("cpu").manual_seed(seed)
            sampler = FlashSampler(generator, enlarged.size, enlarger.device)
            result = sample(sampler, enlarged, enlarger, self._windows, watch)
            del sampler
            if self._refiner is not None:
                result = refine(self._refiner, result, generator, watch)
            return _drawn(result, picture, enlarger.scale, seed, watch)


def sample(sampler: WindowSampler, enlarged: Enlarged, enlarger: Enlarger, windows: Windows, watch: Watch) -> Tensor:
    """Run a sampler to its end, all windows at every step; returns the clean picture (1, 3, H, W)."""
    boxes = windows.boxes(*enlarged.size)
    height, width = boxes[0].bottom, boxes[0].right
    ladder = Ladder(
        windows.per_call,
        f"{enlarger.device} has no memory left for a single window of {width}x{height} pixels; "
        "free some, or load this family with a smaller memory plan.",
    )
    total = len(boxes) * len(sampler.timesteps)

    def predict(part: Sequence[Box], t: int) -> Tensor:
        noisy = torch.cat([box.of(sampler.noisy) for box in part]).to(enlarger.dtype)
        small = torch.cat([enlarged.window(box) for box in part]).to(enlarger.dtype)
        prediction: Tensor = enlarger.unet(noisy, t, small)
        return prediction.float()

    done = 0
    for index, t in enumerate(sampler.timesteps):
        mean = Mean(sampler.estimate(index))
        shown = sampler.estimate(index - 1) if index else None
        for part, predictions in ladder.climb(boxes, partial(predict, t=t)):
            for box, prediction in zip(part, predictions.split(1), strict=True):
                mean.add(box, prediction)
            done += len(part)
            watch.finished("window", done, total, partial(preview, enlarged, shown))
        if index + 1 < len(sampler.timesteps):
            sampler.step(index)
    return mean.picture


def refine(refiner: Refiner, pictures: Tensor, generator: torch.Generator, watch: Watch) -> Tensor:
    """Noise the latents of pictures (1, 3, H, W) to t = 229 and take Kandinsky Flash's last step back; H, W multiples of 64.

    One noise for all tiles; in the official code each tile draws its own, overlaps included.
    Source: ai-forever/KandiSuperRes KandiSuperRes/model/diffusion_refine.py: refine_tiled.
    """

    def show(stage: Stage, done: int, total: int) -> None:
        watch.finished(stage, done, total, partial(_small_image, pictures))

    latents = tiling.encode(refiner.movq, pictures, partial(show, "encode"), refiner.tiled_above)
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    context = Branch(refiner.context.states.to(refiner.dtype), refiner.context.mask)
    prepared = refiner.unet.prepare([REFINE_TIME], [context])
    alpha = alphas_cumprod()[REFINE_TIME]

    def refined(tile: Tensor) -> Tensor:
        clean, noise = tile.chunk(2, dim=1)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        prediction = refiner.unet.denoise(noisy.to(refiner.dtype), prepared, 0).float()
        return predicted_x0(prediction, noisy, alpha, "epsilon")

    both = torch.cat([latents, noise], dim=1)  # (1, 8, H/8, W/8)
    latents = tiling.blend_tiles(both, tiling.REFINE_TILES, refined, partial(show, "step"))
    return tiling.decode(refiner.movq, latents, partial(show, "decode"), refiner.tiled_above)


def preview(enlarged: Enlarged, estimate: Tensor | None) -> Image.Image:
    """A small picture of the last complete estimate, or of what is being enlarged."""
    return _small_image(enlarged.small if estimate is None else estimate)


def _small_image(picture: Tensor) -> Image.Image:
    with torch.inference_mode():  # called outside of the loop
        scale = min(PREVIEW_SIDE / max(picture.shape[2:]), 1)
        size = [max(round(side * scale), 1) for side in picture.shape[2:]]
        return _image(F.interpolate(picture, size, mode="area"), *size)


def _padded(picture: Image.Image, multiple: int) -> Tensor:
    """To (1, 3, h, w) in [-1, 1]; below and to the right the border is repeated up to multiples.

    The official code stretches the picture to such sides and the result back again.
    """
    pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].float() / 127.5 - 1
    height, width = pixels.shape[2:]
    return F.pad(pixels, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def _drawn(result: Tensor, picture: Image.Image, scale: int, seed: int, watch: Watch) -> Drawn:
    image = _image(result, picture.height * scale, picture.width * scale)
    watch.finished("decode", 1, 1, lambda: image)
    return Drawn((image,), (seed,))


def _image(picture: Tensor, height: int, width: int) -> Image.Image:
    """The first rows and columns of (1, 3, H, W) in 8 bits, made strip by strip.

    Raises: BadPicture for NaN or infinity.
    """
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _STRIP):
        strip = picture[0, :, top : min(top + _STRIP, height), :width]
        if not torch.isfinite(strip).all():
            raise BadPicture("The network produced numbers that are not finite; try again with another seed.")
        pixels[top : top + _STRIP] = ((strip + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels)


def _too_large(picture: Image.Image, enlarger: Enlarger) -> str:
    width, height = picture.width * enlarger.scale, picture.height * enlarger.scale
    return f"{enlarger.device} has no memory left for a picture of {width}x{height} pixels; send a smaller one, or free some."

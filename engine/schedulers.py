"""Kandinsky's two samplers: base (DDIM with dynamic thresholding) and Flash (four steps).

A sampler gets all its noise beforehand and never touches a network: it names the times, makes the first latents and turns
each prediction into the next latents. What the network predicts is settled in `predicted_x0` alone. State is float32.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from engine.families import PredictionType

TRAIN_TIMESTEPS = 1000
FLASH_TIMESTEPS = (979, 729, 479, 229)


class Step(NamedTuple):
    """Next latents, and the clean latents they were derived from; both (B, 4, h, w)."""

    prev_sample: Tensor
    pred_original_sample: Tensor


class Sampler(Protocol):
    """The interface of a sampler to the loop of a pipeline."""

    timesteps: tuple[int, ...]
    noise_count: int

    def start(self, noise: Sequence[Tensor]) -> Tensor:
        """Latents for the first time; `noise` has `noise_count` tensors of (B, 4, h, w)."""

    def start_from(self, latents: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Latents (1 or B, 4, h, w) of a picture, noised to the first time."""

    def step(self, prediction: Tensor, index: int, sample: Tensor, noise: Sequence[Tensor]) -> Step:
        """Move from `timesteps[index]` to the next time."""


def alphas_cumprod() -> Tensor:
    """Signal share alpha_bar of the 1000 times (cosine schedule), float32.

    Source: Nichol and Dhariwal 2021, equation 17; betas clipped at 0.999.
    """

    def alpha_bar(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    edges = [alpha_bar(step / TRAIN_TIMESTEPS) for step in range(TRAIN_TIMESTEPS + 1)]
    betas = [min(1 - after / before, 0.999) for before, after in pairwise(edges)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float32), dim=0)


def draw_noise(seeds: Sequence[int], count: int, shape: tuple[int, int, int], device: torch.device) -> list[Tensor]:
    """Draw `count` tensors of (B, *shape), each picture from its own seed.

    On the CPU, so that every device sees the same noise, and per picture, so that its neighbours do not matter.
    """
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    drawn = [torch.stack([torch.randn(shape, generator=generator) for generator in generators]) for _ in range(count)]
    return [noise.to(device) for noise in drawn]


def noised(x0: Tensor, alpha: Tensor, noise: Tensor) -> Tensor:
    """Clean latents noised to signal share `alpha`."""
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise


def predicted_x0(prediction: Tensor, sample: Tensor, alpha: Tensor, prediction_type: PredictionType) -> Tensor:
    """Clean latents from what the network said about `sample` at signal share `alpha`.

    Source: Salimans and Ho 2022, section 4, for v = sqrt(alpha) noise - sqrt(1 - alpha) x0.
    """
    if prediction_type == "v_prediction":
        return alpha.sqrt() * sample - (1 - alpha).sqrt() * prediction
    return (sample - (1 - alpha).sqrt() * prediction) / alpha.sqrt()


def threshold(x0: Tensor, quantile: float) -> Tensor:
    """Clip each sample to its own quantile, at least 1, and rescale into [-1, 1] (dynamic thresholding)."""
    reach = torch.quantile(x0.abs().flatten(1), quantile, dim=1).clamp(min=1)[:, None, None, None]
    return x0.clamp(-reach, reach) / reach


class BaseSampler:
    """The official many-step sampler.

    Times run down from 999 with stride ceil(1000 / steps), so some counts give a few steps less than asked: `timesteps` has
    the real number. `eta` stands under the square root, unlike in DDIM; the last step adds no noise.
    strength: the share of the steps that are taken, the last ones, for a start from a picture; 0 takes none.
    Source: ai-forever/Kandinsky-3 kandinsky3/model/diffusion.py: p_sample_loop.
    """

    def __init__(
        self, num_inference_steps: int, eta: float, quantile: float, prediction_type: PredictionType, strength: float = 1.0
    ) -> None:
        grid = tuple(range(TRAIN_TIMESTEPS - 1, 0, -math.ceil(TRAIN_TIMESTEPS / num_inference_steps)))
        self.timesteps: tuple[int, ...] = grid[len(grid) - int(len(grid) * strength) :]
        self.noise_count = len(self.timesteps)  # one to start from, one per step but the last
        self._alphas = alphas_cumprod()
        self._eta = eta
        self._quantile = quantile
        self._prediction_type = prediction_type

    def start(self, noise: Sequence[Tensor]) -> Tensor:
        """Pure noise."""
        return noise[0]

    def start_from(self, latents: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """A picture noised to the first of the times that are taken; itself if none is."""
        return noised(latents, self._alphas[self.timesteps[0]], noise[0]) if self.timesteps else latents

    def step(self, prediction: Tensor, index: int, sample: Tensor, noise: Sequence[Tensor]) -> Step:
        """Move to the next time with the noise direction recomputed from the thresholded clean latents."""
        last = index == len(self.timesteps) - 1
        alpha = self._alphas[self.timesteps[index]]
        alpha_prev = self._alphas[0 if last else self.timesteps[index + 1]]

        x0 = threshold(predicted_x0(prediction, sample, alpha, self._prediction_type), self._quantile)
        noise_pred = (sample - alpha.sqrt() * x0) / (1 - alpha).sqrt()

        variance = self._eta * (1 - alpha / alpha_prev) * (1 - alpha_prev) / (1 - alpha)
        moved = alpha_prev.sqrt() * x0 + (1 - alpha_prev - variance).sqrt() * noise_pred
        if not last:
            moved = moved + variance.sqrt() * noise[index + 1]
        return Step(moved, x0)


class FlashSampler:
    """The four-step sampler: every step predicts the clean latents and noises them afresh for the next time.

    The estimate is neither clipped nor thresholded. The first latents are noise noised again, as in the official loop.
    timesteps: all four, or the last ones to refine a picture.
    Source: ai-forever/Kandinsky-3 kandinsky3/model/diffusion.py: p_sample_loop of the Flash model.
    """

    def __init__(self, prediction_type: PredictionType, timesteps: tuple[int, ...] = FLASH_TIMESTEPS) -> None:
        self.timesteps: tuple[int, ...] = timesteps
        self.noise_count = 1 + len(timesteps)
        self._alphas = alphas_cumprod()
        self._prediction_type = prediction_type

    def start(self, noise: Sequence[Tensor]) -> Tensor:
        """Noise in the place of a picture, noised to the first time."""
        return self.start_from(noise[0], noise)

    def start_from(self, latents: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """A picture noised to the first time."""
        return self._noised(latents, 0, noise)

    def step(self, prediction: Tensor, index: int, sample: Tensor, noise: Sequence[Tensor]) -> Step:
        """Estimate the clean latents; noise them to the next time unless this is the last."""
        x0 = predicted_x0(prediction, sample, self._alphas[self.timesteps[index]], self._prediction_type)
        last = index == len(self.timesteps) - 1
        return Step(x0 if last else self._noised(x0, index + 1, noise), x0)

    def _noised(self, x0: Tensor, index: int, noise: Sequence[Tensor]) -> Tensor:
        return noised(x0, self._alphas[self.timesteps[index]], noise[index + 1])


class HubSampler:
    """The many-step sampler of the hub's configuration, which picture prompts and outlines were published with: DDPM.

    Times end at 1 and have a stride of floor(1000 / steps), so that few steps begin late: 50 at 981, 7 at 853. Clean latents
    are clipped to [-1, 1], and the last step returns them. `eta` stands under the square root, as in `BaseSampler`; 1 is DDPM.
    Source: huggingface/diffusers schedulers/scheduling_ddpm.py with timestep_spacing "leading", steps_offset 1, clip_sample.
    """

    def __init__(self, num_inference_steps: int, eta: float, prediction_type: PredictionType) -> None:
        self._stride = TRAIN_TIMESTEPS // num_inference_steps
        last = (num_inference_steps - 1) * self._stride + 1
        self.timesteps: tuple[int, ...] = tuple(range(last, 0, -self._stride))
        self.noise_count = len(self.timesteps)  # one to start from, one per step but the last
        self._alphas = alphas_cumprod()
        self._eta = eta
        self._prediction_type = prediction_type

    def start(self, noise: Sequence[Tensor]) -> Tensor:
        """Pure noise."""
        return noise[0]

    def start_from(self, latents: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """A picture noised to the first time."""
        return noised(latents, self._alphas[self.timesteps[0]], noise[0])

    def step(self, prediction: Tensor, index: int, sample: Tensor, noise: Sequence[Tensor]) -> Step:
        """Move to the next time with the noise direction recomputed from the clipped clean latents."""
        alpha = self._alphas[self.timesteps[index]]
        x0 = predicted_x0(prediction, sample, alpha, self._prediction_type).clamp(-1, 1)
        if index == len(self.timesteps) - 1:
            return Step(x0, x0)
        alpha_prev = self._alphas[self.timesteps[index] - self._stride]
        noise_pred = (sample - alpha.sqrt() * x0) / (1 - alpha).sqrt()
        variance = self._eta * (1 - alpha / alpha_prev) * (1 - alpha_prev) / (1 - alpha)
        moved = alpha_prev.sqrt() * x0 + (1 - alpha_prev - variance).sqrt() * noise_pred
        return Step(moved + variance.sqrt() * noise[index + 1], x0)

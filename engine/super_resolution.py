"""Sampling a picture too large for one pass: windows whose clean estimates are averaged at every step (MultiDiffusion).

The official code keeps a solver's history for each batch of windows. Its solver is linear in the noisy picture and the estimates,
so here the average of all windows' estimates has the only history: the same numbers, and memory for three pictures of the
target's size however many windows. Pictures are (1, 3, H, W), float32, about [-1, 1].
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

from engine.schedulers import FLASH_TIMESTEPS, TRAIN_TIMESTEPS
from engine.tiling import starts

UNET_MULTIPLE = 8  # sides that the network can halve three times
STRIP = 256  # rows that a solver moves at once; its temporary tensors are that high
BETAS = (1e-4, 0.02)  # linear, unlike the cosine of the latent models
_SPARE = 1  # small pixels read beyond a window, since bilinear enlargement looks one further


@dataclass(frozen=True)
class Box:
    """A window: rows from top to bottom, columns from left to right, exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, picture: Tensor) -> Tensor:
        """A view of this part of (..., H, W)."""
        return picture[..., self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class Windows:
    """How a picture is cut: side and stride in pixels, multiples of 8; and how many windows a call of the network takes."""

    side: int = 1024
    stride: int = 800
    per_call: int = 15

    def __post_init__(self) -> None:
        if self.side % UNET_MULTIPLE or self.stride % UNET_MULTIPLE or not 0 < self.stride <= self.side or self.per_call < 1:
            raise ValueError(f"{self} leaves gaps or has sides that are no multiples of {UNET_MULTIPLE}")

    def boxes(self, height: int, width: int) -> list[Box]:
        """All windows of a picture, row by row; of one size."""
        return [
            Box(top, min(top + self.side, height), left, min(left + self.side, width))
            for top in starts(height, self.side, self.stride)
            for left in starts(width, self.side, self.stride)
        ]


class Enlarged:
    """A small picture (1, 3, h, w), enlarged by bilinear interpolation, of which only windows are ever made."""

    def __init__(self, small: Tensor, scale: int) -> None:
        self.scale = scale
        self.size = (small.shape[2] * scale, small.shape[3] * scale)
        self.small = small

    def window(self, box: Box) -> Tensor:
        """One window, whose borders are multiples of the scale: bit by bit what the whole would have there."""
        rows, above = self._span(box.top, box.bottom)
        columns, before = self._span(box.left, box.right)
        large = F.interpolate(self.small[:, :, rows, columns], scale_factor=float(self.scale), mode="bilinear")
        return large[:, :, above : above + box.bottom - box.top, before : before + box.right - box.left]

    def _span(self, start: int, end: int) -> tuple[slice, int]:
        """Small pixels to enlarge, and how many large ones then precede the window."""
        first = max(start // self.scale - _SPARE, 0)
        return slice(first, end // self.scale + _SPARE), start - first * self.scale


class Mean:
    """A picture that becomes, window by window, the mean of all windows laid upon it."""

    def __init__(self, picture: Tensor) -> None:
        self.picture = picture
        self._visits = torch.zeros(picture.shape[2:], dtype=torch.int16, device=picture.device)

    def add(self, box: Box, window: Tensor) -> None:
        """One more window. Equal windows leave exactly themselves, which a sum divided by a count does not."""
        visits = box.of(self._visits).add_(1)
        box.of(self.picture).lerp_(window, 1 / visits)


class WindowSampler(Protocol):
    """What the loop over windows asks of a sampler."""

    timesteps: tuple[int, ...]
    noisy: Tensor

    def estimate(self, index: int) -> Tensor:
        """Where the clean estimate of this step is to be gathered; the result after the last one."""

    def step(self, index: int) -> None:
        """Move `noisy` to the next time by the gathered estimate. Not called after the last one."""


class SolverSampler:
    """DPM-Solver++ of order 2 over estimates of the clean picture, in the official setting.

    Its last step gives the estimate itself, since the last sigma is 0; so the loop need not take it.
    Source: ai-forever/KandiSuperRes KandiSuperRes/model/diffusion_sr.py: DPMSolver.
    """

    def __init__(self, num_inference_steps: int, generator: torch.Generator, size: tuple[int, int], device: torch.device) -> None:
        self.noisy = _noise(generator, size).to(device)
        self._estimates = (torch.zeros_like(self.noisy), torch.zeros_like(self.noisy))  # this step's and the one before
        self._strips = [
            (slice(top, top + STRIP), _solver(num_inference_steps)) for top in range(0, size[0], STRIP)
        ]  # a solver keeps views of the last two estimates
        self.timesteps: tuple[int, ...] = tuple(self._strips[0][1].timesteps.tolist())

    def estimate(self, index: int) -> Tensor:
        """Takes the place of the estimate of two steps before."""
        return self._estimates[index % 2]

    def step(self, index: int) -> None:
        """Second order, but for the first step."""
        estimate = self.estimate(index)
        for rows, solver in self._strips:
            strip = self.noisy[:, :, rows]
            strip.copy_(solver.step(estimate[:, :, rows], self.timesteps[index], strip, return_dict=False)[0])


class FlashSampler:
    """Four steps: each estimate is noised afresh for the next time.

    Noise is drawn step by step from one generator: the numbers that drawing all of it beforehand would give, in less memory.
    Source: ai-forever/KandiSuperRes KandiSuperRes/model/diffusion_sr_turbo.py: p_sample_loop.
    """

    timesteps: tuple[int, ...] = FLASH_TIMESTEPS

    def __init__(self, generator: torch.Generator, size: tuple[int, int], device: torch.device) -> None:
        self._generator = generator
        self._alphas = torch.cumprod(1 - torch.linspace(*BETAS, TRAIN_TIMESTEPS), dim=0)
        self._estimate = _noise(generator, size).to(device)  # in the place of a picture, as in the official loop
        self.noisy = torch.empty_like(self._estimate)
        self._noise_to(0)

    def estimate(self, index: int) -> Tensor:
        """Always the same tensor, since only the last estimate counts."""
        return self._estimate

    def step(self, index: int) -> None:
        """Noise the estimate to the next time."""
        self._noise_to(index + 1)

    def _noise_to(self, index: int) -> None:
        alpha = float(self._alphas[self.timesteps[index]])
        self.noisy.copy_(_noise(self._generator, (self.noisy.shape[2], self.noisy.shape[3])))
        self.noisy.mul_((1 - alpha) ** 0.5).add_(self._estimate, alpha=alpha**0.5)


def _noise(generator: torch.Generator, size: tuple[int, int]) -> Tensor:
    """On the CPU, so that every device sees the same."""
    return torch.randn(1, 3, *size, generator=generator)


def _solver(num_inference_steps: int) -> DPMSolverMultistepScheduler:
    solver: DPMSolverMultistepScheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_start=BETAS[0],
        beta_end=BETAS[1],
        beta_schedule="linear",
        prediction_type="sample",
        thresholding=False,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        lower_order_final=True,
        timestep_spacing="linspace",
        final_sigmas_type="zero",
    )
    solver.set_timesteps(num_inference_steps)
    return solver

"""The loop that every recipe shares: batches by step number, checkpoints that survive kill -9, a moving average of the weights.

A batch depends on (seed, rank, step) alone and a checkpoint holds everything else, so an interrupted run goes on along the same
loss curve. Several processes (`torchrun -m training ...`) average their gradients.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: warm-up, then constant, then a cosine over the last `decay` of the steps down to `floor`."""

    steps: int
    learning_rate: float
    batch: int
    warmup: int = 50
    decay: float = 0.5
    floor: float = 0.02
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0

    def rate(self, step: int) -> float:
        """Learning rate at `step`."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        start = self.steps * (1 - self.decay)
        progress = min(max((step - start) / max(self.steps - start, 1), 0.0), 1.0)
        return self.learning_rate * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress)))


class Recipe(Protocol):
    """What the loop needs to know about a network in training."""

    name: str
    schedule: Schedule

    @property
    def trained(self) -> nn.Module:
        """The weights that the optimiser changes."""

    def loss(self, batch: int, rng: Random) -> Tensor:
        """Draw `batch` examples with `rng` (torch's generator is seeded alike) and return their mean loss."""


@dataclass
class Run:
    """A recipe on its way: step, weights, their moving average, optimiser, and the loss of every step so far."""

    recipe: Recipe
    folder: Path
    seed: int = 0
    save_every_s: float = 60.0
    say: Callable[[str], None] = print
    step: int = 0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        schedule = self.recipe.schedule
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.optimizer = torch.optim.AdamW(
            self.recipe.trained.parameters(), lr=schedule.learning_rate, betas=schedule.betas, weight_decay=schedule.weight_decay
        )
        self.average = {name: value.detach().clone() for name, value in self.recipe.trained.state_dict().items()}
        if self.path.exists():
            self._resume(torch.load(self.path, map_location="cpu", weights_only=True))
        elif self.world > 1:
            for parameter in self.recipe.trained.parameters():
                dist.broadcast(parameter.data, 0)

    @property
    def path(self) -> Path:
        return self.folder / f"{self.recipe.name}.pt"

    def _resume(self, state: dict[str, Any]) -> None:
        self.recipe.trained.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step, self.losses = state["average"], state["step"], state["losses"]

    def save(self) -> None:
        """Write the checkpoint beside the old one, then rename: a reader or a kill never meets half a file."""
        if self.rank:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "weights": self.recipe.trained.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "losses": self.losses,
        }
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        torch.save(state, partial)
        partial.replace(self.path)

    def go_on(self, minutes: float = math.inf, until: int | None = None) -> None:
        """Train until the schedule, the clock or `until` ends it, saving on the way and at the end."""
        end = min(self.recipe.schedule.steps, until or self.recipe.schedule.steps)
        started = saved = time.monotonic()
        first = self.step
        while self.step < end:
            self._advance()
            now = time.monotonic()
            if self.step % 50 == 0:
                recent = self.losses[-50:]
                pace = (now - started) / (self.step - first)
                self.say(f"{self.recipe.name} {self.step}/{end} loss {sum(recent) / len(recent):.4f} {pace * 1000:.0f} ms/step")
            out_of_time = self._agree(now - started > minutes * 60)
            if out_of_time or now - saved > self.save_every_s:
                self.save()
                saved = now
            if out_of_time:
                break
        self.save()

    def _agree(self, stop: bool) -> bool:
        """All processes stop at the same step."""
        if self.world == 1:
            return stop
        flag = torch.tensor(float(stop))
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag.item())

    def _advance(self) -> None:
        schedule = self.recipe.schedule
        key = (self.seed * 1_000_003 + self.step) * 64 + self.rank
        torch.manual_seed(key)
        loss = self.recipe.loss(schedule.batch // self.world, Random(key))
        loss.backward()
        value = loss.detach()
        if self.world > 1:
            value = self._share(value)
        nn.utils.clip_grad_norm_(self.recipe.trained.parameters(), schedule.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = schedule.rate(self.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.losses.append(float(value))
        self._average_in()

    def _share(self, loss: Tensor) -> Tensor:
        """Average gradients and the loss over all processes, in one message."""
        gradients = [p.grad for p in self.recipe.trained.parameters() if p.grad is not None]
        flat = torch.cat([loss.reshape(1), *(g.reshape(-1) for g in gradients)])
        dist.all_reduce(flat)
        flat /= self.world
        offset = 1
        for gradient in gradients:
            gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
            offset += gradient.numel()
        return flat[0]

    @torch.no_grad()
    def _average_in(self) -> None:
        keep = min(0.999, (1 + self.step) / (10 + self.step))
        for name, value in self.recipe.trained.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)


def use_average(run: Run) -> None:
    """Put the averaged weights into the network (at the end of a run, for evaluation and export)."""
    run.recipe.trained.load_state_dict(run.average)


def load_average(folder: Path, name: str, module: nn.Module) -> int:
    """Load the averaged weights of a run's checkpoint into `module`; return its step."""
    state = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True, mmap=True)
    module.load_state_dict(state["average"])
    return int(state["step"])

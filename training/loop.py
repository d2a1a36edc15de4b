"""The loop that every recipe shares: batches by step number, checkpoints that survive kill -9, a moving average of the weights.

A batch depends on (seed, rank, step) alone and a checkpoint holds everything else, so an interrupted run goes on along the same
loss curve. Several processes (`torchrun` or `accelerate launch`) average their gradients.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor, nn

from training.progress import Progress

CPU = torch.device("cpu")
_RANKS = 64  # room for ranks in the number of a batch; more take more room
_BUCKET = 2**24  # gradients that are averaged in one message


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: warm-up, then constant, then a cosine over the last `decay` of the steps down to `floor`.

    batch: examples of a step, over all processes.  accumulate: parts in which a process takes its share of them.  average: what
    the moving average of the weights keeps at a step, at most.
    """

    steps: int
    learning_rate: float
    batch: int
    warmup: int = 50
    decay: float = 0.5
    floor: float = 0.02
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    accumulate: int = 1
    average: float = 0.999

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


@runtime_checkable
class Warm(Protocol):
    """What a recipe has beside if it can begin with the weights of a family's folder."""

    def begin_with(self, folder: Path) -> list[str]:
        """Copy what fits; returns the names of what does not."""


@runtime_checkable
class Shown(Protocol):
    """What a recipe has beside if its network's work can be looked at. Both are called with the averaged weights."""

    def figures(self) -> Mapping[str, float]:
        """How good it is on examples that are held out, by name."""

    def sheet(self) -> Image.Image:
        """Samples."""


@runtime_checkable
class Written(Protocol):
    """What a recipe has beside if it writes its own file; `trained` holds the averaged weights then."""

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """Write what the engine loads into `folder`; returns each file's checksum."""


@runtime_checkable
class Paced(Protocol):
    """What a recipe has beside if parts of what it trains learn at rates of their own; their gradients are cut apart."""

    def paces(self) -> Sequence[tuple[Sequence[nn.Parameter], float]]:
        """Parts, and by how much each multiplies the schedule's rate."""


@dataclass
class Run:
    """A recipe on its way: step, weights, their moving average, optimiser, and the loss of every step so far.

    logs: whether TensorBoard's curves are written.  show_every: steps between sheets of samples, of a recipe that draws some;
    0 for none.  device: where the recipe's weights
    are.  autocast: the context of forward passes.
    """

    recipe: Recipe
    folder: Path
    seed: int = 0
    save_every_s: float = 60.0
    say: Callable[[str], None] = print
    logs: bool = False
    show_every: int = 0
    device: torch.device = CPU
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    step: int = 0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        schedule = self.recipe.schedule
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.norm = 0.0
        recipe = self.recipe
        parts = recipe.paces() if isinstance(recipe, Paced) else [(list(recipe.trained.parameters()), 1.0)]
        groups: list[dict[str, Any]] = [{"params": list(parameters), "pace": pace} for parameters, pace in parts]
        self.optimizer = torch.optim.AdamW(
            groups, lr=schedule.learning_rate, betas=schedule.betas, weight_decay=schedule.weight_decay
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
        self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.step, self.losses = state["step"], state["losses"]

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
        if self.step >= end:
            return
        started = saved = time.monotonic()
        progress = None if self.rank else Progress(self.folder, self.recipe.name, self.step, end, self.say, self.logs)
        while self.step < end:
            rate = self.recipe.schedule.rate(self.step)
            self._advance(rate)
            if progress:
                progress.step(self.step, self.losses[-1], rate, self.norm)
                if self.show_every and (self.step % self.show_every == 0 or self.step == end):
                    self._show(progress)
            now = time.monotonic()
            out_of_time = self._agree(now - started > minutes * 60)
            if out_of_time or now - saved > self.save_every_s:
                self.save()
                saved = now
            if out_of_time:
                break
        self.save()
        if progress:
            progress.close()

    def _show(self, progress: Progress) -> None:
        if isinstance(self.recipe, Shown):
            with self.averaged():
                progress.sheet(self.step, self.recipe.sheet())
                progress.measured(self.step, self.recipe.figures())

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in the network, for as long as this lasts."""
        network = self.recipe.trained
        own = {name: value.clone() for name, value in network.state_dict().items()}
        training = network.training
        network.load_state_dict(self.average)
        network.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            network.load_state_dict(own)
            network.train(training)

    def _agree(self, stop: bool) -> bool:
        """All processes stop at the same step."""
        if self.world == 1:
            return stop
        flag = torch.tensor(float(stop), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag.item())

    def _advance(self, rate: float) -> None:
        schedule = self.recipe.schedule
        value = torch.stack([self._part(part) for part in range(schedule.accumulate)]).sum()
        if self.world > 1:
            value = self._share(value)
        norms = [nn.utils.clip_grad_norm_(group["params"], schedule.clip) for group in self.optimizer.param_groups]
        self.norm = float(norms[0]) if len(norms) == 1 else float(torch.stack(norms).norm())
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("pace", 1.0)  # earlier checkpoints do not have it
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.losses.append(float(value))
        self._average_in()

    def _part(self, part: int) -> Tensor:
        """Gradients of one part of this process' share of the batch; returns its part of the mean loss."""
        parts = self.recipe.schedule.accumulate
        room = max(_RANKS, self.world * parts)
        key = (self.seed * 1_000_003 + self.step) * room + self.rank * parts + part
        torch.manual_seed(key)
        with self.autocast():
            loss = self.recipe.loss(self.recipe.schedule.batch // (self.world * parts), Random(key)) / parts
        loss.backward()
        return loss.detach()

    def _share(self, loss: Tensor) -> Tensor:
        """Average gradients and the loss over all processes, in few messages."""
        waiting = [loss, *(p.grad for p in self.recipe.trained.parameters() if p.grad is not None)]
        while waiting:
            bucket = [waiting.pop(0)]
            while waiting and sum(map(torch.numel, bucket)) + waiting[0].numel() <= _BUCKET:
                bucket.append(waiting.pop(0))
            flat = torch.cat([each.reshape(-1) for each in bucket])
            dist.all_reduce(flat)
            flat /= self.world
            for each, mean in zip(bucket, flat.split([each.numel() for each in bucket]), strict=True):
                each.copy_(mean.view_as(each))
        return loss

    @torch.no_grad()
    def _average_in(self) -> None:
        keep = min(self.recipe.schedule.average, (1 + self.step) / (10 + self.step))
        for name, value in self.recipe.trained.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)


def load_average(folder: Path, name: str, module: nn.Module) -> int:
    """Load the averaged weights of a run's checkpoint into `module`; return its step. Raises: FileNotFoundError."""
    state = torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True, mmap=True)
    module.load_state_dict(state["average"])
    return int(state["step"])

"""What every recipe has to show at toy size: that the loss falls, and that a run taken up again goes on along the same curve."""

from collections.abc import Callable
from pathlib import Path

from training.loop import Recipe, Run


def run(recipe: Recipe, folder: Path, until: int | None = None) -> Run:
    """A run of this recipe as far as `until`, from its checkpoint in `folder` if there is one."""
    found = Run(recipe, folder, save_every_s=1e9, say=lambda line: None)
    found.go_on(until=until)
    return found


def check(make: Callable[[], Recipe], folder: Path, fall: float) -> Run:
    """Whether the mean loss of the last quarter is at most `fall` of that of the first eighth; returns the whole run."""
    whole = run(make(), folder / "whole")
    steps = whole.step
    run(make(), folder / "resumed", until=steps - steps // 8)
    resumed = run(make(), folder / "resumed")
    assert resumed.losses == whole.losses
    first, last = whole.losses[: steps // 8], whole.losses[-(steps // 4) :]
    assert sum(last) / len(last) < fall * sum(first) / len(first)
    return whole

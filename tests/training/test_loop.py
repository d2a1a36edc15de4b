"""The loop keeps its promises: parts add up to the batch, processes agree, curves and sheets are written."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from training.__main__ import main
from training.loop import Recipe, Run, Schedule, Shown
from training.recipes import RECIPES


class Line:
    """Learns y = 3 x; its examples come from `rng`."""

    name = "line"

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        torch.manual_seed(0)
        self.trained: nn.Module = nn.Linear(1, 1)

    def loss(self, batch: int, rng: Random) -> Tensor:
        x = torch.tensor([[rng.uniform(-1, 1)] for _ in range(batch)])
        error: Tensor = self.trained(x) - 3 * x
        return error.square().mean()

    def figures(self) -> Mapping[str, float]:
        return {"slope": float(self.trained.get_parameter("weight"))}

    def sheet(self) -> Image.Image:
        return Image.new("RGB", (8, 8), "red")


def test_a_run_shows_curves_and_sheets_and_shows_them_once_after_a_resume(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    lines: list[str] = []
    for until in (60, 100):
        recipe: Recipe = Line(Schedule(steps=100, learning_rate=0.05, batch=8))
        assert isinstance(recipe, Shown)
        Run(recipe, tmp_path, say=lines.append, logs=True, show_every=50).go_on(until=until)
    assert [line.split(" loss")[0] for line in lines if " loss" in line] == ["line 50/60", "line 100/100"]
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == [f"line-{s:07}.png" for s in (50, 60, 100)]
    board = events.EventAccumulator(str(tmp_path / "logs" / "line"))
    board.Reload()
    assert [point.step for point in board.Scalars("loss")] == list(range(1, 101))
    assert {"learning_rate", "gradient_norm", "slope"} <= set(board.Tags()["scalars"])


def test_sheets_do_not_change_the_run(tmp_path: Path) -> None:
    curves = []
    for show_every in (0, 3):
        run = Run(Line(Schedule(steps=9, learning_rate=0.05, batch=4)), tmp_path / str(show_every), show_every=show_every)
        run.go_on()
        curves.append(run.losses)
    assert curves[0] == curves[1]


def test_a_batch_in_parts_is_a_batch(tmp_path: Path) -> None:
    run = Run(Line(Schedule(steps=80, learning_rate=0.05, batch=8, accumulate=4, warmup=5)), tmp_path, say=lambda line: None)
    run.go_on()
    assert sum(run.losses[-10:]) < 0.1 * sum(run.losses[:10])
    assert run.step == len(run.losses) == 80


@pytest.mark.long  # three processes that load torch
def test_two_processes_share_a_batch_and_agree(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    arguments = ["-m", "training", "text-encoder", "--steps", "12", "--batch", "32", "--cache", str(tmp_path)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-2000:]
    losses = torch.load(tmp_path / "text-encoder.pt", weights_only=True)["losses"]
    assert len(losses) == 12
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_help_lists_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in RECIPES)


def test_the_command_says_what_filters_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pictures").mkdir()
    for name, colour in (("a", "red"), ("b", "red"), ("c", "blue")):
        Image.new("RGB", (64, 64), colour).save(tmp_path / "pictures" / f"{name}.png")
    command = ["data", str(tmp_path / "pictures"), "--min-side", "32", "--duplicates", "--cache", str(tmp_path / "cache")]
    for _ in range(2):
        main(command)
        assert "duplicates        -1" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no function"):
        main([*command, "--least-match", "1", "--match-by", "nowhere:nothing"])

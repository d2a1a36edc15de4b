"""The table of super-resolution: decibels over bicubic with an interval, from a run's weights."""

import re
from pathlib import Path

import pytest

from benchmarks import super_resolution
from benchmarks.super_resolution import mean_interval
from tests.training.learning import run
from training.super_resolution import PRESETS, SuperResolutionRecipe


def test_the_interval_is_of_the_mean() -> None:
    mean, low, high = mean_interval([1.0, 2.0, 3.0, 4.0] * 25)
    assert mean == 2.5
    assert high - mean == pytest.approx(mean - low) == pytest.approx(1.96 * 1.1237 / 10, rel=0.01)


@pytest.mark.long
def test_a_run_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setattr(super_resolution, "PHOTOGRAPHS", ("cat",))
    run(SuperResolutionRecipe(PRESETS["nano"]), tmp_path, until=1)
    super_resolution.main(["--n", "2", "--cache", str(tmp_path), "--recipe", "super-resolution", "--out", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    gains = re.findall(r"(clean scenes|damaged scenes|photographs) +([+-]\d+\.\d+) dB \[", shown)
    assert [name for name, _ in gains] == ["clean scenes", "damaged scenes", "photographs"]
    assert all(-4 < float(gain) < 1 for _, gain in gains)  # bilinear enlargement is what it begins with
    assert re.search(r"cat +[+-]\d", shown)
    assert (tmp_path / "out" / "cat-x4.png").exists()

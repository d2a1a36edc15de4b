"""The judge's recipe learns where a sign is, on what it is told, and writes what the engine loads."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from engine.families import NANO
from engine.safety.mark import FORBIDDEN, STRIDE, MarkJudge, load
from engine.weights import Folder
from tests.training.learning import check, run
from training.enlarging import to_picture
from training.forbidden_mark import SIGN, painted, stamp
from training.loop import CPU, Schedule, load_average
from training.recipes import RECIPES, Wishes
from training.safety_judge import SIDE, SafetyJudgeRecipe, _other, example, marked


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_it_learns_where_a_sign_is(tmp_path: Path) -> None:
    check(lambda: SafetyJudgeRecipe(Schedule(steps=40, learning_rate=1e-2, batch=8, warmup=4)), tmp_path, fall=0.8)


def test_what_is_written_is_what_the_engine_loads(tmp_path: Path) -> None:
    recipe = SafetyJudgeRecipe(Schedule(steps=2, learning_rate=1e-3, batch=2))
    run(recipe, tmp_path)
    steps = load_average(tmp_path, recipe.name, recipe.trained)
    recipe.network.head.bias.data.fill_(-1)  # so that it passes a blank picture
    (name,) = recipe.write(tmp_path / "family", steps)
    read = load(Folder(NANO, tmp_path / "family"), CPU)
    seen = to_picture(marked(Random(1)))
    assert name == "forbidden_mark"
    assert read.score(seen) == pytest.approx(MarkJudge(recipe.network).score(seen), abs=0.01)
    assert isinstance(RECIPES["safety-judge"].build(Wishes(tmp_path)), SafetyJudgeRecipe)


def test_the_sign_has_bands_of_two_colours_inside_a_rim() -> None:
    colours, mask = painted(30.0, 34, (0.0, 0.0))
    inside = colours[mask > 0.99]
    yellow = (np.abs(inside - np.array(SIGN.light) / 255).max(1) < 0.05).mean()
    black = (np.abs(inside - np.array(SIGN.dark) / 255).max(1) < 0.05).mean()
    assert 0.3 < yellow < 0.6
    assert 0.3 < black < 0.6
    assert mask.sum() == pytest.approx(8 * (2**0.5 - 1) * 30**2, rel=0.02)  # an octagon's area
    assert colours[34, 34] == pytest.approx(np.array(SIGN.light) / 255, abs=0.01)


def test_a_stamp_changes_its_place_alone_and_may_reach_over_the_edge() -> None:
    ground = np.full((96, 128, 3), 0.5, dtype=np.float32)
    inside = stamp(ground, 0.6, 0.5, 0.2)
    changed = np.abs(inside - ground).max(-1) > 0
    rows, columns = np.nonzero(changed)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((48, 57.6), abs=0.6)
    assert np.ptp(rows) == pytest.approx(38, abs=2)
    assert (ground == 0.5).all()
    over = stamp(ground, 0.0, 0.0, 0.2)
    assert 0.2 < (np.abs(over - ground).max(-1) > 0).sum() / changed.sum() < 0.3


def test_answers_are_yes_at_the_centre_and_no_far_from_it() -> None:
    rng, signed = Random(2), 0
    for each in [example(rng) for _ in range(60)]:
        assert each.pixels.shape == (3, SIDE, SIDE)
        assert each.answers.shape == (SIDE // STRIDE, SIDE // STRIDE)
        assert set(each.answers.unique().tolist()) <= {-1.0, 0.0, 1.0}
        assert (each.answers == 0).any()
        signed += bool((each.answers > 0).any())
        assert (each.answers > 0).sum() <= 4
    assert 18 < signed < 42


def test_what_resembles_the_sign_is_never_the_sign() -> None:
    rng = Random(3)
    looks = [_other(rng) for _ in range(300)]
    assert SIGN not in looks
    assert len(set(looks)) > 50


def test_a_judge_of_one_place_finds_it() -> None:
    """The score is the largest anywhere, in any size."""
    recipe = SafetyJudgeRecipe()
    for parameter in recipe.network.parameters():
        parameter.data.zero_()
    recipe.network.head.bias.data.fill_(1.0)
    assert MarkJudge(recipe.network)(to_picture(marked(Random(1)))) == FORBIDDEN

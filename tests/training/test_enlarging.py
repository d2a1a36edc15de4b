"""An enlarger is measured against bicubic on pictures held out, through the engine's own pipelines."""

from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from training.damage import Damage
from training.enlarging import KINDS, bicubic, enlarged, gains, held_out, psnr, shrunk_plainly, to_picture
from training.super_resolution import NANO_UNET, build, painted


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_adds_nothing_is_bilinear_enlargement(kind: str) -> None:
    pairs = held_out(kind, 2, 128, 4, Damage())
    for (small, large), (own, plain) in zip(pairs, gains(build(NANO_UNET), pairs, 4), strict=True):
        assert (small.size, large.size) == ((32, 32), (128, 128))
        assert own == pytest.approx(psnr(small.resize((128, 128), Image.Resampling.BILINEAR), large), abs=0.05)
        assert plain == psnr(bicubic(small, 4), large)
        assert 10 < plain < 60


def test_flash_enlarges_twice_by_its_own_pipeline() -> None:
    small = to_picture(painted(Random(2), 32, 1.0))
    found = enlarged(build({**NANO_UNET, "patch": 2}), small, 2, flash=True)
    assert np.abs(np.asarray(found, int) - np.asarray(small.resize((64, 64), Image.Resampling.BILINEAR), int)).max() <= 1


def test_what_is_held_out_is_the_same_every_time_and_damage_harms() -> None:
    clean, again = held_out("clean", 3, 64, 2, Damage()), held_out("clean", 3, 64, 2, Damage())
    assert all(np.array_equal(one[0], other[0]) for one, other in zip(clean, again, strict=True))
    harmed = held_out("damaged", 3, 64, 2, Damage())
    for (plain, large), (small, same) in zip(clean, harmed, strict=True):
        assert np.array_equal(large, same)
        assert np.array_equal(plain, shrunk_plainly(large, 2))
        assert psnr(bicubic(small, 2), large) < psnr(bicubic(plain, 2), large)


def test_psnr() -> None:
    grey, lighter = (Image.new("RGB", (8, 8), (value,) * 3) for value in (100, 110))
    assert psnr(grey, lighter) == pytest.approx(20 * np.log10(255 / 10))
    assert psnr(grey, grey) == 60

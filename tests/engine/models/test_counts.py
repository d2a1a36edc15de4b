"""What a pass and a decode of full size cost, counted on the meta device; `benchmarks.engine_counts` prints all of it."""

import pytest
import torch

from benchmarks.engine_counts import (
    GB,
    GIB,
    HALF,
    TERA,
    Counts,
    count_decode,
    count_pass,
    count_round_trips,
    count_window,
    full_unet,
)


@pytest.fixture(scope="module")
def flash_pass() -> Counts:
    return count_pass(full_unet(), guided=False)


def test_a_flash_pass_is_lighter_than_the_official_one(flash_pass: Counts):
    assert flash_pass.flops < 3.07 * TERA  # official 3.244
    assert flash_pass.bytes < 14 * GB  # 22.7
    assert flash_pass.kernels < 920  # 2,296
    assert flash_pass.parameter_bytes < 4 * GB  # 6.08


def test_a_guided_step_skips_the_empty_prompts_attention():
    assert count_pass(full_unet(), guided=True).flops < 5.95 * TERA  # official 6.488


def test_a_decode_fits_where_the_official_one_does_not():
    decode = count_decode(HALF)

    assert decode.flops < 30.1 * TERA  # official 34.12
    assert decode.peak < 2.7 * GIB  # 5.0
    assert count_decode(torch.float32).peak < 5.2 * GIB  # 10.0


def test_a_window_of_super_resolution_needs_half_the_official_memory():
    window = count_window()

    assert window.flops < 15.7 * TERA  # official 15.89
    assert window.bytes < 27 * GB  # 34
    assert window.peak < 0.6 * GIB  # 1.2; engine/pipelines/upscaling.py counts on it


def test_a_whole_frame_of_4096_fits_beside_the_other_networks():
    assert count_window(4096).peak < 9.5 * GIB  # official 19.1


@pytest.mark.parametrize("flash", [True, False])
def test_no_value_crosses_to_the_host_inside_the_loop(flash: bool):
    assert count_round_trips(flash) == 0

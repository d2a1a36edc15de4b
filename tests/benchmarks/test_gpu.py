"""`python -m benchmarks.gpu` as a dry run: tiny networks on a CPU, every row, and both sides of each comparison alike."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers.models.mistral.configuration_mistral import MistralConfig
from transformers.models.mistral.modeling_mistral import MistralForCausalLM

from benchmarks.gpu.__main__ import GROUPS, Group, run
from benchmarks.gpu.clock import race
from benchmarks.gpu.rig import RandomFolder, Rig
from benchmarks.gpu.sizes import FULL, TINY
from benchmarks.gpu.table import Row
from engine.components import Components

CPU = torch.device("cpu")
MODES = (
    "image to image",
    "refine",
    "inpaint",
    "outpaint",
    "panorama",
    "variation",
    "mix",
    "outline",
    "regions",
    "upscale",
    "beautify",
)


class Shapes(RandomFolder):
    """Networks without their numbers."""

    def _random(self, name: str, shape: torch.Size | tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")


@pytest.fixture(scope="module")
def rig() -> Rig:
    torch.set_num_threads(1)
    return Rig(TINY, CPU)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out") / "bench-gpu.md"


@pytest.fixture(scope="module")
def rows(rig: Rig, table: Path) -> list[Row]:
    return run(rig, file=table)


@pytest.mark.long
def test_every_row_is_there_with_finite_numbers(rows: list[Row]):
    assert {row.name for row in rows} == {group.name for group in GROUPS} == {"M", *(f"G{number}" for number in range(1, 12))}
    assert not [(row.name, row.what, row.failed) for row in rows if row.failed]
    for row in rows:
        assert all(math.isfinite(value) and value >= 0 for value in (row.ours, *row.theirs.values(), *row.errors.values())), row
    modes = [row.what for row in rows if row.name == "M"]
    assert all(any(what.startswith(mode) for what in modes) for mode in MODES)


@pytest.mark.long
def test_ours_and_the_baselines_agree(rows: list[Row]):
    compared = [row for row in rows if row.errors]

    assert {row.name for row in compared} == {"G1", "G2", "G3", "G4"}
    for row in compared:
        exact = 0.1 if "bfloat16" in row.what else 1e-4
        assert row.errors["ours"] < exact, row
        assert all(error < (0.3 if name == "O16" else 1e-4) for name, error in row.errors.items() if name != "ours"), row


@pytest.mark.long
def test_the_table_is_left_as_markdown(rows: list[Row], table: Path):
    lines = table.read_text().splitlines()

    assert len(lines) == len(rows) + 4  # the machine, a blank line, head and rule
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_what_fails_says_why_on_one_line_and_the_next_row_goes_on(rig: Rig):
    def full(rig: Rig) -> Iterator[Row]:
        yield Row("A", "before", 1.0)
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20.00 GiB")

    def fine(rig: Rig) -> Iterator[Row]:
        yield rig.attempt("B", "no kernel", lambda: 1 / 0)
        yield Row("B", "after", 2.0)

    rows = run(rig, groups=[Group("A", full), Group("B", fine)])

    assert [(row.name, row.failed) for row in rows] == [
        ("A", ""),
        ("A", "out of memory"),
        ("B", "ZeroDivisionError: division by zero"),
        ("B", ""),
    ]


def test_a_baseline_that_fails_leaves_the_others_their_times():
    def broken() -> None:
        raise RuntimeError("no kernel for this card\nand a long explanation")

    timed = race({"ours": lambda: None, "D": broken, "O": lambda: None}, CPU, rounds=2)

    assert set(timed.seconds) == {"ours", "O"}
    assert timed.note == "D: RuntimeError: no kernel for this card"


def test_no_row_begins_after_the_limit(rig: Rig):
    (row,) = run(rig, only=["G1"], limit_s=-1)

    assert "--only G1" in row.failed


def test_the_full_size_is_that_of_the_published_networks():
    meta, unets = torch.device("meta"), FULL.family.unets
    parts = Components(Shapes(FULL, meta, torch.bfloat16), meta, torch.bfloat16)
    sizes = {
        parts.unet(unets["base"]): 3_038_562_820,
        parts.unet(unets["inpaint"]): 3_038_571_460,
        parts.movq(): 270_603_567,
        parts.controlnet(): 469_613_584,
        parts.picture_prompt(): 378_991_872,
        parts.text_encoder(): 8_721_797_632,
        parts.picture_encoder().network: 303_966_208,
    }
    with meta:
        sizes[MistralForCausalLM(MistralConfig(**FULL.configs["language_model"]))] = 7_241_732_096

    for network, size in sizes.items():
        named = network.named_parameters()
        count = sum(parameter.numel() for name, parameter in named if name != "encoder.embed_tokens.weight")  # tied to `shared`
        assert count == size, type(network).__name__

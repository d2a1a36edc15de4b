"""Kandinsky at full size with random weights against the baselines, on one GPU: `python -m benchmarks.gpu`.

Rows are named as in section 5 of the performance notes; M is every other mode. Baselines: O is diffusers' graph in float32 with
attention scores written out, as the official README runs it; O16 the same with the UNet in float16 under autocast; D is diffusers
in bfloat16; DC (--compile) is D in channels-last layout under torch.compile max-autotune. Calls go in turn; times are medians of
wall time from an idle device to an idle device. Errors are relative norms against float32 without TensorFloat-32.
`--tiny` runs the same code over tiny networks, on a CPU in seconds; its figures mean nothing.
"""

import argparse
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu import drawing, floors, larger, modes, start
from benchmarks.gpu.clock import reason
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.sizes import FULL, TINY
from benchmarks.gpu.table import Row, Table

LIMIT_S = 590.0  # so that a whole run ends within ten minutes
CPU_THREADS = 1  # the engine's own number


@dataclass(frozen=True)
class Group:
    """Rows of one name. about_s: guessed, at full size.  fresh: what was loaded before goes first.  alone: the baselines go."""

    name: str
    rows: Callable[[Rig], Iterator[Row]]
    about_s: float = 0.0
    fresh: bool = False
    alone: bool = False


# Groups that share networks stand together; what needs most memory has the device to itself.
GROUPS = (
    Group("G1", drawing.flash, 30),
    Group("G2", drawing.careful, 70),
    Group("G3", drawing.decoding, 15),
    Group("G5", floors.arithmetic, 15, alone=True),
    Group("G7", floors.busy, 5, alone=True),
    Group("G9", drawing.flash_over_careful, 10, alone=True),
    Group("G8", drawing.in_flight, 25, alone=True),
    Group("M", modes.modes, 110, alone=True),
    Group("G4", larger.super_resolution, 50, fresh=True),
    Group("G6", floors.bandwidth, 40, fresh=True),
    Group("G11", start.small_cards, 80, fresh=True),
    Group("G10", start.starting, 100, fresh=True),
)


def run(
    rig: Rig, only: Sequence[str] = (), file: Path | None = None, limit_s: float = LIMIT_S, groups: Sequence[Group] = GROUPS
) -> list[Row]:
    """Print rows as they are ready and return them; a group that fails says why, and the next one goes on."""
    began = time.monotonic()
    table = Table(f"{_machine(rig.device)}; this run reaches {rig.ceilings}", file)
    for group in groups:
        if only and group.name not in only:
            continue
        if time.monotonic() - began + group.about_s > limit_s:
            table.add(Row(group.name, "", failed=f"may not end within {limit_s:.0f} s; run it alone: --only {group.name}"))
            continue
        if group.fresh:
            rig.drop()
        elif group.alone:
            rig.drop_baselines()
        failed = _rows(rig, group, table)
        if failed:
            rig.drop()  # only now: the error's frames held tensors
            table.add(Row(group.name, "", failed=failed))
    return table.rows


def _rows(rig: Rig, group: Group, table: Table) -> str:
    """Why the group broke off, or nothing."""
    try:
        for row in group.rows(rig):
            table.add(row)
    except Exception as error:
        return reason(error)
    return ""


def _machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, tiny networks: the figures mean nothing"
    return f"{name}, torch {torch.__version__}"


def main() -> None:
    """Parse, run, and leave the table in the folder that OUT names, if it names one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=(), choices=[group.name for group in GROUPS], help="these rows alone")
    parser.add_argument("--tiny", action="store_true", help="tiny networks: a dry run")
    parser.add_argument("--device", help="cuda, or cpu with --tiny")
    parser.add_argument("--compile", action="store_true", help="also DC; it compiles for minutes")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds within which the run ends")
    arguments = parser.parse_args()
    device = torch.device(arguments.device or ("cpu" if arguments.tiny else "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --tiny runs everything on a CPU")
    if device.type == "cpu" and not arguments.tiny:
        parser.error("full size on a CPU takes days; add --tiny")
    logging.getLogger("diffusers").setLevel(logging.ERROR)  # casting whole networks is meant
    torch.set_num_threads(CPU_THREADS)
    out = os.environ.get("OUT")
    rig = Rig(TINY if arguments.tiny else FULL, device, arguments.compile)
    run(rig, arguments.only, Path(out) / "bench-gpu.md" if out else None, arguments.limit)


if __name__ == "__main__":
    main()

"""`python -m benchmarks.overhead --quick`, every row: it is made of parts of the bot that change under its feet."""

import asyncio
import math
import re
import sys
from pathlib import Path

import pytest

from benchmarks.overhead import MEASUREMENTS
from tests.servers import Postgres, Redis, require

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"(?<![\w.,-])-?(?:\d[\d,]*(?:\.\d+)?|nan|inf)")


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("names", MEASUREMENTS, ids="-".join)
async def test_every_row_comes_out_with_positive_finite_numbers(names: tuple[str, ...]):
    require(Postgres)
    require(Redis)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.overhead", "--quick", "--only", *names),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in said.decode().splitlines()[2:]]
    assert {name for name, *_ in rows} == set(names)
    for *_, measured in rows:
        first, *others = [float(number.replace(",", "")) for number in NUMBER.findall(measured)]
        assert 0 < first < math.inf, measured
        assert all(0 <= number < math.inf for number in others), measured  # a share of the CPU may be rounded to none

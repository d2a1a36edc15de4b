"""`python -m tests.chaos [--size commit|nightly] [--side SIDE] [--seed N]`: one run a side, and the report."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.cluster import SIDES
from tests.chaos.run import SIZES, chaos


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="commit")
    parser.add_argument("--side", choices=SIDES, action="append", help="default: all, one after the other")
    parser.add_argument("--seed", type=int, help="of the people and the faults; default: a new one")
    parser.add_argument("--log", type=Path, help="keep what the processes say here")
    options = parser.parse_args()
    held = True
    for side in options.side or SIDES:
        seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
        print(f"{side}, seed {seed} …", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="kandinsky-chaos-") as folder:
            report = asyncio.run(chaos(side, SIZES[options.size], seed, Path(folder)))
            if options.log:
                options.log.write_bytes((Path(folder) / "log").read_bytes())
        print(report, f"  {time.monotonic() - began:.0f} s", sep="\n", flush=True)
        held &= report.held
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

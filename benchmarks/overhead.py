"""Everything but the engine: what bot, queue and database cost. `python -m benchmarks.overhead [--only B1 B6] [--quick]`.

The rows B1 to B7, B9 and B10, with a fake engine of 0 ms on private servers; what exactly is measured is said beside each
measurement. Wall-clock figures depend on what else the machine does; CPU times and counts hardly do.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Awaitable, Callable

from benchmarks import overhead_line, overhead_request, overhead_scale
from benchmarks.overhead_rig import Row, Servers, servers

Measure = Callable[[Servers, int], Awaitable[list[Row]]]

# rows -> (measurement, size, size with --quick)
MEASUREMENTS: dict[tuple[str, ...], tuple[Measure, int, int]] = {
    ("B1",): (overhead_request.accept, 200, 30),
    ("B2",): (overhead_request.reply, 100, 15),
    ("B3", "B4", "B5"): (overhead_line.round_trips, 250, 50),
    ("B6",): (overhead_scale.queue, 100, 10),
    ("B7",): (overhead_scale.people_and_history, 100, 10),
    ("B9",): (overhead_line.flood, 200, 40),
    ("B10",): (overhead_line.drain, 600, 60),
}


async def measure(only: list[str], quick: bool) -> None:
    """Print the table row by row."""
    print("| row | what | bar | stretch | measured |\n|---|---|---|---|---|", flush=True)
    async with servers() as both:
        for names, (run, size, small) in MEASUREMENTS.items():
            if only and not set(names) & set(only):
                continue
            for row in await run(both, small if quick else size):
                print(f"| {row.name} | {row.what} | {row.bar} | {row.stretch} | {row.measured} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="ROW", help="measure these rows only")
    parser.add_argument("--quick", action="store_true", help="few samples: whether it runs, not what it costs")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    os.chdir("/")  # a `.env` of the folder this was started in decides nothing
    asyncio.run(measure(options.only, options.quick))


if __name__ == "__main__":
    main()

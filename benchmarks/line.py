"""How long a person waits: the demo's own processes, timed from outside. `python -m benchmarks.line [--flash 10]`."""

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from pathlib import Path

from bot.demo import demo_storage, sandbox_environment
from bot.supervise import Supervisor, engine_children
from engine import catalog
from sandbox.person import Person
from sandbox.server import Sandbox
from storage.database import Database
from storage.schema import migrate

_PATIENCE_S = 120.0


async def measure(flash: int) -> list[tuple[str, str, str]]:
    """Return rows of (what, bar, measured)."""
    storage = demo_storage(Path(tempfile.mkdtemp(prefix="kandinsky-bench-")))
    database = Database(storage.database)
    await migrate(database)
    await database.close()
    async with Sandbox() as sandbox:
        children = engine_children(catalog.DEFAULT_FAMILY, sandbox_environment(sandbox, storage))
        supervisor = asyncio.create_task(Supervisor(children, storage, stop_s=3).run())
        try:
            person = sandbox.person("Bench", patience=_PATIENCE_S)
            first = await _picture(person)  # written before bot and worker are up
            later = [await _picture(person) for _ in range(flash)]
            await person.presses("With care")
            await person.sees_text("Drawing")
            other = sandbox.person("Other", patience=_PATIENCE_S)
            await other.says("/start")
            hello = await other.sees(lambda message: bool(message.labels))
            taps = [await (await other.presses(hello.labels[0])).answered() for _ in range(10)]
            began = time.monotonic()
            await person.sees_photo()
            careful = time.monotonic() - began
        finally:
            supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervisor
    seconds = [tap.seconds for tap in taps]
    return [
        ("first picture, from a message sent before anything runs", "10 s", f"{first:.1f} s"),
        (f"later Flash, four pictures, median of {flash}", "3 s", f"{statistics.median(later):.2f} s"),
        (f"later Flash, slowest of {flash}", "3 s", f"{max(later):.2f} s"),
        ("a tap answered while the worker draws, slowest of 10", "1 s", f"{max(seconds):.2f} s"),
        ("base, four pictures, fifty steps: the rest of it", "", f"{careful:.1f} s"),
    ]


async def _picture(person: Person) -> float:
    began = time.monotonic()
    await person.says("a big red circle on a blue background")
    await person.sees_photo()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flash", type=int, default=10, help="how many later Flash drawings to time")
    rows = asyncio.run(measure(parser.parse_args().flash))
    print("| what | bar | measured |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()

"""`python -m sandbox`: Telegram as a process of its own, which outlives the bot, its workers and the tests."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from sandbox.server import Sandbox


async def serve(arguments: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT; the first line of the output is the address."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    sandbox = Sandbox(token=arguments.token, port=arguments.port, ledger_path=arguments.ledger, ledger_fsync=arguments.fsync)
    async with sandbox:
        print(sandbox.url, flush=True)
        await ended.wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--token", default="42:TEST-sandbox", help="what the bot must say it is")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--ledger", type=Path, help="append every accepted call to this file, a line of JSON each")
    parser.add_argument("--fsync", action="store_true", help="have each line on the disk before its answer leaves")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()

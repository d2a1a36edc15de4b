"""One machine: the bot and its workers as child processes, started again when they die."""

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from bot.jobs import Jobs
from bot.settings import JobSettings, StorageSettings, process_name, read
from engine import catalog
from storage.database import Database
from storage.repositories.workers import WorkerRepository

log = logging.getLogger(__name__)

_STOP_S = 25.0
_QUIET = "ignore::UserWarning:billiard.semaphore_tracker"  # a worker that is killed leaves its semaphores to be cleaned up
_PR_SET_PDEATHSIG = 1
_GIVE_UP = 5  # quick deaths in a row


@dataclass
class Child:
    """A command of ours that should always run."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: IO[bytes] | None = None  # where what it says goes; None is where ours goes
    process: asyncio.subprocess.Process | None = None
    deaths: int = field(default=0)

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the folder this was started in may hold a `bot` of its own
            "-m",
            "bot.cli",
            *self.arguments,
            env={**os.environ, "PYTHONWARNINGS": _QUIET, **self.environment},
            stderr=self.log,
            preexec_fn=_end_with_parent,
            process_group=0,  # Ctrl+C reaches the supervisor alone, and that stops its children in order
        )


def _end_with_parent() -> None:
    """In the child: end when the supervisor does, however it ends. Linux only; elsewhere leases run out."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def engine_children(family: str, environment: Mapping[str, str]) -> list[Child]:
    """The bot and one worker with everything of the family that is here, as `up` and `demo` run them."""
    lanes = ",".join(catalog.lanes_here(family) or catalog.family(family).lanes)
    draws = {**environment, "DRAW_FAMILY": family}
    return [
        Child("bot", ("run",), draws),
        Child("worker", ("worker", "--family", family, "--lanes", lanes), draws),
    ]


class ChildGivesUp(Exception):
    """A child cannot stay up; it said why."""


class Supervisor:
    """Start children, start them again when they die, stop them together."""

    def __init__(self, children: list[Child], storage: StorageSettings, stop_s: float = _STOP_S) -> None:
        self._children, self._storage, self._stop_s = children, storage, stop_s

    async def run(self) -> None:
        """Run until cancelled. Raises: ChildGivesUp when one dies again and again, or says it cannot run at all."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for child in self._children:
                    tasks.create_task(self._keep(child))
        except* ChildGivesUp as group:
            raise group.exceptions[0] from None
        finally:
            await self._stop()

    async def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            await child.start()
            assert child.process is not None  # noqa: S101  just started
            code = await child.process.wait()
            child.deaths = child.deaths + 1 if loop.time() - started < 10 else 1
            if code == 2 or child.deaths >= _GIVE_UP:
                raise ChildGivesUp(f"{child.name} cannot run (exit code {code}); its last lines above say why.")
            log.warning("%s ended with code %d; starting it again", child.name, code)
            await self._release_jobs_of(child.process.pid, crashed=True)
            await asyncio.sleep(0.1 * 2 ** min(child.deaths - 1, 5))

    async def _stop(self) -> None:
        """Ask every child to finish what it is doing, then insist."""
        running = [child.process for child in self._children if child.process and child.process.returncode is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                await asyncio.wait_for(process.wait(), self._stop_s)
            except TimeoutError:
                process.kill()
                await process.wait()
                await self._release_jobs_of(process.pid, crashed=False)

    async def _release_jobs_of(self, pid: int, *, crashed: bool) -> None:
        """Give back at once what a dead worker was drawing: no need to wait for its lease."""
        database = Database(self._storage.database)

        async def nobody(queue: str, times: int) -> None:
            """The worker that starts next looks for work by itself."""

        try:
            await Jobs(database, read(JobSettings), nobody).release(process_name(pid), "worker process lost", crashed)
            async with database.begin() as session:
                await WorkerRepository(session).gone(process_name(pid))
        except Exception as error:
            log.error("jobs of process %d not given back: %s; the sweep will", pid, type(error).__name__)
        finally:
            await database.close()

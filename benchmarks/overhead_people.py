"""The people of a benchmark and their Telegram, as one process: orders come in as lines of JSON, reports go out.

A person here costs next to nothing: one task reads the sandbox's event log and wakes who waits for a chat.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.overhead_rig import PROMPT, TOKEN
from sandbox import acts
from sandbox.server import Sandbox
from sandbox.world import Human

_PATIENCE_S = 240.0


class People:
    """What an order may ask them to do; every public method is one order."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._world = sandbox.world
        self._names = itertools.count(1)
        self._waiting: dict[tuple[int, str], asyncio.Future[float]] = {}
        self._drawn: dict[int, float] = {}  # chat id -> when its first picture came

    async def look(self) -> None:
        """Watch the event log for ever."""
        position = 0
        while True:
            events = self._world.events
            for event in itertools.islice(events, position, None):
                what = {"message": "text", "edit": "edited"}.get(event.kind)
                if what and event.data["from"]["is_bot"]:
                    self._seen(event.chat_id, "photo" if "photo" in event.data else what)
            position = len(events)
            await self._world.changes.wait_until(time.monotonic() + 1)

    def _seen(self, chat_id: int, what: str) -> None:
        if what == "photo":
            self._drawn.setdefault(chat_id, time.monotonic())
        waiter = self._waiting.pop((chat_id, what), None)
        if waiter is not None and not waiter.done():
            waiter.set_result(time.monotonic())

    def _person(self) -> Human:
        return self._world.add_human(f"Person {next(self._names)}", "en")

    async def _write(self, human: Human, what: str) -> float:
        """Write a prompt and wait for a message of this kind; return the seconds it took."""
        waiter: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[human.id, what] = waiter
        began = time.monotonic()
        acts.say(self._world, human, PROMPT)
        async with asyncio.timeout(_PATIENCE_S):
            return await waiter - began

    async def loop(self, people: int, requests: int, what: str = "photo") -> dict[str, Any]:
        """A closed loop: so many people at any time, each a new one, write and wait for the answer."""
        left = iter(range(requests))

        async def one() -> list[float]:
            return [await self._write(self._person(), what) for _ in left]

        began, cpu = time.monotonic(), time.process_time()
        seconds = await asyncio.gather(*(one() for _ in range(people)))
        return {
            "seconds": list(itertools.chain.from_iterable(seconds)),
            "wall_s": time.monotonic() - began,
            "cpu_s": time.process_time() - cpu,
        }

    async def beside_flood(self, updates: int, people: int, requests: int) -> dict[str, Any]:
        """The same loop while one chat sends so many updates at once."""
        flooder = self._person()
        for _ in range(updates):
            acts.say(self._world, flooder, PROMPT)
        return await self.loop(people, requests)

    async def say(self, people: int) -> dict[str, Any]:
        """So many people write once, and see that they were heard."""
        self._drawn.clear()
        began = time.monotonic()
        await asyncio.gather(*(self._write(self._person(), "text") for _ in range(people)))
        return {"wall_s": time.monotonic() - began}

    async def drained(self, pictures: int) -> dict[str, Any]:
        """Wait until so many people have their first picture; return when each came."""
        deadline = time.monotonic() + _PATIENCE_S
        while len(self._drawn) < pictures:
            if not await self._world.changes.wait_until(deadline):
                raise TimeoutError(f"{len(self._drawn)} of {pictures} pictures")
        return {"at": sorted(self._drawn.values())}


async def main() -> None:
    async with Sandbox(token=TOKEN) as sandbox:
        people = People(sandbox)
        looking = asyncio.create_task(people.look())
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        _report({"url": sandbox.url})
        while line := await reader.readline():
            order = json.loads(line)
            do: Callable[..., Any] = getattr(people, order.pop("do"))
            try:
                _report(await _watched(do(**order), looking))
            except Exception as error:
                _report({"error": f"{type(error).__name__} {error}"})
        looking.cancel()


async def _watched(doing: Coroutine[Any, Any, dict[str, Any]], looking: "asyncio.Task[None]") -> dict[str, Any]:
    """Do what was ordered; people who look no more would wait for ever, so that ends it at once."""
    task = asyncio.create_task(doing)
    await asyncio.wait({task, looking}, return_when=asyncio.FIRST_COMPLETED)
    if looking.done():
        task.cancel()
        looking.result()
    return await task


def _report(report: dict[str, Any]) -> None:
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

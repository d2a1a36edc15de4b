"""Which faults a run gets, and when: spread over its wishes, in an order drawn from the seed."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from storage.places import Place
from tests.chaos.cluster import WORKERS, Cluster
from tests.chaos.observer import Observer

KILLS = {"worker": 3, "render child": 2, "bot": 2, "broker": 2, "database": 2}
OTHERS = {"worker drained": 1, "broker flushed": 1, "render child frozen past its lease": 1}
FAULTS = (*(str(place) for place in Place), *itertools.chain.from_iterable([n] * count for n, count in (KILLS | OTHERS).items()))
_LATE = 5
_BOT_PLACES = (Place.BEFORE_CALL, Place.AFTER_CALL, Place.BEFORE_DELIVERED)


@dataclass(frozen=True)
class Blow:
    """A fault that was dealt, and the jobs that were being drawn where it hit."""

    name: str
    at: float
    jobs: tuple[int, ...] = ()


@dataclass
class Plan:
    """Faults in an order drawn from the seed. FAULTS are 20 kills (nine of them at marked places) and what is no kill."""

    cluster: Cluster
    observer: Observer
    seed: int
    wishes: int
    faults: Sequence[str] = FAULTS
    dealt: Counter[str] = field(default_factory=Counter)
    blows: list[Blow] = field(default_factory=list)

    async def deal(self) -> None:
        chance = random.Random(f"plan {self.seed}")
        for number, name in enumerate(self._order(chance)):
            await self.observer.wait_ended(int(0.9 * self.wishes * number / len(self.faults)))
            await self._one(name, chance)

    def _order(self, chance: random.Random) -> list[str]:
        """Drawn from the seed; but the last ones are at no place, which somebody must still pass once it is armed."""
        order = chance.sample(self.faults, len(self.faults))
        late = [number for number, name in enumerate(order) if name not in list(Place)][-_LATE:]
        return [name for number, name in enumerate(order) if number not in late] + [order[number] for number in late]

    @property
    def kills(self) -> int:
        """Processes killed, those at marked places included."""
        return sum(count for name, count in self.dealt.items() if name not in OTHERS)

    async def _one(self, name: str, chance: random.Random) -> None:
        cluster, worker = self.cluster, chance.choice(WORKERS)
        if name in list(Place):
            await self._at_place(Place(name), chance)
            return
        jobs: tuple[int, ...] = ()
        while name in ("worker", "render child") and not (jobs := await self._drawing_on(worker)):
            worker = chance.choice(WORKERS)  # one that has something to lose
        at = time.time()
        hit = {
            "worker": lambda: cluster.kill(worker),
            "render child": lambda: cluster.kill_child(worker),
            "bot": cluster.kill_leader,
            "broker": cluster.kill_broker,
            "database": cluster.kill_database,
            "worker drained": lambda: cluster.drain(worker),
            "broker flushed": cluster.flush_broker,
            "render child frozen past its lease": lambda: cluster.freeze(worker),
        }[name]
        while not await hit():  # noqa: ASYNC110  the victim has just died of something else
            await asyncio.sleep(0.2)
        self.dealt[name] += 1
        self.blows.append(Blow(name, at, jobs))

    async def _at_place(self, place: Place, chance: random.Random) -> None:
        """Arm a place; whoever passes it next dies, which is seen by the file being gone."""
        victim = "alone" if place in _BOT_PLACES else chance.choice(["alone", "group"])
        self.cluster.arm(place, victim)
        self.dealt[place] += 1
        self.blows.append(Blow(place, time.time()))

    async def _drawing_on(self, worker: str) -> tuple[int, ...]:
        rows = await self.cluster.sql(
            "SELECT id FROM job WHERE state = 'running' AND worker_id = :worker", worker=self.cluster.worker_id(worker)
        )
        return tuple(int(str(job_id)) for (job_id,) in rows)

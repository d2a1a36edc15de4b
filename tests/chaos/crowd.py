"""The people of a chaos run: they write, press, press again, and cancel, each at their own pace, by a seed."""

import asyncio
import random
from dataclasses import dataclass, field

from sandbox.person import Person
from sandbox.server import Sandbox
from tests.chaos.observer import Key, Observer

_COLOURS = ("red", "green", "blue", "yellow", "black")
_SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
_AT_ONCE = 3  # wishes that one person may have in work
_PRESSES = 3  # of one button, at once


@dataclass
class Crowd:
    """`wishes` things wanted by `people`; each is known by its chat and the message that was written or pressed."""

    sandbox: Sandbox
    observer: Observer
    people: int
    wishes: int
    seed: int
    wished: dict[Key, str] = field(default_factory=dict)  # what each wish was: "message", "press"

    async def live(self) -> None:
        """Return when everybody has wished for everything and has seen what came of it."""
        share = [self.wishes // self.people + (number < self.wishes % self.people) for number in range(self.people)]
        async with asyncio.TaskGroup() as tasks:
            for number, count in enumerate(share):
                tasks.create_task(self._one(number, count))

    async def _one(self, number: int, count: int) -> None:
        chance = random.Random(f"{self.seed} {number}")
        person = self.sandbox.person(f"Person {number}")
        mine: list[Key] = []
        while len(mine) < count:
            await self.observer.wait(person.id, lambda: self._open(mine) < _AT_ONCE)
            key = await self._press_again(person, mine, chance) if chance.random() < 0.15 else None
            if key is None:
                said = await person.says(f"a {chance.choice(_COLOURS)} {chance.choice(_SHAPES)}")
                key, kind = (person.id, said.id), "message"
            else:
                kind = "press"
            mine.append(key)
            self.wished[key] = kind
            if chance.random() < 0.1:
                await self._cancel(person, key)
        await self.observer.wait(person.id, lambda: self._open(mine) == 0)

    def _open(self, mine: list[Key]) -> int:
        return sum(not self.observer.seen[key].ended for key in mine)

    async def _press_again(self, person: Person, mine: list[Key], chance: random.Random) -> Key | None:
        """Press "Again" under a result three times at once: one wish. None where no result waits for it."""
        shown = [message for key in mine for message in self.observer.seen[key].photos]
        fresh = [message for message in shown if (person.id, message) not in self.wished]
        if not fresh:
            return None
        message_id = chance.choice(fresh)
        for _ in range(_PRESSES):
            await person.presses("Again", message_id)
        return person.id, message_id

    async def _cancel(self, person: Person, key: Key) -> None:
        """Cancel as soon as there is a button for it; a picture that is quicker is as good."""
        seen = self.observer.seen[key]
        await self.observer.wait(person.id, lambda: seen.ended or "waiting" in seen.words.values())
        for message_id, standing in seen.words.items():
            if standing == "waiting" and person.message(message_id).button("Cancel"):
                await person.presses("Cancel", message_id)
                return

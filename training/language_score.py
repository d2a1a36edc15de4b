"""How well prompts of the nano world are beautified and translated: counts, by what is asked, as the prompts' parser reads it."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from random import Random
from typing import TypeAlias

from engine.language.small_world import keeps
from engine.nano_world import Thing, Understanding, parse
from training.language_pairs import TASKS, NanoPairs, Pair, details, drawable

SEED = 30_000
Write: TypeAlias = Callable[[str], str]


@dataclass
class Score:
    """(right, total) by question, and what went wrong in words."""

    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, question: str, right: int, total: int, words: str = "") -> None:
        """Count answers to a question."""
        before = self.counts.get(question, (0, 0))
        self.counts[question] = before[0] + right, before[1] + total
        if right < total:
            self.wrong.append(f"{question}: {words}")


def held_out(task: str, count: int, seed: int = SEED, undrawable: float = 0.0) -> list[Pair]:
    """Prompts of a task that no training pair has: unseen triples of one object, fresh scenes of several."""
    rng, pairs = Random(f"{task} {seed}"), NanoPairs(unseen=True, undrawable=undrawable)
    return [pairs.draw(task, rng) for _ in range(count)]


def score(beautify: Write, translate: Write, count: int, seed: int = SEED) -> Score:
    """Ask for `count` answers of each task, and a quarter as many for prompts that have none."""
    found = Score()
    for pair in held_out("beautify", count, seed):
        judge_scenery(pair.prompt, beautify(pair.prompt), found)
    for pair in held_out("translate", count, seed):
        answer = translate(pair.prompt)
        judge_translation(pair.prompt, answer, found)
        found.add("translate: word for word", answer == pair.answer, 1, f"{pair.prompt!r} became {answer!r}")
    for task, write in zip(TASKS, (beautify, translate), strict=True):
        for pair in held_out(task, count // 4, seed, undrawable=1.0):
            found.add("left as it is if nano cannot draw it", write(pair.prompt) == pair.prompt, 1, f"{task} {pair.prompt!r}")
    return found


def judge_scenery(prompt: str, answer: str, found: Score) -> None:
    """Ask of a beautified prompt whether it has the person's objects and colours, more than that, and nothing against it."""
    words = f"{prompt!r} became {answer!r}"
    said, got = parse(prompt), parse(answer)
    same = said.shapes == got.shapes
    found.add("beautify: names the objects", same, 1, words)
    coloured = [(before.colour, after.colour) for before, after in zip(said.things, got.things, strict=False) if before.colour]
    right = sum(before == after for before, after in coloured) if same else 0
    found.add("beautify: names their colours", right, sum(thing.colour is not None for thing in said.things), words)
    found.add("beautify: keeps all that was said", keeps(prompt, answer), 1, words)
    found.add("beautify: nano can draw it", drawable(answer), 1, words)
    if not _says_everything(said):
        found.add("beautify: adds detail", details(got) > details(said), 1, words)


def judge_translation(prompt: str, answer: str, found: Score) -> None:
    """Ask of a translation whether it is English and says the same, no more and no less."""
    exact = answer.isascii() and parse(answer) == parse(prompt)
    found.add("translate: says the same", exact, 1, f"{prompt!r} became {answer!r}")


def _says_everything(said: Understanding) -> bool:
    """Whether background and every attribute of the objects are said; a style can always be left to chance."""
    return said.background is not None and all(
        getattr(thing, each.name) is not None for thing in said.things for each in fields(Thing)
    )

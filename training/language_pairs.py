"""What the language model learns from: a prompt and its answer, by task, written by code from the tables of the nano world.

A scene is drawn by lot and described twice. For `translate` both texts mention the same; for `beautify` the answer mentions all
of the scene, so every detail that it adds is one that nano can draw beside what was said. No word of the world is named here:
what the captions learn to say and the parser to read, the pairs have at once. An empty answer stands for prompts that nano
cannot draw; the engine then leaves a person's own words as they are.
"""

import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random
from typing import Any, Protocol

from engine import catalog
from engine.language.numerals import digits
from engine.language.small_world import attributes, keeps
from engine.language.template import BEAUTIFY, TRANSLATE, Template
from engine.nano_world import COLOURS, ENGLISH_WORDS, LEXICON, PLACES, RELATIONS, Understanding, normalise, parse
from engine.requests import RequestError, TextToImage
from training.captions import LANGUAGES, Saying, choose_saying, plainly, say
from training.data import DataError
from training.scenes import Scene, sample_scene

TASKS: Mapping[str, Template] = {"beautify": BEAUTIFY, "translate": TRANSLATE}

UNDRAWABLE = 0.2  # of the prompts
FOREIGN = 0.6  # of those: a word that nano does not know; the rest fit into no picture
LOOSENED = 0.5
_CHANGES = 3  # of one prompt, at most
_TOKEN = re.compile(r"[^\W_]+|[^\w\s]")
_LOOSE = {"рядом": "next to", "с": "with", "со": "with"}


@dataclass(frozen=True)
class Pair:
    """A prompt as a person types it, and the answer to it; "" if there is none to give."""

    task: str
    prompt: str
    answer: str


class Pairs(Protocol):
    """A source of pairs. tasks: that it has."""

    @property
    def tasks(self) -> tuple[str, ...]: ...

    def draw(self, task: str, rng: Random) -> Pair:
        """Any pair of a task."""


@dataclass(frozen=True)
class NanoPairs:
    """Pairs of the nano world. unseen: of one object, those triples that no training scene has; several are always fresh."""

    unseen: bool = False
    undrawable: float = UNDRAWABLE
    tasks: tuple[str, ...] = tuple(TASKS)

    def draw(self, task: str, rng: Random) -> Pair:
        """Any pair of a task: translations from Russian, prompts to beautify in both languages."""
        while True:
            scene = sample_scene(rng)
            if self.unseen and len(scene.pieces) == 1:
                scene = sample_scene(rng, objects=1, unseen=True)
            language = "ru" if task == "translate" else rng.choice(LANGUAGES)
            saying = choose_saying(scene, rng)
            if task == "beautify":
                saying = _briefer(saying, rng)
                sky = scene.background not in COLOURS  # is for who asks for it, so that it is always said
                saying = replace(saying, background=saying.background or sky)
            prompt = say(scene, saying, language, rng).text
            if rng.random() < LOOSENED:
                prompt = loosened(prompt, language, rng)
            if rng.random() < self.undrawable:
                return Pair(task, undrawable(prompt, language, rng), "")
            answer = translation(prompt, scene, saying) if task == "translate" else scenery(prompt, scene, saying)
            if drawable(prompt) and drawable(answer) and keeps(prompt, answer):
                return Pair(task, prompt, answer)


class StoredPairs:
    """Pairs of a file, one JSON object a line: {"task": "beautify", "prompt": "...", "answer": "..."}.

    Raises: DataError.
    """

    def __init__(self, path: Path) -> None:
        self._by_task: dict[str, list[Pair]] = {task: [] for task in TASKS}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read ({error}); name a file with one JSON object a line.") from None
        for number, line in enumerate(lines, 1):
            if line.strip():
                pair = _pair(line, f"{path}, line {number},")
                self._by_task[pair.task].append(pair)
        if not any(self._by_task.values()):
            raise DataError(f"{path} holds no pairs; write one JSON object with task, prompt and answer on each line.")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that have pairs."""
        return tuple(task for task, pairs in self._by_task.items() if pairs)

    def draw(self, task: str, rng: Random) -> Pair:
        """Any pair of a task."""
        return rng.choice(self._by_task[task])


def _pair(line: str, where: str) -> Pair:
    try:
        stored: Any = json.loads(line)
        pair = Pair(stored["task"], stored["prompt"], stored["answer"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where} is no JSON object with task, prompt and answer ({error}); mend it.") from None
    if pair.task not in TASKS or not isinstance(pair.prompt, str) or not isinstance(pair.answer, str):
        raise DataError(f"{where} needs a task of {', '.join(TASKS)} and two texts; mend it.")
    return pair


def translation(prompt: str, scene: Scene, saying: Saying) -> str:
    """The English for a Russian prompt that mentions this of a scene, with its word between two objects if it has one."""
    return digits(_joined(plainly(scene, saying, "en"), prompt))


def scenery(prompt: str, scene: Scene, saying: Saying) -> str:
    """All of a scene in English, in the prompt's own words if it is English; a medium size only if nothing else can be added."""
    everything = _everything(saying, scene)
    sizes = tuple(said or piece.size != "medium" for said, piece in zip(saying.sizes, scene.pieces, strict=False))
    answer = plainly(scene, replace(everything, sizes=sizes), "en")
    if details(parse(answer)) == details(parse(prompt)):
        answer = plainly(scene, everything, "en")
    return digits(_worded(answer, prompt))


def _everything(saying: Saying, scene: Scene) -> Saying:
    """All flags on, but for places that the objects do not have."""
    flags: dict[str, Any] = {}
    for each in fields(saying):
        said = getattr(saying, each.name)
        flags[each.name] = (True,) * len(said) if isinstance(said, tuple) else True
    places = tuple(bool(piece.place) for piece, _ in zip(scene.pieces, saying.places, strict=False))
    return replace(Saying(**flags), places=places)


def _briefer(saying: Saying, rng: Random) -> Saying:
    """Leave more out, as who has little to say: places and background are what beautifying is for."""
    if rng.random() < 0.5:
        return saying
    return replace(
        saying,
        sizes=tuple(said and rng.random() < 0.5 for said in saying.sizes),
        places=saying.places if len(saying.places) > 1 else (False,),  # of two, an unsaid place means something
        background=saying.background and rng.random() < 0.4,
    )


def _joined(answer: str, prompt: str) -> str:
    """Put the prompt's own relation ("above", "next to") into an answer that says the same with places or "and".

    The parser is asked whether the meaning stayed.
    """
    tokens = [normalise(token) for token in _TOKEN.findall(prompt)]
    for relation in _relations(tokens):
        body = re.sub(rf" (?:on|at|in) the (?:{'|'.join(PLACES)})\b", "", answer) if relation not in _LOOSE.values() else answer
        changed = body.replace(" and ", f" {relation} ", 1)
        if changed != answer and parse(changed) == parse(answer):
            return changed
    return answer


def _relations(tokens: Sequence[str]) -> list[str]:
    """English relations that the words of a Russian prompt may stand for, the surest first."""
    found = []
    for before, word in zip(["", *tokens], tokens, strict=False):
        if _kind(word) == "relation":
            places = RELATIONS[LEXICON[word][1]]
            found.append(next(each for each in RELATIONS if each.isascii() and RELATIONS[each] == places))
        if word == "от" and _kind(before) == "place":
            found.append(f"to the {LEXICON[before][1]} of")
    return found + [_LOOSE[word] for word in tokens if word in _LOOSE]


def _kind(word: str) -> str | None:
    """What a word is to nano; None if it does not know it."""
    return LEXICON[word][0] if word in LEXICON else None


def _worded(answer: str, prompt: str) -> str:
    """Put the prompt's own English words in the place of the usual ones of the same meaning: a disc stays a disc."""
    typed: dict[tuple[str, str], deque[str]] = {}
    for token in map(normalise, _TOKEN.findall(prompt)):
        entry = LEXICON.get(token)
        if entry and token.isascii() and entry[1] in ENGLISH_WORDS:
            typed.setdefault(entry, deque()).append(token)
    words = []
    for word in answer.split():
        known = typed.get(LEXICON.get(word.rstrip(","), ("", "")))
        if known:
            word = (known.popleft() if len(known) > 1 else known[0]) + ("," if word.endswith(",") else "")
        words.append(word)
    changed = re.sub(r"\ban? (?=(\w))", lambda found: "an " if found[1] in "aeiou" else "a ", " ".join(words))
    return changed if parse(changed) == parse(answer) else answer


def loosened(text: str, language: str, rng: Random) -> str:
    """The same prompt, said more carelessly: other words and cases of the same meaning, another order, fewer small words.

    The parser is asked after every change whether the meaning stayed.
    """
    meant = parse(text)
    for _ in range(rng.randint(1, _CHANGES)):
        changed = rng.choice(_CARELESS)(text, language, rng)
        if changed != text and parse(changed) == meant:
            text = changed
    return text


def _other_word(text: str, language: str, rng: Random) -> str:
    """Any form of any word that means the same, in either language for one in ten."""
    found = [match for match in _TOKEN.finditer(text) if _kind(normalise(match[0])) not in (None, "filler", "on")]
    if not found:
        return text
    match = rng.choice(found)
    other = language if rng.random() < 0.9 else rng.choice(LANGUAGES)
    same = [word for word in _FORMS[LEXICON[normalise(match[0])]] if word.isascii() is (other == "en")]
    return text[: match.start()] + rng.choice(same) + text[match.end() :] if same else text


def _other_order(text: str, language: str, rng: Random) -> str:
    """Parts between commas, or two neighbouring words, change places."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and rng.random() < 0.5:
        rng.shuffle(parts)
        return ", ".join(parts)
    words = text.split()
    if len(words) < 2:
        return text
    index = rng.randrange(len(words) - 1)
    words[index : index + 2] = reversed(words[index : index + 2])
    return " ".join(words)


def _fewer_words(text: str, language: str, rng: Random) -> str:
    words = text.split()
    small = [index for index, word in enumerate(words) if _kind(normalise(word)) in ("filler", "on")]
    if small:
        del words[rng.choice(small)]
    return " ".join(words)


def _typed_fast(text: str, language: str, rng: Random) -> str:
    return rng.choice((text.upper(), text.lower(), text.replace(",", ""), text.replace(" ", ", ", 1), f"{text}!", f"«{text}»"))


_CARELESS = (_other_word, _other_word, _other_word, _other_order, _fewer_words, _typed_fast)
_FORMS: dict[tuple[str, str], list[str]] = {}
for _word, _entry in sorted(LEXICON.items()):
    _FORMS.setdefault(_entry, []).append(_word)


def undrawable(prompt: str, language: str, rng: Random) -> str:
    """A prompt made into one that nano cannot draw: by a word that it does not know, or words that fit into no picture."""
    words = prompt.split()
    while True:
        if rng.random() >= FOREIGN:
            other = rng.choice(_KNOWN[language])
        elif rng.random() < 0.5:
            other = rng.choice(_TEMPLATE_WORDS)
        else:
            letters = rng.choice(_KNOWN[language])
            other = "".join(rng.sample(letters, len(letters)))
        index = rng.randrange(len(words))
        changed = " ".join([*words[:index], other, *words[index + rng.randint(0, 1) :]])
        if not drawable(changed):
            return changed


_KNOWN = {"en": [word for word in LEXICON if word.isascii()], "ru": [word for word in LEXICON if not word.isascii()]}
_HEADS = " ".join(template.head + template.foot for template in TASKS.values())
_TEMPLATE_WORDS = sorted(set(re.findall(r"[a-z]+", _HEADS.lower())) - set(LEXICON))


def drawable(prompt: str) -> bool:
    """Whether nano draws this: asked at the family's own door."""
    try:
        catalog.check(TextToImage(prompt, 0))
    except RequestError:
        return False
    return True


def details(understood: Understanding) -> int:
    """How many attributes a prompt says."""
    return sum(value is not None for value in attributes(understood))

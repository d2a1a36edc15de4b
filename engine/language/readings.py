"""Words that mean two things: what else a person may have meant."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Ambiguous:
    """A word as it was typed, and the English nouns that it can be."""

    typed: str
    readings: tuple[str, ...]


@cache
def _table() -> Mapping[str, tuple[str, ...]]:
    """Form -> its readings."""
    text = (files("engine") / "data" / "language" / "readings.toml").read_text(encoding="utf-8")
    return {form: tuple(word["readings"]) for word in tomllib.loads(text)["word"] for form in word["forms"].split()}


def all_readings() -> tuple[str, ...]:
    """Every reading of every word, each once."""
    return tuple(dict.fromkeys(reading for readings in _table().values() for reading in readings))


def ambiguous(text: str) -> tuple[Ambiguous, ...]:
    """The words of a text that mean two things, in order, each once."""
    found = {word: _table().get(_folded(word)) for word in _WORD.findall(text)}
    return tuple(Ambiguous(word, readings) for word, readings in found.items() if readings)


def says(english: str, reading: str) -> bool:
    """Whether an English text has a reading, in any number; "bow tie" is not "bow"."""
    longer = [other for other in all_readings() if other != reading and reading in other.split()]
    return bool(_pattern(reading).search(_without(english, longer)))


def swapped(english: str, old: str, new: str) -> str:
    """Put one reading in the place of another, the article before it with it."""

    def place(match: re.Match[str]) -> str:
        article = match[1] and ("an " if new[0] in "aeiou" else "a ")
        return f"{article or ''}{new}"

    return re.sub(rf"\b((?:an?\s)?)(?<![\w-]){re.escape(old)}(?:e?s)?\b", place, english, flags=re.IGNORECASE)


def _pattern(reading: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(reading)}(?:e?s)?\b", re.IGNORECASE)


def _without(text: str, others: list[str]) -> str:
    for other in others:
        text = _pattern(other).sub(" ", text)
    return text


def _folded(word: str) -> str:
    return word.casefold().replace("ё", "е")

"""Names of Russian culture in the words that the picture model knows them by."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_LONGEST_ENDING = 4  # letters that a case or a plural adds to a stem
_WORD = re.compile(r"[a-z]+")
_SMALL = frozenset({"a", "an", "the", "of", "on", "in", "and", "with", "russian"})


@dataclass(frozen=True)
class Entry:
    """A name: how Russian texts write it, and its English words."""

    written: re.Pattern[str]
    english: str


@cache
def _entries() -> tuple[Entry, ...]:
    text = (files("engine") / "data" / "language" / "glossary.toml").read_text(encoding="utf-8")
    pairs = [(words, english) for words, english in tomllib.loads(text).items() if isinstance(english, str)]
    # longer names first: "избушка на курьих ножках" before "избушка"
    return tuple(Entry(_pattern(words), english) for words, english in sorted(pairs, key=lambda pair: -len(pair[0])))


def _pattern(words: str) -> re.Pattern[str]:
    parts = []
    for word in words.split():
        stem = re.escape(word.rstrip("*")).replace("е", "[её]")
        parts.append(stem + (rf"[а-яё]{{0,{_LONGEST_ENDING}}}" if word.endswith("*") else ""))
    joined = r"[\s\-\u2010-\u2015]+".join(parts)
    return re.compile(rf"(?<!\w){joined}(?!\w)", re.IGNORECASE)


def in_english(text: str) -> tuple[str, tuple[str, ...]]:
    """Put English names in the place of Russian ones; also those that it put there."""
    used: list[str] = []
    for entry in _entries():
        text, found = entry.written.subn(entry.english, text)
        if found:
            used.append(entry.english)
    return text, tuple(used)


def names(text: str, english: str) -> bool:
    """Whether an English text keeps a name: at least half of its words, in any order and number, without what explains it."""
    said = text.casefold()
    words = [word for word in _WORD.findall(english.split(",")[0].casefold()) if word not in _SMALL]
    return 2 * sum(word[:5] in said for word in words) >= len(words)

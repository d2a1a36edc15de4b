"""The small list of what is plainly illegal to ask for. Standard library only, so a bot process can look before it stores."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from engine.safety.folding import readings, spelled

_LONGEST_ENDING = 4  # letters that a Russian case or an English plural adds to a stem
_NOT = r"(?:no|not|non|never|without|без|не|нет)"
_PERSON = r"(?:girl|boy|female|male|woman|man|daughter|son|model|девушк\w*|парн\w*|парень|дочь|сын\w*)"
_UNDER_AGE = re.compile(
    rf"\b(?:\d|1[0-7]) ?(?:years? old|yrs? old|yo|y o|летн\w*) {_PERSON}\b"
    rf"|\b{_PERSON} (?:aged? |of )?(?:\d|1[0-7])(?: years| лет)\b"
)


@dataclass(frozen=True)
class _Words:
    """A list of words: as a pattern, and as the letters that a spelled-out word has."""

    pattern: re.Pattern[str]
    letters: tuple[str, ...]

    def found(self, reading: str, runs: tuple[str, ...]) -> bool:
        return bool(self.pattern.search(reading)) or any(word in run for run in runs for word in self.letters)


@dataclass(frozen=True)
class _Rules:
    harmless: re.Pattern[str]
    denied: re.Pattern[str]
    words: dict[str, _Words]
    together: tuple[tuple[str, tuple[str, ...]], ...]
    alone: dict[str, tuple[str, ...]]


def illegal(text: str) -> str | None:
    """Name what is plainly illegal in a text ("minors", "animals", "terrorism"), or None.

    Looks through case, accents, spacing and lookalike letters. Everything else is left to the judge of pictures.
    """
    for reading in readings(text):
        category = _category(reading)
        if category:
            return category
    return None


def _category(reading: str) -> str | None:
    rules = _rules()
    kept = rules.denied.sub(" ", rules.harmless.sub(" ", reading))
    runs = spelled(kept)
    aged = _UNDER_AGE.sub(" child ", kept)
    for category, lists in rules.together:
        if all(rules.words[name].found(aged, runs) for name in lists):
            return category
    squeezed = kept.replace(" ", "")
    return next((category for category, words in rules.alone.items() if any(word in squeezed for word in words)), None)


@cache
def _rules() -> _Rules:
    stored = tomllib.loads((files("engine") / "data" / "safety" / "illegal.toml").read_text(encoding="utf-8"))
    lists: dict[str, list[str]] = stored["words"]
    return _Rules(
        harmless=_any_of(stored["harmless"]["phrases"]),
        denied=re.compile(rf"\b{_NOT} (?:any )?{_any_of(lists['sexual'] + lists['naked']).pattern}"),
        words={name: _Words(_any_of(words), tuple(_letters(word) for word in words)) for name, words in lists.items()},
        together=tuple((rule["category"], tuple(rule["words"])) for rule in stored["rules"]),
        alone={category: tuple(map(_letters, words)) for category, words in stored["alone"].items()},
    )


def _any_of(phrases: list[str]) -> re.Pattern[str]:
    """Any of these phrases as whole words; a word that ends in `*` is a stem with any ending."""
    written = []
    for phrase in sorted(phrases, key=len, reverse=True):
        parts = [
            re.escape(word.rstrip("*")) + (rf"\w{{0,{_LONGEST_ENDING}}}" if word.endswith("*") else "") for word in phrase.split()
        ]
        written.append(" ".join(parts))
    return re.compile(rf"\b(?:{'|'.join(written)})\b")


def _letters(phrase: str) -> str:
    return phrase.replace("*", "").replace(" ", "")

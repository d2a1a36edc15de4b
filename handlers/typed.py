"""A message in its parts: the words of a prompt, and the parameters among them, each as it was typed.

Phones make one long dash of two short ones, and Russian keyboards write other quotes, a comma in decimals and letters that
only look Latin: all of that is read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from engine.requests import clean_prompt

SPELLED: Mapping[str, tuple[str, ...]] = {
    "ar": ("ar", "aspect", "ratio", "формат", "пропорции"),
    "size": ("size", "размер"),
    "n": ("n", "count", "number", "число", "картинок"),
    "seed": ("seed", "сид", "зерно"),
    "engine": ("engine", "model", "движок", "модель"),
    "steps": ("steps", "step", "шаги", "шагов"),
    "cfg": ("cfg", "guidance"),
    "no": ("no", "without", "negative", "без", "кроме"),
    "raw": ("raw",),
    "flash": ("flash",),  # as the command line has it
    "base": ("base",),
}
_NAMES = {spelling: name for name, spellings in SPELLED.items() for spelling in spellings}
_BARE = frozenset({"raw", "flash", "base"})  # without a value
_LOOK_LATIN = str.maketrans("аеорсхукмтнв", "aeopcxykmthb")
_CUTOFF = 0.7  # of likeness: --style is not --steps
_LONGEST = 20  # characters of a name that may resemble one

DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_NAME = r"[^\W\d_]+(?:[-_][^\W\d_]+)*"
_FLAG = re.compile(rf"([{DASHES}]{{1,3}})({_NAME})(?:[=:](.*)|(\d.*))?", re.DOTALL)
_OPENING, _CLOSING = "\"'«„“‘", "\"'»“”’"
_AFTER = " ,;."  # what may stand behind a value and is none of it


@dataclass(frozen=True)
class Flag:
    """A parameter as it was typed. name: the canonical one; None if unknown.  near: the name it resembles, then."""

    typed: str
    name: str | None
    value: str = ""
    near: str | None = None


@dataclass(frozen=True)
class Typed:
    """A message in its parts, in order."""

    pieces: tuple[str | Flag, ...]

    @property
    def words(self) -> str:
        """What is to be drawn."""
        said = " ".join(piece for piece in self.pieces if isinstance(piece, str))
        return said.strip(f" ,;{DASHES}") if self.flags else said

    @property
    def flags(self) -> tuple[Flag, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Flag))

    def having(self, flag: Flag, instead: str) -> str:
        """The whole message with one parameter replaced, or (empty) left out; empty if it has no words."""
        said = " ".join(
            piece if isinstance(piece, str) else piece.typed if piece is not flag else instead for piece in self.pieces
        )
        return " ".join(said.split()) if self.words else ""


def parse(text: str) -> Typed:
    """Part a message into words and parameters: a value stands behind `=` or a space; `--no` takes all up to the next one."""
    tokens = clean_prompt(text).split(" ")
    pieces: list[str | Flag] = []
    at = 0
    while at < len(tokens):
        flag = _flag(tokens, at)
        if flag is None:
            pieces.append(tokens[at])
            at += 1
        else:
            pieces.append(flag)
            at += flag.typed.count(" ") + 1
    return Typed(tuple(pieces))


def _flag(tokens: list[str], at: int) -> Flag | None:
    """The parameter that begins at a token, if one does."""
    found = _FLAG.fullmatch(tokens[at].rstrip(_AFTER)) or _FLAG.fullmatch(tokens[at])
    if found is None:
        return None
    dashes, spelled, inline = found[1], found[2], found[3] or found[4] or ""
    name = _NAMES.get(spelled.casefold()) or _NAMES.get(spelled.casefold().translate(_LOOK_LATIN))
    near = None if name else _near(spelled.casefold())
    if name is None and len(dashes) == 1 and not (near and dashes != "-" and spelled.isascii()):
        return None  # a dash between two words
    end = at + 1
    if (name or near) not in _BARE:
        if not inline and end < len(tokens) and tokens[end].startswith("="):
            inline, end = tokens[end][1:], end + 1
        if not inline and end < len(tokens) and _takes(tokens[end], name or near):
            inline, end = tokens[end], end + 1
        while end < len(tokens) and _goes_on(inline, tokens[end], name):
            inline, end = f"{inline} {tokens[end]}", end + 1
    return Flag(" ".join(tokens[at:end]).rstrip(_AFTER), name, _bare(inline), near)


@lru_cache(1024)
def _near(spelled: str) -> str | None:
    """The parameter that an unknown one resembles."""
    likely = get_close_matches(spelled, _NAMES, 1, _CUTOFF) if len(spelled) <= _LONGEST else []
    return _NAMES[likely[0]] if likely else None


def _takes(token: str, name: str | None) -> bool:
    """Whether a token is a parameter's value; behind an unknown one only what is no word of the prompt."""
    return not _FLAG.fullmatch(token) and (name is not None or token[0].isdigit() or token[0] in _OPENING)


def _goes_on(value: str, token: str, name: str | None) -> bool:
    """Whether a value has more than one word: between quotes, or behind `--no`."""
    if value[:1] and value[0] in _OPENING:
        return len(value) == 1 or value.rstrip(_AFTER)[-1] not in _CLOSING
    return name == "no" and bool(value) and not _FLAG.match(token)


def _bare(value: str) -> str:
    value = value.strip(_AFTER)
    if len(value) > 1 and value[0] in _OPENING and value[-1] in _CLOSING:
        value = value[1:-1]
    return value.strip(_AFTER)

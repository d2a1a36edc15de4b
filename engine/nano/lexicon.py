"""Every word that nano knows and what it means: one table per world and language, and words to show to people."""

import unicodedata
import zlib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Literal

from engine.nano.english import ENGLISH_NUMBERS, ENGLISH_WORDS, plural
from engine.nano.russian import (
    RUSSIAN_ADJECTIVES,
    RUSSIAN_NOUNS,
    RUSSIAN_NUMBERS,
    RUSSIAN_PLACE_WORDS,
    RUSSIAN_PLACES,
    RUSSIAN_TIMES,
)
from engine.nano.worlds import COLOURS, PACKAGED, PLACES, SIZES, World

Kind = Literal[
    "shape", "plural", "colour", "size", "place", "relation", "background", "on", "filler", "count", "time", "style", "sky"
]

RELATIONS: Mapping[str, tuple[str, str]] = {
    "above": ("top", "bottom"),
    "below": ("bottom", "top"),
    "under": ("bottom", "top"),
    "над": ("top", "bottom"),
    "под": ("bottom", "top"),
}
"""Relation word -> places of the object before it and of the object after it."""

_ON = ("on", "against", "на")
_FILLER = (
    "a an the in at of to with and there is side part size sized colour color colored coloured next beside near "
    "picture image drawing draw paint show make me please "
    "и а в во с со от по у есть рядом сторона стороны стороне часть части цвет цвета цветом размер размера "
    "нарисуй нарисуйте нарисовать изобрази покажи сделай мне пожалуйста картинка картинку картинке рисунок изображение"
)
_LARGE_FILLER = "by during are style colours colors painting painted стиль стиля стиле стилем"


def normalise(word: str) -> str:
    """Fold a word to the form the tables and the tokenizer use: lower case, ё as е."""
    return unicodedata.normalize("NFKC", word).lower().replace("ё", "е")


@cache
def table(world: World, language: str) -> Mapping[str, tuple[Kind, str]]:
    """Normalised word -> (kind, meaning) in one language."""
    kinds: dict[str, Kind] = {
        **dict.fromkeys(world.shapes, "shape"), **dict.fromkeys(COLOURS, "colour"), **dict.fromkeys(SIZES, "size"),
        **dict.fromkeys(PLACES, "place"), **dict.fromkeys(world.times, "time"), **dict.fromkeys(world.styles, "style"),
        "background": "background",
    }  # fmt: skip
    if world.times:
        kinds["sky"] = "sky"
    found: dict[str, tuple[Kind, str]] = {}
    (_add_english if language == "en" else _add_russian)(found, world, kinds)
    latin = language == "en"
    found.update({word: ("relation", word) for word in RELATIONS if word.isascii() is latin})
    found.update({word: ("on", word) for word in _ON if word.isascii() is latin})
    found[","] = ("filler", ",")
    fillers = _FILLER if not world.styles else f"{_FILLER} {_LARGE_FILLER}"
    found.update({word: ("filler", word) for word in fillers.split() if word.isascii() is latin})
    return found


def _add_english(found: dict[str, tuple[Kind, str]], world: World, kinds: Mapping[str, Kind]) -> None:
    several = world.shapes if world.most > 1 else ()
    found.update({plural(form): ("plural", meaning) for meaning in several for form in ENGLISH_WORDS[meaning]})
    for meaning, kind in kinds.items():
        found.update(dict.fromkeys(ENGLISH_WORDS[meaning], (kind, meaning)))
    counts = ENGLISH_NUMBERS.items() if world.most > 1 else ()
    found.update({word: ("count", str(count)) for count, forms in counts for word in forms})


def _add_russian(found: dict[str, tuple[Kind, str]], world: World, kinds: Mapping[str, Kind]) -> None:
    many = world.most > 1
    if many:
        nouns = [(meaning, noun) for meaning in world.shapes for noun in RUSSIAN_NOUNS[meaning]]
        found.update({normalise(form): ("plural", meaning) for meaning, noun in nouns for form in noun.plurals})
        for count, genders in RUSSIAN_NUMBERS.items():
            found.update({normalise(word): ("count", str(count)) for forms in genders.values() for word in forms.split()})
    for meaning, kind in kinds.items():
        for noun in RUSSIAN_NOUNS.get(meaning, ()):
            found.update(dict.fromkeys(map(normalise, noun.forms), (kind, meaning)))
        for adjective in RUSSIAN_ADJECTIVES.get(meaning, ()):
            found.update(dict.fromkeys(map(normalise, adjective.all_forms(plural=many)), (kind, meaning)))
        found.update(dict.fromkeys(RUSSIAN_PLACE_WORDS.get(meaning, ()), (kind, meaning)))


@cache
def lexicon(world: World) -> Mapping[str, tuple[Kind, str]]:
    """Normalised word -> (kind, meaning), both languages."""
    return {**table(world, "en"), **table(world, "ru")}


LEXICON = lexicon(PACKAGED)


def words(language: str, world: World = PACKAGED) -> tuple[str, ...]:
    """Words to show a person: shapes, colours, sizes, places, skies and styles, in their dictionary form."""
    meanings = (*world.shapes, *COLOURS, *SIZES, *PLACES, *world.times, *world.styles)
    return tuple(display(meaning, language) for meaning in meanings)


def display(meaning: str, language: str) -> str:
    """A meaning's word for people, in its dictionary form."""
    if language != "ru":
        return ENGLISH_WORDS[meaning][0]
    if meaning in RUSSIAN_TIMES:
        return RUSSIAN_TIMES[meaning]
    if meaning in RUSSIAN_NOUNS:
        return RUSSIAN_NOUNS[meaning][0].form("nom")
    if meaning in RUSSIAN_ADJECTIVES:
        return RUSSIAN_ADJECTIVES[meaning][0].form("m", "nom")
    return RUSSIAN_PLACES[meaning][0]


def suggest(word: str, language: str, n: int = 4, world: World = PACKAGED) -> tuple[str, ...]:
    """Words nano knows instead of `word`: the nearest by spelling first, then varied shapes, n in all."""
    spoken = "en" if word.isascii() and language != "ru" else "ru" if not word.isascii() else "en"
    shown = ("shape", "colour", "size", "place", "time", "style")
    known = {form: meaning for form, (kind, meaning) in table(world, spoken).items() if kind in shown}
    close = get_close_matches(normalise(word), known, n=8, cutoff=0.68)
    found = [display(known[form], spoken) for form in close]
    start = zlib.crc32(normalise(word).encode()) % len(world.shapes)
    varied = [display(shape, language) for shape in world.shapes[start:] + world.shapes[:start]]
    return tuple(dict.fromkeys(found + varied))[:n]

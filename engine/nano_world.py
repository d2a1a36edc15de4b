"""The little world that the family kandinsky-nano knows: its words, in every form a person types them.

Torch-free, stdlib only: handlers ask it whether a prompt can be drawn, `training` writes its captions from the same tables.
"""

from engine.nano.english import ENGLISH_WORDS
from engine.nano.examples import EXAMPLES, MORE_EXAMPLES
from engine.nano.lexicon import LEXICON, RELATIONS, Kind, normalise, suggest, words
from engine.nano.mending import fewer, says_many
from engine.nano.reading import Thing, Understanding, parse
from engine.nano.russian import RUSSIAN_ADJECTIVES, RUSSIAN_NOUNS, RUSSIAN_PLACES, Gender, RussianAdjective, RussianNoun
from engine.nano.worlds import (
    CASES,
    COLOURS,
    FIGURES,
    LARGE,
    MAX_OBJECTS,
    NATURAL_COLOURS,
    PACKAGED,
    PLACES,
    PLAIN,
    SHAPES,
    SIZES,
    SMALL,
    STYLES,
    THINGS,
    TIMES,
    WORLDS,
    World,
)

__all__ = [
    "CASES",
    "COLOURS",
    "ENGLISH_WORDS",
    "EXAMPLES",
    "FIGURES",
    "LARGE",
    "LEXICON",
    "MAX_OBJECTS",
    "MORE_EXAMPLES",
    "NATURAL_COLOURS",
    "PACKAGED",
    "PLACES",
    "PLAIN",
    "RELATIONS",
    "RUSSIAN_ADJECTIVES",
    "RUSSIAN_NOUNS",
    "RUSSIAN_PLACES",
    "SHAPES",
    "SIZES",
    "SMALL",
    "STYLES",
    "THINGS",
    "TIMES",
    "WORLDS",
    "Gender",
    "Kind",
    "RussianAdjective",
    "RussianNoun",
    "Thing",
    "Understanding",
    "World",
    "fewer",
    "normalise",
    "parse",
    "says_many",
    "suggest",
    "words",
]

"""The English words of nano's worlds."""

from collections.abc import Mapping

from engine.nano.worlds import COLOURS, LARGE, PLACES, SIZES, STYLES, TIMES

_SYNONYMS = {
    "circle": ("disc", "disk", "ball"),
    "cross": ("plus",),
    "house": ("cottage", "hut"),
    "cat": ("kitty", "kitten"),
    "moon": ("crescent",),
    "flower": ("blossom",),
    "boat": ("ship", "sailboat"),
    "purple": ("violet",),
    "gray": ("grey",),
    "small": ("little", "tiny"),
    "big": ("large", "huge"),
    "center": ("centre", "middle"),
    "background": ("backdrop",),
    "watercolour": ("watercolor", "aquarelle"),
    "day": ("daytime",),
    "night": ("nighttime",),
}
_MEANINGS = (*LARGE.shapes, *COLOURS, *SIZES, *PLACES, "background", *TIMES, *STYLES, "sky")
ENGLISH_WORDS: Mapping[str, tuple[str, ...]] = {meaning: (meaning, *_SYNONYMS.get(meaning, ())) for meaning in _MEANINGS}
"""Meaning -> English words; the first one is shown to people."""

_IRREGULAR = {"fish": "fish", "cross": "crosses", "plus": "pluses", "kitty": "kitties"}
ENGLISH_NUMBERS: Mapping[int, tuple[str, ...]] = {1: ("one", "1"), 2: ("two", "2"), 3: ("three", "3"), 4: ("four", "4")}


def plural(noun: str) -> str:
    """More than one of it."""
    return _IRREGULAR.get(noun, f"{noun}s")

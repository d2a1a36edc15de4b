"""The small world that the family kandinsky-nano knows: its words, in every form a person types them.

Six shapes, ten colours (for objects and backgrounds), three sizes, five places, in English and Russian. Torch-free, stdlib only:
handlers ask it whether a prompt can be drawn, `training.scenes` builds its captions from the same tables.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

Kind = Literal["shape", "colour", "size", "place", "relation", "background", "on", "filler"]
Gender = Literal["m", "f", "n"]

MAX_OBJECTS = 2
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "gray", "white")
SIZES = ("small", "medium", "big")
PLACES = ("left", "right", "top", "bottom", "center")
CASES = ("nom", "gen", "acc", "ins", "prep")

_ENGLISH_SYNONYMS = {
    "circle": ("disc", "disk", "ball"),
    "cross": ("plus",),
    "purple": ("violet",),
    "gray": ("grey",),
    "small": ("little", "tiny"),
    "big": ("large", "huge"),
    "center": ("centre", "middle"),
    "background": ("backdrop",),
}
ENGLISH_WORDS: Mapping[str, tuple[str, ...]] = {
    meaning: (meaning, *_ENGLISH_SYNONYMS.get(meaning, ())) for meaning in (*SHAPES, *COLOURS, *SIZES, *PLACES, "background")
}
"""Meaning -> English words; the first one is shown to people."""


@dataclass(frozen=True)
class RussianNoun:
    """A noun with its gender and its singular forms: nominative, genitive, accusative, instrumental, prepositional."""

    gender: Gender
    forms: tuple[str, str, str, str, str]

    def form(self, case: str) -> str:
        return self.forms[CASES.index(case)]


def _noun(gender: Gender, forms: str) -> RussianNoun:
    nom, gen, acc, ins, prep = forms.split()
    return RussianNoun(gender, (nom, gen, acc, ins, prep))


RUSSIAN_NOUNS: Mapping[str, tuple[RussianNoun, ...]] = {
    "circle": (
        _noun("m", "круг круга круг кругом круге"),
        _noun("m", "кружок кружка кружок кружком кружке"),
        _noun("m", "шар шара шар шаром шаре"),
    ),
    "square": (
        _noun("m", "квадрат квадрата квадрат квадратом квадрате"),
        _noun("m", "квадратик квадратика квадратик квадратиком квадратике"),
    ),
    "triangle": (_noun("m", "треугольник треугольника треугольник треугольником треугольнике"),),
    "star": (
        _noun("f", "звезда звезды звезду звездой звезде"),
        _noun("f", "звёздочка звёздочки звёздочку звёздочкой звёздочке"),
    ),
    "heart": (
        _noun("n", "сердце сердца сердце сердцем сердце"),
        _noun("n", "сердечко сердечка сердечко сердечком сердечке"),
    ),
    "cross": (
        _noun("m", "крест креста крест крестом кресте"),
        _noun("m", "крестик крестика крестик крестиком крестике"),
        _noun("m", "плюс плюса плюс плюсом плюсе"),
    ),
    "background": (_noun("m", "фон фона фон фоном фоне"),),
}

_HARD = {"m": "ый ого ый ым ом", "f": "ая ой ую ой ой", "n": "ое ого ое ым ом"}
_SOFT = {"m": "ий его ий им ем", "f": "яя ей юю ей ей", "n": "ее его ее им ем"}
_STRESSED = {"m": "ой ого ой им ом", "f": "ая ой ую ой ой", "n": "ое ого ое им ом"}
_VELAR = {"m": "ий ого ий им ом", "f": "ая ой ую ой ой", "n": "ое ого ое им ом"}


@dataclass(frozen=True)
class RussianAdjective:
    """An adjective: a stem and its endings per gender, in the order of `CASES`."""

    stem: str
    endings: Mapping[str, str] = field(hash=False)

    def form(self, gender: Gender, case: str) -> str:
        return self.stem + self.endings[gender].split()[CASES.index(case)]

    def all_forms(self) -> set[str]:
        return {self.stem + ending for endings in self.endings.values() for ending in endings.split()}


RUSSIAN_ADJECTIVES: Mapping[str, tuple[RussianAdjective, ...]] = {
    "red": (RussianAdjective("красн", _HARD),),
    "orange": (RussianAdjective("оранжев", _HARD),),
    "yellow": (RussianAdjective("жёлт", _HARD),),
    "green": (RussianAdjective("зелён", _HARD),),
    "blue": (RussianAdjective("син", _SOFT),),
    "purple": (RussianAdjective("фиолетов", _HARD), RussianAdjective("лилов", _HARD)),
    "pink": (RussianAdjective("розов", _HARD),),
    "black": (RussianAdjective("чёрн", _HARD),),
    "gray": (RussianAdjective("сер", _HARD),),
    "white": (RussianAdjective("бел", _HARD),),
    "small": (RussianAdjective("маленьк", _VELAR), RussianAdjective("небольш", _STRESSED)),
    "medium": (RussianAdjective("средн", _SOFT),),
    "big": (RussianAdjective("больш", _STRESSED), RussianAdjective("крупн", _HARD), RussianAdjective("огромн", _HARD)),
}

RUSSIAN_PLACES: Mapping[str, tuple[str, ...]] = {
    "left": ("слева", "в левой части", "с левой стороны"),
    "right": ("справа", "в правой части", "с правой стороны"),
    "top": ("вверху", "сверху", "наверху", "в верхней части"),
    "bottom": ("внизу", "снизу", "в нижней части"),
    "center": ("в центре", "по центру", "в середине", "посередине"),
}
"""Place -> phrases; the first one is shown to people."""

RELATIONS: Mapping[str, tuple[str, str]] = {
    "above": ("top", "bottom"),
    "below": ("bottom", "top"),
    "under": ("bottom", "top"),
    "над": ("top", "bottom"),
    "под": ("bottom", "top"),
}
"""Relation word -> places of the object before it and of the object after it."""

_SIDES = {"left": ("left", "right"), "right": ("right", "left"), "top": ("top", "bottom"), "bottom": ("bottom", "top")}
_RUSSIAN_PLACE_WORDS = {
    "left": ("слева", "левой", "левее"),
    "right": ("справа", "правой", "правее"),
    "top": ("вверху", "сверху", "наверху", "верхней"),
    "bottom": ("внизу", "снизу", "нижней"),
    "center": ("центре", "центру", "середине", "посередине", "посредине"),
}
_ON = ("on", "against", "на")
_PLURALS = ("звёзды",)  # without its ё it would be a singular's other case
_PAUSES = (",", "and", "with", "next", "near", "beside", "и", "а", "с", "рядом")
_CATEGORIES = {"цвета": "colour", "размера": "size"}  # "круг красного цвета": the adjective belongs to the noun before it
_FILLER = (
    "a an the in at of to with and there is side part size sized colour color colored coloured next beside near "
    "picture image drawing draw paint show make me please "
    "и а в во с со от по у есть рядом сторона стороны стороне часть части цвет цвета цветом размер размера "
    "нарисуй нарисуйте нарисовать изобрази покажи сделай мне пожалуйста картинка картинку картинке рисунок изображение"
)

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "a big red circle on a blue background",
        "a small yellow star at the top on a purple background",
        "a green triangle and a white heart on a black background",
        "an orange square on a gray background",
    ),
    "ru": (
        "большой красный круг на синем фоне",
        "маленькая жёлтая звезда вверху на чёрном фоне",
        "белое сердце и зелёный крест на фиолетовом фоне",
        "синий треугольник на розовом фоне",
    ),
}

_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|&[a-z]+;")
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def normalise(word: str) -> str:
    """Fold a word to the form the tables and the tokenizer use: lower case, ё as е."""
    return unicodedata.normalize("NFKC", word).lower().replace("ё", "е")


def _lexicon(language: str) -> dict[str, tuple[Kind, str]]:
    table: dict[str, tuple[Kind, str]] = {}
    kinds: dict[str, Kind] = {
        **dict.fromkeys(SHAPES, "shape"), **dict.fromkeys(COLOURS, "colour"), **dict.fromkeys(SIZES, "size"),
        **dict.fromkeys(PLACES, "place"), "background": "background",
    }  # fmt: skip
    if language == "en":
        for meaning, forms in ENGLISH_WORDS.items():
            table.update(dict.fromkeys(forms, (kinds[meaning], meaning)))
    else:
        for meaning, nouns in RUSSIAN_NOUNS.items():
            table.update({normalise(form): (kinds[meaning], meaning) for noun in nouns for form in noun.forms})
        for meaning, adjectives in RUSSIAN_ADJECTIVES.items():
            table.update({normalise(form): (kinds[meaning], meaning) for word in adjectives for form in word.all_forms()})
        for meaning, forms in _RUSSIAN_PLACE_WORDS.items():
            table.update(dict.fromkeys(forms, ("place", meaning)))
    latin = language == "en"
    table.update({word: ("relation", word) for word in RELATIONS if word.isascii() is latin})
    table.update({word: ("on", word) for word in _ON if word.isascii() is latin})
    table[","] = ("filler", ",")
    table.update({word: ("filler", word) for word in _FILLER.split() if word.isascii() is latin})
    return table


_LEXICA = {language: _lexicon(language) for language in ("en", "ru")}
LEXICON: Mapping[str, tuple[Kind, str]] = _LEXICA["en"] | _LEXICA["ru"]
"""Normalised word -> (kind, meaning), both languages."""


@dataclass(frozen=True)
class Thing:
    """One object of a prompt; what was not said is None (free)."""

    shape: str
    colour: str | None = None
    size: str | None = None
    place: str | None = None


@dataclass(frozen=True)
class Understanding:
    """What nano understands of a prompt.

    unknown: words outside the lexicon, and known ones that the sentence has no room for (a second colour of one object, an object
    in the colour of its background), as typed and in order. shapes: canonical names in order. things: one per shape.
    """

    unknown: tuple[str, ...]
    shapes: tuple[str, ...]
    things: tuple[Thing, ...]
    background: str | None


@dataclass
class _Reading:
    """The state of `parse` between two words."""

    things: list[dict[str, str | None]] = field(default_factory=list)
    background: str | None = None
    background_words: list[str] = field(default_factory=list)
    waiting: dict[str, tuple[str, str]] = field(default_factory=dict)  # adjectives before their noun: kind -> (value, word)
    unknown: list[str] = field(default_factory=list)
    after_on: bool = False
    last_noun: str = ""
    relation: tuple[str, str] | None = None

    def _give(self, kind: str, value: str, word: str) -> None:
        """Attach an adjective or a place to the noun it belongs to, or report that there is no room for it."""
        if self.last_noun == "background" and kind == "colour" and self.background is None:
            self.background = value
            self.background_words.append(word)
        elif self.last_noun == "shape" and self.things[-1].get(kind) is None:
            self.things[-1][kind] = value
        else:
            self.unknown.append(word)

    def adjective(self, kind: str, value: str, word: str) -> None:
        if kind in self.waiting:  # two in a row: the first one belongs to what stands before it
            self.settle(kind)
        self.waiting[kind] = (value, word)

    def pause(self) -> None:
        """An adjective that stands behind its noun ends here: "a circle, red, and a star"."""
        for kind in list(self.waiting):
            if (self.last_noun == "shape" and self.things[-1].get(kind) is None) or (
                self.last_noun == "background" and kind == "colour" and self.background is None
            ):
                self.settle(kind)

    def place(self, value: str, word: str) -> None:
        self.settle()
        if self.things and self.things[-1].get("place") is None:
            self.things[-1].update(place=value, place_word=word)
        elif "place" not in self.waiting:
            self.waiting["place"] = (value, word)
        else:
            self.unknown.append(word)

    def settle(self, *kinds: str) -> None:
        """Adjectives that were followed by no noun of their own: "circle, red", "a circle on blue"."""
        for kind, (value, word) in list(self.waiting.items()):
            if kind == "place" or (kinds and kind not in kinds):  # a place may stand before its noun: "on the left a circle"
                continue
            del self.waiting[kind]
            if kind == "colour" and self.after_on and self.background is None:
                self.background = value
                self.background_words.append(word)
            else:
                self._give(kind, value, word)

    def shape(self, value: str) -> None:
        thing: dict[str, str | None] = {"shape": value}
        if self.relation and self.things:
            self.things[-1]["place"] = self.things[-1].get("place") or self.relation[0]
            thing["place"] = self.relation[1]
        thing.update({kind: waiting for kind, (waiting, _) in self.waiting.items()})
        thing["place_word"] = self.waiting.get("place", ("", None))[1]
        self.relation = None
        self.waiting.clear()
        self.things.append(thing)
        self.last_noun, self.after_on = "shape", False

    def backdrop(self, word: str) -> None:
        colour = self.waiting.pop("colour", None)
        if self.last_noun == "shape":  # "circle in the centre, small, blue background": only the colour is the background's
            self.settle()
        if self.background is None and colour is not None:
            self.background = colour[0]
            self.background_words.append(colour[1])
        elif colour is not None:
            self.unknown.append(colour[1])
        self.last_noun, self.after_on = "background", False

    def finish(self) -> None:
        """What has no room in a nano scene: a place without an object, places that do not go together, an invisible object."""
        self.settle()
        self.unknown.extend(word for _, word in self.waiting.values())
        places = [thing.get("place") for thing in self.things]
        if len(places) == MAX_OBJECTS and None not in places and _SIDES.get(str(places[0]), ("", ""))[1] != places[1]:
            self.unknown.extend(word for thing in self.things[1:] if (word := thing.get("place_word")))
        elif len(places) == MAX_OBJECTS and "center" in places:
            self.unknown.extend(word for thing in self.things if (word := thing.get("place_word")))
        if any(thing.get("colour") is not None and thing.get("colour") == self.background for thing in self.things):
            self.unknown.extend(self.background_words)


def _tokens(prompt: str) -> Iterator[str]:
    text = _MARKUP.sub(" ", unicodedata.normalize("NFC", prompt))
    position = 0
    for match in _TOKEN.finditer(text):
        yield from _symbols(text[position : match.start()])
        yield match.group()
        position = match.end()
    yield from _symbols(text[position:])


def _symbols(text: str) -> Iterator[str]:
    """Pauses, emoji and other pictures between the words; the pictures mean something that nano does not know."""
    for char in text:
        if char in ",;:.!?—\n":
            yield ","
        elif unicodedata.category(char) == "So":
            yield char


def parse(prompt: str) -> Understanding:
    """Read a prompt the way nano does; case, ё, punctuation, quotes and markup do not matter."""
    reading = _Reading()
    for word in _tokens(prompt):
        kind, value = ("unknown", word) if word.lower() in _PLURALS else LEXICON.get(normalise(word), ("unknown", word))
        if kind == "unknown":
            reading.unknown.append(word)
        elif kind == "shape":
            reading.shape(value)
        elif kind == "background":
            reading.backdrop(word)
        elif kind in ("colour", "size"):
            reading.adjective(kind, value, word)
        elif kind == "place":
            reading.place(value, word)
        elif kind == "relation":
            reading.settle()
            reading.relation = RELATIONS[value]
        elif kind == "on":
            reading.settle()
            reading.after_on = True
        elif value in _PAUSES:
            reading.pause()
        elif value in _CATEGORIES:
            reading.settle(_CATEGORIES[value])
        elif value in ("of", "от") and reading.things and reading.last_noun == "shape" and not reading.waiting:
            reading.relation = _SIDES.get(reading.things[-1].get("place") or "")
    reading.finish()
    things = tuple(Thing(str(t["shape"]), t.get("colour"), t.get("size"), t.get("place")) for t in reading.things)
    return Understanding(
        unknown=tuple(dict.fromkeys(reading.unknown)),
        shapes=tuple(thing.shape for thing in things),
        things=things,
        background=reading.background,
    )


def words(language: str) -> tuple[str, ...]:
    """Words to show a person: shapes, colours, sizes, places, in their dictionary form."""
    return tuple(_display(meaning, language) for meaning in (*SHAPES, *COLOURS, *SIZES, *PLACES))


def _display(meaning: str, language: str) -> str:
    if language != "ru":
        return ENGLISH_WORDS[meaning][0]
    if meaning in RUSSIAN_NOUNS:
        return RUSSIAN_NOUNS[meaning][0].form("nom")
    if meaning in RUSSIAN_ADJECTIVES:
        return RUSSIAN_ADJECTIVES[meaning][0].form("m", "nom")
    return RUSSIAN_PLACES[meaning][0]


def suggest(word: str, language: str, n: int = 4) -> tuple[str, ...]:
    """Words nano knows instead of `word`: the nearest by spelling first, then varied shapes, n in all."""
    spoken = "en" if word.isascii() and language != "ru" else "ru" if not word.isascii() else "en"
    known = {form: meaning for form, (kind, meaning) in _LEXICA[spoken].items() if kind in ("shape", "colour", "size", "place")}
    close = get_close_matches(normalise(word), known, n=8, cutoff=0.68)
    found = [_display(known[form], spoken) for form in close]
    start = zlib.crc32(normalise(word).encode()) % len(SHAPES)
    varied = [_display(shape, language) for shape in SHAPES[start:] + SHAPES[:start]]
    return tuple(dict.fromkeys(found + varied))[:n]

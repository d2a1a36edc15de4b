"""How nano reads a prompt: which objects it names, what is said of each, and which words it has no room for."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.nano.lexicon import RELATIONS, lexicon, normalise
from engine.nano.worlds import MAX_OBJECTS, PACKAGED, THINGS, World

_SIDES = {"left": ("left", "right"), "right": ("right", "left"), "top": ("top", "bottom"), "bottom": ("bottom", "top")}
PLURALS = ("звёзды",)  # without its ё it would be a singular's other case
_PAUSES = (",", "and", "with", "next", "near", "beside", "и", "а", "с", "рядом")
_CATEGORIES = {"цвета": "colour", "размера": "size"}  # "круг красного цвета": the adjective belongs to the noun before it
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|&[a-z]+;")
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Thing:
    """One object of a prompt, or `count` of it; what was not said is None (free)."""

    shape: str
    colour: str | None = None
    size: str | None = None
    place: str | None = None
    count: int = 1


@dataclass(frozen=True)
class Understanding:
    """What nano understands of a prompt.

    unknown: words outside the lexicon, and known ones that the sentence has no room for (a second colour of one object, an object
    in the colour of its background), as typed and in order. shapes: canonical names in order. things: one per shape.
    background: a colour or a sky.  style: None for the plain one.
    """

    unknown: tuple[str, ...]
    shapes: tuple[str, ...]
    things: tuple[Thing, ...]
    background: str | None
    style: str | None = None


@dataclass
class _Reading:
    """The state of `parse` between two words."""

    world: World
    things: list[dict[str, str | None]] = field(default_factory=list)
    background: str | None = None
    style: str | None = None
    style_word: str = ""
    sky_words: list[str] = field(default_factory=list)
    background_words: list[str] = field(default_factory=list)
    waiting: dict[str, tuple[str, str]] = field(default_factory=dict)  # adjectives before their noun: kind -> (value, word)
    unknown: list[str] = field(default_factory=list)
    after_on: bool = False
    last_noun: str = ""
    relation: tuple[str, str] | None = None
    compound: bool = False  # the last word was an object's, so a thing after it would make "house boat" of both

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
            if kind == "count":
                self.unknown.append(word)
            elif kind == "colour" and self.after_on and self.background is None:
                self.background = value
                self.background_words.append(word)
            else:
                self._give(kind, value, word)

    def sky(self, kind: str, value: str, word: str) -> None:
        """Day or night, or the sky's own word: it stands for the background."""
        self.after_on = False
        if kind == "sky":
            self.sky_words.append(word)
            self.unknown.extend(said for said in (self.waiting.pop("colour", ("", ""))[1],) if said)  # a sky has its own colour
        elif self.background in (None, value):
            self.background = value
        else:
            self.unknown.append(word)

    def styled(self, value: str, word: str) -> None:
        if self.style in (None, value):
            self.style, self.style_word = value, word
        else:
            self.unknown.append(word)

    def shape(self, kind: str, value: str, word: str) -> None:
        things = self.compound and word.isascii() and {value, self.things[-1]["shape"]} & set(THINGS)
        if things or (kind == "plural" and self.waiting.get("count", ("1",))[0] == "1"):
            self.unknown.append(word)
        thing: dict[str, str | None] = {"shape": value, "count": "1", "count_word": self.waiting.get("count", ("", None))[1]}
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
        groups = [thing for thing in self.things if thing["count"] != "1"]
        if groups and len(self.things) > 1:  # several of one object fill the picture
            self.unknown.extend(str(thing["count_word"]) for thing in groups)
        elif groups and (word := groups[0].get("place_word")):
            self.unknown.append(word)
        if self.background not in self.world.times:
            self.unknown.extend(self.sky_words)
        if self.style == "neon" and any(thing.get("colour") == "black" for thing in self.things):
            self.unknown.append(self.style_word)  # black light does not shine
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
        if char in ",;:.!?—&+\n":
            yield ","
        elif unicodedata.category(char) == "So":
            yield char


def parse(prompt: str, world: World = PACKAGED) -> Understanding:
    """Read a prompt the way nano does; case, ё, punctuation, quotes and markup do not matter."""
    reading = _Reading(world)
    known = lexicon(world)
    for word in _tokens(prompt):
        kind, value = known.get(normalise(word), ("unknown", word))
        if word.lower() in PLURALS:
            kind = "plural" if world.most > 1 else "unknown"
        if kind == "unknown":
            reading.unknown.append(word)
        elif kind in ("shape", "plural"):
            reading.shape(kind, value, word)
        elif kind == "background":
            reading.backdrop(word)
        elif kind in ("colour", "size", "count"):
            reading.adjective(kind, value, word)
        elif kind in ("time", "sky"):
            reading.sky(kind, value, word)
        elif kind == "style":
            reading.styled(value, word)
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
        reading.compound = kind in ("shape", "plural")
    reading.finish()
    things = tuple(
        Thing(str(t["shape"]), t.get("colour"), t.get("size"), t.get("place"), int(str(t["count"]))) for t in reading.things
    )
    return Understanding(
        unknown=tuple(dict.fromkeys(reading.unknown)),
        shapes=tuple(thing.shape for thing in things),
        things=things,
        background=reading.background,
        style=reading.style,
    )

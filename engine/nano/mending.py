"""What to offer for a prompt that asks for more than a world has room for: too many of one shape, or too many shapes."""

from collections.abc import Sequence
from dataclasses import replace

from engine.nano.english import ENGLISH_WORDS
from engine.nano.lexicon import lexicon, normalise
from engine.nano.reading import PLURALS, Thing, parse
from engine.nano.russian import RUSSIAN_ADJECTIVES, RUSSIAN_NOUNS, RUSSIAN_PLACES, RUSSIAN_TIMES
from engine.nano.worlds import LARGE, MAX_OBJECTS, PACKAGED, World

_MANY = (
    "both five six seven eight nine ten eleven twelve dozen hundred several many few some lots pair couple "
    "оба обе пять пяти шесть шести семь семи восемь восьми девять девяти десять десяти десяток сто двое трое четверо "
    "несколько нескольких много многих пара пару куча кучу"
)
_ENGLISH_PLACES = {
    "left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom", "center": "in the center",
}  # fmt: skip
_ENGLISH_TIMES = {"day": "by day", "night": "at night"}


def says_many(word: str, world: World = PACKAGED) -> bool:
    """Whether a word that a world has no room for is a number, a plural of one of its shapes, or an adjective of several."""
    form = normalise(word)
    kind, meaning = lexicon(LARGE).get(form, ("", ""))
    if form.isdecimal() or form in _MANY.split() or kind == "count" or (word.lower() in PLURALS and world.most == 1):
        return True
    if kind == "plural":
        return meaning in world.shapes
    return kind in ("colour", "size") and form not in lexicon(world)  # "красные": an adjective of one is known


def fewer(prompt: str, language: str, world: World = PACKAGED) -> tuple[str, ...]:
    """What can be drawn of a prompt that asks for too much: one of each shape, and no more shapes than there is room for."""
    meant = parse(prompt, LARGE)
    things = [replace(thing, count=1) for thing in meant.things if thing.shape in world.shapes]
    pairs = [things[at : at + MAX_OBJECTS] for at in range(max(1, len(things) - MAX_OBJECTS + 1))]
    background = meant.background if meant.background in world.backgrounds else None
    offers = [offer for pair in pairs if pair and (offer := _drawable(pair, background, language, world))]
    return tuple(dict.fromkeys(offers))


def describe(things: Sequence[Thing], background: str | None, language: str) -> str:
    """Write a prompt: its things in order, each with what is said of it."""
    say, joint = (_english, " and ") if language == "en" else (_russian, " и ")
    return " ".join(filter(None, [joint.join(say(thing) for thing in things), _backdrop(background, language)]))


def _drawable(things: Sequence[Thing], background: str | None, language: str, world: World) -> str | None:
    """The prompt, with or without places and backdrop, that the world can draw; one of everything may not fit as several did."""
    placeless = [replace(thing, place=None) for thing in things]
    for kept, behind in ((things, background), (placeless, background), (placeless, None)):
        prompt = describe(kept, behind, language)
        if not parse(prompt, world).unknown:
            return prompt
    return None


def _english(thing: Thing) -> str:
    adjectives = [ENGLISH_WORDS[word][0] for word in (thing.size, thing.colour) if word]
    noun = " ".join([*adjectives, ENGLISH_WORDS[thing.shape][0]])
    place = f" {_ENGLISH_PLACES[thing.place]}" if thing.place else ""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}{place}"


def _russian(thing: Thing) -> str:
    noun = RUSSIAN_NOUNS[thing.shape][0]
    adjectives = [RUSSIAN_ADJECTIVES[word][0].form(noun.gender, "nom") for word in (thing.size, thing.colour) if word]
    place = [RUSSIAN_PLACES[thing.place][0]] if thing.place else []
    return " ".join([*adjectives, noun.form("nom"), *place])


def _backdrop(background: str | None, language: str) -> str:
    if background is None:
        return ""
    if language == "en":
        article = "an" if background[0] in "aeiou" else "a"
        return _ENGLISH_TIMES.get(background) or f"on {article} {ENGLISH_WORDS[background][0]} background"
    return RUSSIAN_TIMES.get(background) or f"на {RUSSIAN_ADJECTIVES[background][0].form('m', 'prep')} фоне"

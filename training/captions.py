"""Captions of nano scenes in English and Russian, as people write them: full sentences, short forms, several word orders.

What a caption leaves out is free in its picture. `engine.nano_world.parse` reads every caption back; a test compares the two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from engine import nano_world
from engine.nano.english import ENGLISH_NUMBERS, plural
from engine.nano.russian import number
from engine.nano_world import NATURAL_COLOURS, PLAIN, RUSSIAN_ADJECTIVES, RUSSIAN_NOUNS, RUSSIAN_PLACES, Thing, Understanding
from training.scenes import Piece, Scene

LANGUAGES = ("en", "ru")

_EN_PREFIX = ("draw ", "paint ", "show me ", "make ", "please draw ", "a picture of ", "an image of ", "there is ", "draw me ")
_RU_PREFIX_ACCUSATIVE = ("нарисуй ", "нарисуй мне ", "покажи ", "сделай ", "нарисуй, пожалуйста, ", "нарисуйте ", "изобрази ")
_RU_PREFIX_INSTRUMENTAL = ("картинка с ", "картинку с ", "рисунок с ", "изображение с ")
_EN_TIMES = {
    "day": (" by day", " during the day", ", day", " in the daytime", " on a day background", " in the day sky", ", day sky"),
    "night": (
        " at night",
        " by night",
        ", night",
        " in the nighttime",
        " on a night background",
        " in the night sky",
        ", night sky",
    ),
}
_RU_TIMES = {
    "day": (
        " днём",
        ", день",
        " на дневном небе",
        " на фоне дневного неба",
        ", дневное небо",
        " на дневном фоне",
        " в дневном небе",
    ),
    "night": (
        " ночью",
        ", ночь",
        " на ночном небе",
        " на фоне ночного неба",
        ", ночное небо",
        " на ночном фоне",
        " в ночном небе",
    ),
}


@dataclass(frozen=True)
class Caption:
    """A caption and what it says: as `engine.nano_world.parse` should understand it."""

    text: str
    things: tuple[Thing, ...]
    background: str | None
    style: str | None = None


@dataclass(frozen=True)
class Saying:
    """Which attributes a caption mentions; one flag per object."""

    colours: tuple[bool, ...]
    sizes: tuple[bool, ...]
    places: tuple[bool, ...]
    background: bool


def choose_saying(scene: Scene, rng: Random, *, full: bool = False) -> Saying:
    """Decide what to mention; `full` mentions everything but sometimes the size. A style is always mentioned.

    A thing whose colour is not mentioned has its natural one: "a tree" is green.
    """
    if scene.group:
        sized = rng.random() < (0.15 if scene.pieces[0].size == "medium" else 0.4)
        coloured = full or not _may_omit_colour(scene.pieces[0], rng, 0.9)
        return Saying((coloured,), (sized and not full,), (False,), full or rng.random() < 0.8)
    count = len(scene.pieces)
    sizes = tuple(rng.random() < (0.25 if piece.size == "medium" else 0.6) for piece in scene.pieces)
    if full:
        return Saying((True,) * count, sizes, (True,) * count, True)
    reversed_pair = count == 2 and scene.pieces[0].place in ("right", "bottom")
    if rng.random() < 0.2 and not reversed_pair:  # short forms: "red circle"
        said = rng.random() < 0.9
        colours = tuple(said or _natural(piece) is False for piece in scene.pieces)
        return Saying(colours, (False,) * count, (False,) * count, rng.random() < 0.4)
    colours = tuple(not _may_omit_colour(piece, rng, 0.95) for piece in scene.pieces)
    if count == 1:
        places: tuple[bool, ...] = (rng.random() < (0.5 if scene.pieces[0].place == "center" else 0.75),)
    elif scene.pieces[0].place in ("left", "top"):
        places = rng.choices(((True, True), (False, False), (True, False), (False, True)), weights=(60, 32, 4, 4))[0]
    else:  # unsaid places mean: the first one stands left or on top
        places = rng.choices(((True, True), (True, False), (False, True)), weights=(84, 8, 8))[0]
    return Saying(colours, sizes, places, rng.random() < 0.85)


def _natural(piece: Piece) -> bool | None:
    """Whether a thing has the colour that it has where none is said; None for a figure, which has no such colour."""
    return NATURAL_COLOURS[piece.shape] == piece.colour if piece.shape in NATURAL_COLOURS else None


def _may_omit_colour(piece: Piece, rng: Random, said: float) -> bool:
    """said: how often a figure's colour is mentioned."""
    natural = _natural(piece)
    return rng.random() > (said if natural is None else 0.6 if natural else 1.0)


def write_caption(scene: Scene, language: str, rng: Random, *, full: bool = False) -> Caption:
    """Describe a scene in `language` ("en" or "ru")."""
    return say(scene, choose_saying(scene, rng, full=full), language, rng)


def say(scene: Scene, saying: Saying, language: str, rng: Random) -> Caption:
    """Describe what was decided to mention of a scene."""
    text = (_english if language == "en" else _russian)(scene, saying, rng)
    if scene.style != PLAIN:
        text = _styled(text, _STYLES[language, scene.style], rng)
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.1:
        text += rng.choice((".", "!", "..."))
    elif rng.random() < 0.02:
        text += " please" if language == "en" else ", пожалуйста"
    things = tuple(
        Thing(p.shape, p.colour if c else None, p.size if s else None, p.place if where else None, _count(scene))
        for p, c, s, where in zip(scene.pieces, saying.colours, saying.sizes, saying.places, strict=not scene.group)
    )
    background, style = scene.background if saying.background else None, scene.style if scene.style != PLAIN else None
    return Caption(text, things, background, style)


def _count(scene: Scene) -> int:
    return len(scene.pieces) if scene.group else 1


_STYLES = {  # (what may stand behind a caption, what may stand before it)
    ("en", "watercolour"): (
        (", watercolour", " in watercolour", ", watercolor style", " in watercolor", ", a watercolour painting", ", aquarelle"),
        ("watercolour: ", "a watercolour picture: ", "in watercolor, "),
    ),
    ("en", "neon"): (
        (", neon", " in neon", " in neon style", ", neon style", ", neon colours"),
        ("neon: ", "in neon style, ", "neon picture: "),
    ),
    ("ru", "watercolour"): (
        (", акварель", " акварелью", " в стиле акварели", ", акварельный рисунок", " в акварели", ", в акварельном стиле"),
        ("акварель: ", "акварелью: ", "акварельный рисунок: "),
    ),
    ("ru", "neon"): (
        (", неон", " в неоновом стиле", ", неоновый стиль", " неоном", " в стиле неон"),
        ("неон: ", "в неоновом стиле, ", "неоновый рисунок: "),
    ),
}


def _styled(text: str, forms: tuple[tuple[str, ...], tuple[str, ...]], rng: Random) -> str:
    behind, before = forms
    return text + rng.choice(behind) if rng.random() < 0.75 else rng.choice(before) + text


class Plain(Random):
    """Chance that always takes the usual: of several forms the likeliest, of equals the first, of rarities none."""

    def random(self) -> float:
        return 0.5

    def choice(self, seq: Any) -> Any:
        return seq[0]

    def choices(self, population: Any, weights: Any = None, *, cum_weights: Any = None, k: int = 1) -> list[Any]:
        heaviest = 0 if weights is None else max(range(len(weights)), key=weights.__getitem__)
        return [population[heaviest]] * k


def plainly(scene: Scene, saying: Saying, language: str) -> str:
    """Describe what was decided to mention in the first word for each thing and the usual order."""
    return say(scene, saying, language, Plain()).text


def name_piece(piece: Piece, language: str, rng: Random) -> str:
    """Describe one object alone, as who sees nothing but the crop around it: "a red circle"."""
    saying = Saying((True,), (False,), (False,), False)
    return (_english if language == "en" else _russian)(Scene("", (piece,)), saying, rng)


def matches(caption: Caption, understanding: Understanding) -> bool:
    """Whether the parser read the caption as it was meant (a relation may imply places that were not said)."""
    meant = caption.background, caption.things, caption.style
    return not understanding.unknown and (understanding.background, understanding.things, understanding.style) == meant


def _pick(rng: Random, options: tuple[str, ...]) -> str:
    """The first form most of the time, a synonym sometimes."""
    return options[0] if rng.random() < 0.7 else rng.choice(options)


def _english(scene: Scene, saying: Saying, rng: Random) -> str:
    articles = rng.random() < 0.8

    def phrase(index: int) -> str:
        piece = scene.pieces[index]
        words = [rng.choice(ENGLISH_NUMBERS[_count(scene)])] if scene.group and rng.random() < 0.12 else []
        if scene.group and not words:
            words = [ENGLISH_NUMBERS[_count(scene)][0]]
        if saying.sizes[index]:
            words.append(_pick(rng, nano_world.ENGLISH_WORDS[piece.size]))
        if saying.colours[index]:
            words.append(_pick(rng, nano_world.ENGLISH_WORDS[piece.colour]))
        noun = _pick(rng, nano_world.ENGLISH_WORDS[piece.shape])
        words.append(plural(noun) if scene.group else noun)
        return (_article(words[0]) if articles and not scene.group else "") + " ".join(words)

    def backdrop() -> str:
        if scene.background in _EN_TIMES:
            return _pick(rng, _EN_TIMES[scene.background])
        colour = _pick(rng, nano_world.ENGLISH_WORDS[scene.background])
        noun = _pick(rng, nano_world.ENGLISH_WORDS["background"])
        article = _article(colour) if articles else ""
        forms = (f" on {article}{colour} {noun}", f", {colour} {noun}", f" with {article}{colour} {noun}")
        rare = (f" against {article}{colour} {noun}", f" on {colour}", f", {noun} {colour}", f", on {article}{colour} {noun}")
        return rng.choices((*forms, *rare), weights=(55, 14, 6, 4, 6, 3, 6))[0]

    prefix = rng.choice(_EN_PREFIX) if rng.random() < 0.12 else ""
    return _compose(scene, saying, rng, phrase, _english_place, backdrop, _english_pair, prefix)


def _article(word: str) -> str:
    return "an " if word[0] in "aeiou" else "a "


def _english_place(place: str, rng: Random) -> str:
    word = _pick(rng, nano_world.ENGLISH_WORDS[place])
    if place in ("left", "right"):
        return rng.choices(
            (f"on the {word}", f"on the {word} side", f"at the {word}", f"to the {word}", word), (70, 12, 6, 4, 6)
        )[0]
    preposition = rng.choice(("in", "in", "at")) if place == "center" else rng.choice(("at", "at", "on", "at", "in"))
    return f"{preposition} the {word}"


def _english_pair(first: str, second: str, scene: Scene, saying: Saying, rng: Random) -> str:
    places = [piece.place for piece in scene.pieces]
    if all(saying.places) and rng.random() < 0.25:
        relation = {
            "left": "to the left of",
            "right": "to the right of",
            "top": "above",
            "bottom": rng.choice(("below", "under")),
        }
        return f"{first} {relation[places[0]]} {second}"
    if not any(saying.places):
        return rng.choices(
            (f"{first} and {second}", f"{first}, {second}", f"{first} with {second}", f"{first} next to {second}"), (60, 8, 8, 16)
        )[0]
    first, second = _placed((first, second), places, saying, rng, _english_place)
    return f"{first}{rng.choices((' and ', ', ', ', and '), (75, 15, 10))[0]}{second}"


def _placed(
    phrases: tuple[str, str], places: list[str], saying: Saying, rng: Random, place_phrase: Callable[[str, Random], str]
) -> tuple[str, str]:
    """Put each object's place behind it, or before both ("on the left a circle and on the right a star")."""
    before = all(saying.places) and rng.random() < 0.12
    out = []
    for phrase, place, said in zip(phrases, places, saying.places, strict=True):
        where = place_phrase(place, rng) if said else ""
        out.append(f"{where} {phrase}" if before else f"{phrase} {where}".rstrip())
    return out[0], out[1]


def _compose(
    scene: Scene,
    saying: Saying,
    rng: Random,
    phrase: Callable[[int], str],
    place_phrase: Callable[[str, Random], str],
    backdrop: Callable[[], str],
    pair: Callable[[str, str, Scene, Saying, Random], str],
    prefix: str,
) -> str:
    """Put objects, places and background in one of the usual orders."""
    background = backdrop() if saying.background else ""
    if len(scene.pieces) == 2 and not scene.group:
        body = prefix + pair(phrase(0), phrase(1), scene, saying, rng)
        return _background_first(background, body) if background and rng.random() < 0.1 else body + background
    body = prefix + phrase(0)
    if not saying.places[0]:
        return _background_first(background, body) if background and rng.random() < 0.12 else body + background
    where = place_phrase(scene.pieces[0].place, rng)
    if background and rng.random() < 0.1:
        return _background_first(background, f"{body} {where}")
    kind = rng.random()
    if kind < 0.7:
        return f"{body} {where}{background}"
    if kind < 0.85 and background and not prefix:
        return f"{body}{background}, {where}" if rng.random() < 0.5 else f"{body}{background} {where}"
    if kind < 0.93 and not prefix:
        return f"{where} {body}{background}"
    return f"{body}, {where}{background}"


def _background_first(background: str, body: str) -> str:
    """The background before the rest, unless its noun is missing: "on blue a circle" is nobody's order."""
    lead = background.strip(", ")
    if len(lead.split()) == 2 and lead.startswith(("на ", "on ")):
        return body + background
    return f"{lead} {body}" if lead.startswith(("на ", "on ", "against ")) else f"{lead}, {body}"


def _russian(scene: Scene, saying: Saying, rng: Random) -> str:
    case, prefix = "nom", ""
    if rng.random() < 0.14:
        case = rng.choice(("acc", "acc", "ins"))
        prefix = rng.choice(_RU_PREFIX_ACCUSATIVE if case == "acc" else _RU_PREFIX_INSTRUMENTAL)
    relation = ""
    if len(scene.pieces) == 2 and not scene.group:
        relation = _russian_relation(scene, saying, rng)
    second_case = {"": case, "от": "gen"}.get(relation.split()[-1] if relation else "", "ins")

    def phrase(index: int) -> str:
        if scene.group:
            return _russian_several(scene, saying, case, rng)
        return _russian_phrase(scene.pieces[index], saying, index, case if index == 0 else second_case, rng)

    def pair(first: str, second: str, scene: Scene, saying: Saying, rng: Random) -> str:
        if relation:
            return f"{first} {relation} {second}"
        first, second = _placed((first, second), [p.place for p in scene.pieces], saying, rng, _russian_place)
        return f"{first}{rng.choices((' и ', ', ', ', а '), (75, 17, 8 if all(saying.places) else 0))[0]}{second}"

    def backdrop() -> str:
        if scene.background in _RU_TIMES:
            time = _pick(rng, _RU_TIMES[scene.background])
            return time if rng.random() < 0.6 else time.replace("ё", "е")
        prep, nom, gen = (_pick_adjective(rng, scene.background).form("m", c) for c in ("prep", "nom", "gen"))
        forms = (f" на {prep} фоне", f", {nom} фон", f" на {prep}", f", фон {nom}", f", на {prep} фоне", f" на фоне {gen} цвета")
        return rng.choices(forms, weights=(62, 12, 8, 5, 7, 3))[0]

    return _compose(scene, saying, rng, phrase, _russian_place, backdrop, pair, prefix)


def _russian_relation(scene: Scene, saying: Saying, rng: Random) -> str:
    """A word between two objects that governs the second one's case, or nothing."""
    if all(saying.places) and rng.random() < 0.25:
        return {"left": "слева от", "right": "справа от", "top": "над", "bottom": "под"}[scene.pieces[0].place]
    if not any(saying.places) and rng.random() < 0.25:
        return rng.choice(("рядом с", "с"))
    return ""


def _pick_adjective(rng: Random, meaning: str) -> nano_world.RussianAdjective:
    options = RUSSIAN_ADJECTIVES[meaning]
    return options[0] if rng.random() < 0.75 else rng.choice(options)


def _russian_phrase(piece: Piece, saying: Saying, index: int, case: str, rng: Random) -> str:
    nouns = RUSSIAN_NOUNS[piece.shape]
    noun = nouns[0] if rng.random() < 0.75 else rng.choice(nouns)
    words = [noun.form(case)]
    if saying.colours[index]:
        adjective = _pick_adjective(rng, piece.colour)
        kind = rng.random()
        if kind < 0.03:
            words.extend((adjective.form("m", "gen"), "цвета"))
        elif kind < 0.07:
            words.append(adjective.form(noun.gender, case, alive=noun.alive))
        else:
            words.insert(0, adjective.form(noun.gender, case, alive=noun.alive))
    if saying.sizes[index]:
        if piece.size == "medium" and rng.random() < 0.3:
            words.extend(("среднего", "размера"))
        else:
            words.insert(0, _pick_adjective(rng, piece.size).form(noun.gender, case, alive=noun.alive))
    text = " ".join(words)
    return text if rng.random() < 0.6 else text.replace("ё", "е")


def _russian_several(scene: Scene, saying: Saying, case: str, rng: Random) -> str:
    """Two to four: "три красные звезды", "два серых кота", "с четырьмя лодками"."""
    piece = scene.pieces[0]
    nouns = RUSSIAN_NOUNS[piece.shape]
    noun = nouns[0] if rng.random() < 0.75 else rng.choice(nouns)
    direct = case == "nom" or (case == "acc" and not noun.alive)
    adjective_case = ("nom" if noun.gender == "f" and rng.random() < 0.7 else "gen") if direct else case
    meanings = [piece.size] * saying.sizes[0] + [piece.colour] * saying.colours[0]
    adjectives = [_pick_adjective(rng, meaning).form("p", adjective_case, alive=noun.alive) for meaning in meanings]
    figure = str(_count(scene)) if rng.random() < 0.06 else number(_count(scene), noun.gender, case, alive=noun.alive)
    text = " ".join((figure, *adjectives, noun.counted(case)))
    return text if rng.random() < 0.6 else text.replace("ё", "е")


def _russian_place(place: str, rng: Random) -> str:
    return _pick(rng, RUSSIAN_PLACES[place])

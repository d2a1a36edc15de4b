"""The Russian words of nano's worlds, in every case that people type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.nano.worlds import CASES

Gender = Literal["m", "f", "n"]


@dataclass(frozen=True)
class RussianNoun:
    """A noun with its gender and its forms: nominative, genitive, accusative, instrumental, prepositional.

    plurals: the same without the accusative, which is the nominative or, of what lives, the genitive.
    """

    gender: Gender
    forms: tuple[str, ...]
    plurals: tuple[str, ...] = ()
    alive: bool = False

    def form(self, case: str) -> str:
        return self.forms[CASES.index(case)]

    def plural(self, case: str) -> str:
        """More than one of it, five or so: "звёзды"."""
        if case == "acc":
            case = "gen" if self.alive else "nom"
        return self.plurals[("nom", "gen", "ins", "prep").index(case)]

    def counted(self, case: str) -> str:
        """Two, three or four of it: the genitive of one where the number stands in the nominative, "три звезды"."""
        if case == "nom" or (case == "acc" and not self.alive):
            return self.form("gen")
        return self.plural(case)


def _noun(gender: Gender, forms: str, plurals: str = "", *, alive: bool = False) -> RussianNoun:
    return RussianNoun(gender, tuple(forms.split()), tuple(plurals.split()), alive)


RUSSIAN_NOUNS: Mapping[str, tuple[RussianNoun, ...]] = {
    "circle": (
        _noun("m", "круг круга круг кругом круге", "круги кругов кругами кругах"),
        _noun("m", "кружок кружка кружок кружком кружке", "кружки кружков кружками кружках"),
        _noun("m", "шар шара шар шаром шаре", "шары шаров шарами шарах"),
    ),
    "square": (
        _noun("m", "квадрат квадрата квадрат квадратом квадрате", "квадраты квадратов квадратами квадратах"),
        _noun("m", "квадратик квадратика квадратик квадратиком квадратике", "квадратики квадратиков квадратиками квадратиках"),
    ),
    "triangle": (
        _noun(
            "m",
            "треугольник треугольника треугольник треугольником треугольнике",
            "треугольники треугольников треугольниками треугольниках",
        ),
    ),
    "star": (
        _noun("f", "звезда звезды звезду звездой звезде", "звёзды звёзд звёздами звёздах"),
        _noun("f", "звёздочка звёздочки звёздочку звёздочкой звёздочке", "звёздочки звёздочек звёздочками звёздочках"),
    ),
    "heart": (
        _noun("n", "сердце сердца сердце сердцем сердце", "сердца сердец сердцами сердцах"),
        _noun("n", "сердечко сердечка сердечко сердечком сердечке", "сердечки сердечек сердечками сердечках"),
    ),
    "cross": (
        _noun("m", "крест креста крест крестом кресте", "кресты крестов крестами крестах"),
        _noun("m", "крестик крестика крестик крестиком крестике", "крестики крестиков крестиками крестиках"),
        _noun("m", "плюс плюса плюс плюсом плюсе", "плюсы плюсов плюсами плюсах"),
    ),
    "house": (
        _noun("m", "дом дома дом домом доме", "дома домов домами домах"),
        _noun("m", "домик домика домик домиком домике", "домики домиков домиками домиках"),
    ),
    "tree": (_noun("n", "дерево дерева дерево деревом дереве", "деревья деревьев деревьями деревьях"),),
    "cat": (
        _noun("f", "кошка кошки кошку кошкой кошке", "кошки кошек кошками кошках", alive=True),
        _noun("m", "кот кота кота котом коте", "коты котов котами котах", alive=True),
        _noun("m", "котик котика котика котиком котике", "котики котиков котиками котиках", alive=True),
    ),
    "sun": (
        _noun("n", "солнце солнца солнце солнцем солнце", "солнца солнц солнцами солнцах"),
        _noun("n", "солнышко солнышка солнышко солнышком солнышке", "солнышки солнышек солнышками солнышках"),
    ),
    "moon": (
        _noun("f", "луна луны луну луной луне", "луны лун лунами лунах"),
        _noun("m", "месяц месяца месяц месяцем месяце", "месяцы месяцев месяцами месяцах"),
    ),
    "flower": (
        _noun("m", "цветок цветка цветок цветком цветке", "цветы цветов цветами цветах"),
        _noun("m", "цветочек цветочка цветочек цветочком цветочке", "цветочки цветочков цветочками цветочках"),
    ),
    "fish": (
        _noun("f", "рыба рыбы рыбу рыбой рыбе", "рыбы рыб рыбами рыбах", alive=True),
        _noun("f", "рыбка рыбки рыбку рыбкой рыбке", "рыбки рыбок рыбками рыбках", alive=True),
    ),
    "boat": (
        _noun("f", "лодка лодки лодку лодкой лодке", "лодки лодок лодками лодках"),
        _noun("m", "кораблик кораблика кораблик корабликом кораблике", "кораблики корабликов корабликами корабликах"),
        _noun("m", "корабль корабля корабль кораблём корабле", "корабли кораблей кораблями кораблях"),
    ),
    "background": (_noun("m", "фон фона фон фоном фоне"),),
    "sky": (_noun("n", "небо неба небо небом небе"),),
    "watercolour": (_noun("f", "акварель акварели акварель акварелью акварели"),),
    "neon": (_noun("m", "неон неона неон неоном неоне"),),
    "day": (_noun("m", "день дня день днём дне"),),
    "night": (_noun("f", "ночь ночи ночь ночью ночи"),),
}

_HARD = {"m": "ый ого ый ым ом", "f": "ая ой ую ой ой", "n": "ое ого ое ым ом", "p": "ые ых ые ыми ых"}
_SOFT = {"m": "ий его ий им ем", "f": "яя ей юю ей ей", "n": "ее его ее им ем", "p": "ие их ие ими их"}
_STRESSED = {"m": "ой ого ой им ом", "f": "ая ой ую ой ой", "n": "ое ого ое им ом", "p": "ие их ие ими их"}
_VELAR = {"m": "ий ого ий им ом", "f": "ая ой ую ой ой", "n": "ое ого ое им ом", "p": "ие их ие ими их"}
_STRESSED_HARD = _HARD | {"m": "ой ого ой ым ом"}


@dataclass(frozen=True)
class RussianAdjective:
    """An adjective: a stem and its endings per gender and for the plural ("p"), in the order of `CASES`."""

    stem: str
    endings: Mapping[str, str] = field(hash=False)

    def form(self, gender: str, case: str, *, alive: bool = False) -> str:
        """alive: the noun is a living one; the accusative of several, or of a masculine one, is the genitive then."""
        if case == "acc" and alive and gender in "mp":
            case = "gen"
        return self.stem + self.endings[gender].split()[CASES.index(case)]

    def all_forms(self, *, plural: bool = False) -> set[str]:
        kinds = [endings for gender, endings in self.endings.items() if plural or gender != "p"]
        return {self.stem + ending for endings in kinds for ending in endings.split()}


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
    "day": (RussianAdjective("дневн", _STRESSED_HARD),),
    "night": (RussianAdjective("ночн", _STRESSED_HARD),),
    "watercolour": (RussianAdjective("акварельн", _HARD),),
    "neon": (RussianAdjective("неонов", _HARD),),
}

RUSSIAN_PLACES: Mapping[str, tuple[str, ...]] = {
    "left": ("слева", "в левой части", "с левой стороны"),
    "right": ("справа", "в правой части", "с правой стороны"),
    "top": ("вверху", "сверху", "наверху", "в верхней части"),
    "bottom": ("внизу", "снизу", "в нижней части"),
    "center": ("в центре", "по центру", "в середине", "посередине"),
}
"""Place -> phrases; the first one is shown to people."""

RUSSIAN_PLACE_WORDS: Mapping[str, tuple[str, ...]] = {
    "left": ("слева", "левой", "левее"),
    "right": ("справа", "правой", "правее"),
    "top": ("вверху", "сверху", "наверху", "верхней"),
    "bottom": ("внизу", "снизу", "нижней"),
    "center": ("центре", "центру", "середине", "посередине", "посредине"),
}

RUSSIAN_TIMES = {"day": "днём", "night": "ночью"}
"""As shown to people."""

RUSSIAN_NUMBERS: Mapping[int, Mapping[str, str]] = {
    1: {"m": "один одного один одним одном", "f": "одна одной одну одной одной", "n": "одно одного одно одним одном"},
    2: {"m": "два двух два двумя двух", "f": "две двух две двумя двух", "n": "два двух два двумя двух"},
    3: dict.fromkeys("mfn", "три трёх три тремя трёх"),
    4: dict.fromkeys("mfn", "четыре четырёх четыре четырьмя четырёх"),
}
"""Number -> forms per gender, in the order of `CASES`."""


def number(count: int, gender: str, case: str, *, alive: bool = False) -> str:
    """The number's word before a noun: "две" (f, nominative)."""
    return RUSSIAN_NUMBERS[count][gender].split()[CASES.index("gen" if case == "acc" and alive else case)]

"""Numbers in words: written as digits, and compared across a translation.

"One" stays a word, since it is more often a pronoun; so do "two-headed", and a capitalised numeral inside a sentence, which is
part of a name.
"""

import re

from engine.language.words import WORDS

_UNITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(_UNITS, 1)} | {word: value for value, word in enumerate(_TEENS, 10)}
_VALUES |= {word: value * 10 for value, word in enumerate(_TENS, 2)}
_LARGE = {"hundred": 100, "thousand": 1000}
_BELOW_100 = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-](?:{'|'.join(_UNITS)}))?|{'|'.join(_UNITS[1:] + _TEENS)})"
_NUMERAL = rf"(?<![\w-])(?:(?:{_BELOW_100}|one|an?)\s(?:hundred|thousand)(?:(?:\sand)?\s{_BELOW_100})?|{_BELOW_100})(?!\w)"
_ANY = re.compile(_NUMERAL, re.IGNORECASE)
_ALONE = re.compile(rf"{_NUMERAL}(?!-\w)", re.IGNORECASE)

_RUSSIAN = {word: int(value) for value, words in WORDS["russian_numerals"].items() for word in words}


def digits(text: str) -> str:
    """Write the English numerals of a text as digits."""
    return _ALONE.sub(lambda match: match.group() if _in_a_name(match) else str(_value(match.group())), text)


def numbers(text: str) -> frozenset[int]:
    """The numbers above one that a Russian or English text names, in words or in digits."""
    found = [int(number) for number in re.findall(r"(?<![\w.,])\d{1,9}(?!\w|[.,]\d)", text)]
    found += [_value(match.group()) for match in _ANY.finditer(text)]
    said = 0
    for word in [*re.findall(r"\w+", text.casefold().replace("ё", "е")), ""]:
        value = _RUSSIAN.get(word, 0)
        if said and not (20 <= said < 100 and 0 < value < 10):  # "двадцать три" is one number
            found.append(said)
            said = 0
        said += value
    return frozenset(number for number in found if number > 1)


def _in_a_name(match: re.Match[str]) -> bool:
    before = match.string[: match.start()].rstrip(" \"'“‘«(")
    return match.group()[0].isupper() and bool(before) and before[-1] not in ".!?:;"


def _value(numeral: str) -> int:
    total = part = 0
    for word in re.findall(r"[a-z]+", numeral.casefold()):
        if word in _LARGE:
            total, part = total + (part or 1) * _LARGE[word], 0
        else:
            part += _VALUES.get(word, 0)
    return total + part

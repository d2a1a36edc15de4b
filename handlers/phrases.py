"""What was added to a prompt, phrase by phrase, and the prompt without some of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST = 10  # phrases that can be dropped one by one
_TOKEN = re.compile(r"\s*[^\s]+")
_BEGINS = frozenset(  # a phrase of its own begins with one of these
    {
        "in", "on", "at", "with", "under", "over", "near", "by", "behind", "beside", "against", "from", "across", "through",
        "above", "below", "around", "among", "while", "during",
    }
)  # fmt: skip
_ARTICLES = frozenset({"a", "an", "the"})
_ENDS = ",;.:"
_ARTICLE = re.compile(r"\b([Aa])n?(?=\s+([^\W\d_]+))")


@dataclass(frozen=True)
class Phrase:
    """A part of a prompt as it is written. number: from 0, of what was added; None for a person's own words.

    instead: their own words, where what was added took the place of them.
    """

    text: str
    number: int | None = None
    instead: str = ""


def compare(plain: str, rich: str) -> tuple[Phrase, ...]:
    """Part a prompt that was made richer into a person's own words and what was added to them."""
    own, all_ = _TOKEN.findall(plain), _TOKEN.findall(rich)
    parts: list[tuple[str, bool, str]] = []
    for what, i, j, at, end in SequenceMatcher(None, _compared(own), _compared(all_), autojunk=False).get_opcodes():
        if what == "equal":
            parts.append(("".join(all_[at:end]), False, ""))
        elif what != "delete":
            replaced = "".join(own[i:j])
            pieces = list(_phrases(all_[at:end]))
            parts += [(piece, True, "" if n else replaced) for n, piece in enumerate(pieces)]
    added = [n for n, (_, new, _) in enumerate(parts) if new]
    numbers = {n: min(number, MOST - 1) for number, n in enumerate(added)}  # what is too much goes with the last
    return tuple(Phrase(text, numbers.get(n), instead) for n, (text, _, instead) in enumerate(parts))


def added(phrases: Sequence[Phrase]) -> list[str]:
    """What can be dropped, by number."""
    found: dict[int, str] = {}
    for phrase in phrases:
        if phrase.number is not None:
            found[phrase.number] = f"{found.get(phrase.number, '')}{phrase.text}"
    return [text.strip(f" {_ENDS}") for text in found.values()]


def without(phrases: Sequence[Phrase], dropped: int) -> str:
    """Put a prompt together without some of what was added. dropped: bit n is set for phrase n."""
    kept = "".join(phrase.instead if is_dropped(phrase, dropped) else phrase.text for phrase in phrases)
    text = " ".join(kept.split())
    return _with_right_articles(text.strip(f" {_ENDS}")) if dropped else text


def is_dropped(phrase: Phrase, dropped: int) -> bool:
    return phrase.number is not None and bool(dropped >> phrase.number & 1)


def _compared(tokens: list[str]) -> list[str]:
    words = [token.strip().strip(_ENDS).casefold() for token in tokens]
    return ["a" if word in _ARTICLES else word for word in words]


def _phrases(tokens: list[str]) -> Iterator[str]:
    """Part what was added at commas and before words such as "in" and "with"."""
    phrase: list[str] = []
    for token in tokens:
        if phrase and (token.strip().casefold() in _BEGINS or phrase[-1][-1] in _ENDS):
            yield "".join(phrase)
            phrase = []
        phrase.append(token)
    if phrase:
        yield "".join(phrase)


def _with_right_articles(text: str) -> str:
    """Mend "a" and "an" before a word that stands there now."""
    return _ARTICLE.sub(lambda found: found[1] + ("n" if found[2][0].casefold() in "aeiou" else ""), text)

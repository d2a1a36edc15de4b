"""A language model's answer: brought to the form of a prompt, and doubted."""

import re
import unicodedata
from collections import Counter
from typing import Literal, TypeAlias

from engine.language import glossary
from engine.language.numerals import digits, numbers
from engine.language.words import WORDS

Doubt: TypeAlias = Literal["empty", "off-task", "not-english", "repeats", "lost-name", "lost-number"]

HEADING = "###"
_ADJECTIVES = r"(?:(?:expanded|improved|enhanced|detailed|best|final|english|image|text[- ]to[- ]image) )*"
_LABEL = rf"{_ADJECTIVES}(?:prompt|translation|output|answer|response)"
_LEAD_IN = re.compile(
    rf"^(?:(?:sure|certainly|of course|absolutely|okay|ok)\b[^:\n]{{0,80}}[!.:,]\s*"
    rf"|(?:here is|here's|here are|this is)\b[^:\n]{{0,120}}:\s*|{_LABEL}\s*:\s*|(?:assistant|system|user)\s*:\s*)+",
    re.IGNORECASE,
)
_AFTERWORD = re.compile(r"(?is)\n\s*(?:note|explanation|negative prompt|translation notes?|user|system|assistant)\s*:.*")
_MARKS = re.compile(r"^\s*(?:[-*•>]+|\d{1,2}[.)])\s+|\*{1,3}|_{2,}|`+", re.MULTILINE)
_QUOTES = "\"'“”‘’«»„ \t\n"
_LINK = re.compile(r"https?:|www\.|\w\.(?:com|net|org|ru|io|me)\b|(?<!\w)@\w|\S+@\S+\.\w|<[^>]*>|[{}|\\]", re.IGNORECASE)
_CHATTER: list[str] = WORDS["chatter"]
_ENGLISH, _FOREIGN = frozenset(WORDS["english"]), frozenset(WORDS["foreign"])
_EMPTY = _ENGLISH | frozenset(WORDS["empty"])
_FEW_WORDS = 12  # a shorter text may repeat itself
_ENDINGS = ".!?…;"


def cleaned(answer: str) -> str:
    """Turn a raw answer into one paragraph of prompt: no headings, lead-ins, afterwords, markup or quotes around it."""
    text = answer.split(HEADING)[0].replace("\r", "\n")
    text = "".join(character if character == "\n" or character.isprintable() else " " for character in text)
    text = _MARKS.sub("", text).strip(_QUOTES)
    text = _LEAD_IN.sub("", _AFTERWORD.sub("", text)).strip(_QUOTES)
    return digits(" ".join(text.split()))


def doubt(answer: str, prompt: str, names: tuple[str, ...] = ()) -> Doubt | None:
    """Say why a cleaned answer cannot stand for a person's prompt, or None.

    names: English names that it must keep.
    """
    if not any(character.isalnum() for character in answer):
        return "empty"
    if not in_english(answer):
        return "not-english"
    if _is_chatter(answer, prompt) or not _is_about(answer, prompt):
        return "off-task"
    if _repeats(answer):
        return "repeats"
    if not all(glossary.names(answer, name) for name in names):
        return "lost-name"
    if not numbers(prompt) <= numbers(answer):
        return "lost-number"
    return None


def in_english(text: str) -> bool:
    """Whether a text reads as English: Latin letters, and no more function words of other languages than its own."""
    letters = [character for character in text if character.isalpha()]
    if sum(map(_is_latin, letters)) < 0.9 * len(letters):
        return False
    words = _words(text)
    foreign, own = sum(word in _FOREIGN for word in words), sum(word in _ENGLISH for word in words)
    return foreign <= own or foreign < 2


def is_english(text: str) -> bool:
    """Whether nothing in a person's text needs translating: it reads as English and has no letter that is not Latin."""
    letters = [character for character in text if character.isalpha()]
    return in_english(text) and all(map(_is_latin, letters))


def said_too_much(answer: str, prompt: str) -> bool:
    """Whether a translation is so much longer or shorter than its source that it is something else."""
    source, own = len(prompt.split()), len(answer.split())
    return own > 3 * source + 10 or own * 4 < source


def whole_clauses(text: str, length: int) -> str:
    """Cut a text to at most `length` characters behind a sentence, else a clause, else a word."""
    if len(text) <= length:
        return text
    part = text[: length + 1]
    ends = [max(part.rfind(mark + " ") for mark in marks) + 1 for marks in (_ENDINGS, ",")]
    end = next((end for end in ends if end > length // 2), part.rfind(" "))
    return text[: end if end > 0 else length].rstrip(" ,;:-")


def _is_chatter(answer: str, prompt: str) -> bool:
    said, asked = answer.casefold(), prompt.casefold()
    if _LINK.search(answer) or (answer.endswith("?") and "?" not in prompt):
        return True
    return any(phrase in said and phrase not in asked for phrase in _CHATTER)


def _is_about(answer: str, prompt: str) -> bool:
    """Whether at least half of what an English prompt names is in the answer; of other prompts this cannot be seen."""
    if not is_english(prompt):
        return True
    stems = {word[:4] for word in _words(prompt) if word not in _EMPTY}
    said = answer.casefold()
    return 2 * sum(stem in said for stem in stems) >= len(stems)


def _repeats(answer: str) -> bool:
    words = _words(answer)
    if len(words) < _FEW_WORDS:
        return False
    threes = Counter(zip(words, words[1:], words[2:], strict=False))
    return max(threes.values()) > 3 or len(set(words)) < 0.3 * len(words)


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN", "FULLWIDTH LATIN"))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.casefold())

"""Names of the files that people download: what they show, in letters that every disk and every old program takes."""

import re
import unicodedata

from engine.requests import Request

_RUSSIAN = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya".replace("_", "").split(" "),
        strict=True,
    )
)
_WORDS = 5
_LONGEST = 40  # characters of a prompt's words
_LEFT_OUT = frozenset({"a", "an", "the", "on", "in", "at", "of", "and", "na", "v", "i", "s"})


def file_name(request: Request, seed: int, ending: str) -> str:
    """Name a picture: "kandinsky-big-red-circle-blue-background-7.png". ending: without its dot."""
    return "-".join(["kandinsky", *_few(getattr(request, "prompt", "")), str(seed)]) + f".{ending}"


def _few(prompt: str) -> list[str]:
    """The first words of a prompt that say something, in small ASCII letters."""
    latin = "".join(_RUSSIAN.get(character, character) for character in prompt.casefold())
    plain = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode()
    words = [word for word in re.findall("[a-z0-9]+", plain) if word not in _LEFT_OUT][:_WORDS]
    while len("-".join(words)) > _LONGEST:
        words = words[:-1] or [words[0][:_LONGEST]]
    return words

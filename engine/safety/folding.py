"""One plain form of a text, whatever it was dressed up as. Standard library only."""

import re
import unicodedata

# Letters of one alphabet that are drawn as letters of another, and the digits and signs that stand in for letters.
_TO_LATIN = str.maketrans(
    "авекмнорстухіјѕԁһԛԝαεικνορτυχ" + "013457$@€",
    "abekmhopctyxijsdhqwaeikvoptux" + "oieastsae",
)
_TO_CYRILLIC = str.maketrans("abekmhopctyx" + "0346@", "авекмнорстух" + "озчба")
_WORD = re.compile(r"\S+")
_SPELLED = re.compile(r"(?<!\w)\w(?: \w){2,}(?!\w)")
_ENDLESS = re.compile(r"(\w)\1{2,}")


def plain(text: str) -> str:
    """Lower case, compatibility forms folded, no accents or invisible characters, ё as е, one space for all between words."""
    seen = "".join(character for character in text if unicodedata.category(character) != "Cf")
    folded = unicodedata.normalize("NFKC", seen).casefold().replace("ё", "е").replace("й", "\0")
    bare = (character for character in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(character))
    return " ".join(re.findall(r"[^\W_]+", "".join(bare).replace("\0", "й")))


def readings(text: str) -> tuple[str, ...]:
    """The plain forms that a text may be read as: as typed, and with every lookalike taken for Latin or for Cyrillic."""
    latin = _WORD.sub(lambda word: _redrawn(word.group(), _TO_LATIN), text)
    cyrillic = _WORD.sub(lambda word: _redrawn(word.group(), _TO_CYRILLIC), text)
    forms = [plain(form) for form in (text, latin, cyrillic)]
    return tuple(dict.fromkeys(forms + [_ENDLESS.sub(r"\1", form) for form in forms]))


def spelled(reading: str) -> tuple[str, ...]:
    """What a plain text spells out letter by letter, put together: "n u d e" is "nude"."""
    return tuple(run.group().replace(" ", "") for run in _SPELLED.finditer(reading))


def _redrawn(word: str, letters: dict[int, int]) -> str:
    """A word with its lookalikes exchanged; a number stays one."""
    if not any(character.isalpha() for character in word):
        return word
    return unicodedata.normalize("NFKC", word).casefold().translate(letters)

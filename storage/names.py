"""Short names of pictures, which people read aloud and type: k-7F3A. One person's all differ; two people's need not."""

import hashlib
import re
from collections.abc import Collection

ALPHABET = "0123456789ABCDEFGHJMNPQRSTVWXYZ"  # no K, with which all begin, and no letter that looks like a digit
SHORTEST, LONGEST = 4, 12  # characters
_ALIKE = str.maketrans("АВСЕНКМОРТХУЗІЁOIL", "ABCEHKM0PTXY31E011")  # letters of a Russian keyboard first
_BETWEEN = re.compile(r"[\s\-_.:#\u2010-\u2015\u2212]+")


def free_name(public_id: str, taken: Collection[str]) -> str:
    """The name of a picture, as short as those that are taken allow. The same picture always begins alike."""
    whole = whole_name(public_id)
    return next((whole[:length] for length in range(SHORTEST, LONGEST) if whole[:length] not in taken), whole)


def whole_name(public_id: str) -> str:
    """All that a picture may be called, LONGEST characters: its name is how this begins."""
    number, characters = int.from_bytes(hashlib.sha256(public_id.encode()).digest()), []
    for _ in range(LONGEST):
        number, place = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[place])
    return "".join(characters)


def read_name(text: str) -> str | None:
    """The name that somebody typed, however: K7f3a, k 7F3A, with Cyrillic letters that look the same; None if it is none."""
    plain = _BETWEEN.sub("", text.upper().translate(_ALIKE)).removeprefix("K")
    return plain if SHORTEST <= len(plain) <= LONGEST and all(character in ALPHABET for character in plain) else None


def shown_name(name: str) -> str:
    """A name as people see it."""
    return f"k-{name}"

"""What the language model reads: a fixed head and foot, and between them a person's text that cannot leave its field."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """Text before and after the person's. The head's states are kept between requests, so it never changes."""

    head: str
    foot: str = "\n### Assistant:\n"

    def filled(self, text: str) -> str:
        """The whole prompt for a person's text."""
        return f"{self.head}{harmless(text)}{self.foot}"


# Word for word as the article prints it, the blank after "English." included; its layout is that of the model's card.
# Source: habr.com/ru/companies/sberbank/articles/805337 ("Бьютификация").
BEAUTIFY = Template(
    "### System:\nYou are a prompt engineer. Your mission is to expand prompts written by user. "
    "You should provide the best prompt for text to image generation in English. \n### User:\n"
)

# Ours: the authors published none for translation. Numbers as digits, since the picture model follows those better
# ("3 bogatyrs", a reader's finding under the article on 3.0).
TRANSLATE = Template(
    "### System:\nYou are a translator. Translate the text written by user into English, word for word. Add nothing and leave "
    "out nothing. Write numbers as digits. Keep names and words that are English already. Answer with the translation alone.\n"
    "### User:\n"
)

_FRAMES = str.maketrans(dict.fromkeys("<>[]{}|`＜＞［］｛｝｜《》", " ") | {"＃": "#", "﹟": "#"})
_HEADING = re.compile(r"(?:#\s*){2,}")


def harmless(text: str) -> str:
    """Take from a text what could end its field: line breaks, controls, rows of `#`, the brackets of special tokens.

    A single `#` stays. The tokenizer is told besides to read no special token in a text (`LanguageModel`).
    """
    printable = "".join(character if character.isprintable() else " " for character in text.translate(_FRAMES))
    return " ".join(_HEADING.sub("# ", printable).split())

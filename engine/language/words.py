"""The word lists of `engine/data/language/words.toml`, read once."""

import tomllib
from importlib.resources import files
from typing import Any

WORDS: dict[str, Any] = tomllib.loads((files("engine") / "data" / "language" / "words.toml").read_text(encoding="utf-8"))

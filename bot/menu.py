"""The menu of commands that Telegram shows beside the line one writes in."""

import hashlib

from aiogram.types import BotCommand

from bot.texts import LANGUAGES, Texts

COMMANDS = (
    "imagine", "history", "show", "tree", "queue", "settings", "cancel", "help", "start", "privacy", "export", "forget", "terms",
)  # fmt: skip


def commands(texts: Texts, language: str) -> list[BotCommand]:
    """Every command with its description in one language."""
    return [BotCommand(command=name, description=texts.plain(language, f"command.{name}")) for name in COMMANDS]


def edition(texts: Texts) -> str:
    """A name for all that the menu says, another one as soon as it says something else."""
    said = [each.model_dump_json() for language in LANGUAGES for each in commands(texts, language)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]

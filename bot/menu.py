"""The menu of commands that Telegram shows beside the line one writes in."""

from aiogram.types import BotCommand

from bot.texts import Texts

COMMANDS = ("imagine", "history", "queue", "settings", "cancel", "help", "start")


def commands(texts: Texts, language: str) -> list[BotCommand]:
    """Every command with its description in one language."""
    return [BotCommand(command=name, description=texts.plain(language, f"command.{name}")) for name in COMMANDS]

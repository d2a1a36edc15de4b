"""Looks at an update that decide which handler it is for.

These are coroutines because aiogram sends every `F` to a thread and back, which costs far more than the look; where each
message passes, that adds up.
"""

from aiogram.types import CallbackQuery, Message

from handlers.sent import has_picture


async def private(event: Message | CallbackQuery) -> bool:
    """In a chat with one person."""
    message = event.message if isinstance(event, CallbackQuery) else event
    return message is not None and message.chat.type == "private"


async def asked(event: Message, raw_state: str | None) -> bool:
    """The bot asked this person something, and waits for the answer."""
    return raw_state is not None


async def picture(message: Message) -> bool:
    """A picture in any of the ways in which people send one."""
    return has_picture(message)


async def words(message: Message) -> bool:
    """A text that is no command."""
    return bool(message.text) and not str(message.text).startswith("/")

"""Files in a person's message."""

from aiogram.types import Message

from engine.requests import clean_prompt
from handlers.ports import SentFile


def sent(message: Message) -> SentFile:
    """The file of a message with a picture, in the largest of its sizes."""
    words = clean_prompt(message.caption or "") or None
    if message.photo:
        largest = max(message.photo, key=lambda size: size.width * size.height)
        return SentFile(largest.file_id, largest.file_size, message.media_group_id, words)
    file = message.document or message.sticker
    if file is None:
        raise ValueError("a message without a picture")
    return SentFile(file.file_id, file.file_size, message.media_group_id, words)

"""Files in a person's message."""

from aiogram.types import Message

from engine.requests import clean_prompt
from handlers.ports import SentFile

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")  # of files whose type a client did not tell


def has_picture(message: Message) -> bool:
    """Whether there is a picture, in any of the ways in which people send one."""
    document = message.document
    if document is None or message.animation:
        return bool(message.photo or message.sticker)
    return (document.mime_type or "").startswith("image/") or (document.file_name or "").lower().endswith(_ENDINGS)


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

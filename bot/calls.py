"""The few calls to Telegram that say or show something in a chat: as a new message, or in the place of one."""

from aiogram import Bot
from aiogram.types import (
    BotCommand,
    BotCommandScopeChat,
    BufferedInputFile,
    InputMediaDocument,
    InputMediaPhoto,
    Message,
    ReplyParameters,
)

from bot.exports import OpenFile
from bot.said import Said

_LARGE_S = 600  # for 50 MB over a slow line


class Calls:
    """Each makes one call, and raises what aiogram raises; hand it to `bot.telegram.attempt`."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot

    async def put(
        self, chat_id: int, said: Said, target: int | None, reply_to: int | None, under_picture: bool = False
    ) -> Message | bool:
        """Say it with its picture, if it has one, in message `target` or in a new one.

        under_picture: that message shows a picture, which stays.
        """
        if said.photo is None and target:
            edit = self.edit_caption if under_picture else self.edit_text
            return await edit(chat_id, target, said)
        if said.photo is None:
            return await self.say(chat_id, said, reply_to)
        file = BufferedInputFile(said.photo, "kandinsky.jpg")
        return await (
            self.edit_picture(chat_id, target, file, said) if target else self.send_picture(chat_id, file, said, reply_to)
        )

    async def say(self, chat_id: int, said: Said, reply_to: int | None) -> Message:
        return await self._bot.send_message(chat_id, said.text, reply_markup=said.keyboard, reply_parameters=_reply(reply_to))

    async def edit_text(self, chat_id: int, message_id: int | None, said: Said) -> Message | bool:
        return await self._bot.edit_message_text(said.text, chat_id=chat_id, message_id=message_id, reply_markup=said.inline)

    async def edit_caption(self, chat_id: int, message_id: int | None, said: Said) -> Message | bool:
        edit = self._bot.edit_message_caption
        return await edit(chat_id=chat_id, message_id=message_id, caption=said.text, reply_markup=said.inline)

    async def delete(self, chat_id: int, message_id: int) -> bool:
        return await self._bot.delete_message(chat_id, message_id)

    async def seem_busy(self, chat_id: int) -> bool:
        """Show for five seconds that a photo is on its way."""
        return await self._bot.send_chat_action(chat_id, "upload_photo")

    async def send_picture(
        self, chat_id: int, file: BufferedInputFile | str, said: Said, reply_to: int | None, *, as_file: bool = False
    ) -> Message:
        send = self._bot.send_document if as_file else self._bot.send_photo
        return await send(chat_id, file, caption=said.text, reply_markup=said.keyboard, reply_parameters=_reply(reply_to))

    async def edit_picture(
        self,
        chat_id: int,
        message_id: int | None,
        file: BufferedInputFile | str,
        said: Said,
        *,
        as_file: bool = False,
        patience_s: int | None = None,
    ) -> Message:
        """Put a picture in the place of a text or of another one. patience_s: for the answer; as usual if None."""
        kind = InputMediaDocument if as_file else InputMediaPhoto
        media = kind(media=file, caption=said.text)
        edit = self._bot.edit_message_media
        answer = await edit(media, chat_id=chat_id, message_id=message_id, reply_markup=said.inline, request_timeout=patience_s)
        if not isinstance(answer, Message):
            raise TypeError("editMessageMedia of our own message answers with the message")
        return answer

    async def offer_commands(self, chat_id: int, commands: list[BotCommand] | None) -> bool:
        """Give a chat a menu of commands of its own, or (None) again that of its person's Telegram."""
        scope = BotCommandScopeChat(chat_id=chat_id)
        if commands is None:
            return await self._bot.delete_my_commands(scope)
        return await self._bot.set_my_commands(commands, scope)

    async def send_document(self, chat_id: int, file: BufferedInputFile | str, reply_to: int | None) -> Message:
        """Send a file without a word; `file` may be the id of one that Telegram has."""
        return await self._bot.send_document(chat_id, file, reply_parameters=_reply(reply_to), request_timeout=_LARGE_S)

    async def send_archive(self, chat_id: int, file: OpenFile, caption: str) -> Message:
        """Send a large file, and close it."""
        try:
            return await self._bot.send_document(chat_id, file, caption=caption, request_timeout=_LARGE_S)
        finally:
            file.close()


def _reply(message_id: int | None) -> ReplyParameters | None:
    return ReplyParameters(message_id=message_id, allow_sending_without_reply=True) if message_id else None

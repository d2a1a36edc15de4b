"""Whatever no other handler took: one friendly answer that says what works. Included last."""

from aiogram import F, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from handlers.ports import Actor, Say, Toast
from handlers.start import a_few

router = Router(name=__name__)


@router.edited_message(F.text, F.chat.type == "private")
async def edited(message: Message, actor: Actor, say: Say) -> None:
    """A drawing is not changed behind its owner's back."""
    await say(actor, "fallback.edited")


@router.message(F.text.startswith("/"), F.chat.type == "private")
async def unknown_command(message: Message, actor: Actor, say: Say, family: str) -> None:
    await say(actor, "fallback.command", {"command": (message.text or "").split()[0][:40]}, a_few(actor, family))


@router.message(F.photo | F.document | F.sticker | F.animation | F.video | F.video_note, F.chat.type == "private")
async def picture_or_file(message: Message, actor: Actor, say: Say, family: str) -> None:
    await say(actor, _key(message), None, a_few(actor, family))


@router.message(F.voice | F.audio, F.chat.type == "private")
async def voice(message: Message, actor: Actor, say: Say, family: str) -> None:
    await say(actor, "fallback.voice", None, a_few(actor, family))


@router.message(F.chat.type == "private")
async def anything_else(message: Message, actor: Actor, say: Say, family: str) -> None:
    await say(actor, "fallback.other", None, a_few(actor, family))


@router.message(Command("history", "show", "tree", "settings", "lang", "queue", "privacy", "export", "forget", ignore_case=True))
async def not_before_others(message: Message, actor: Actor, say: Say) -> None:
    """In a group: what is one person's own is shown to them alone."""
    await say(actor, "fallback.in-private")


@router.callback_query()
async def unknown_button(query: CallbackQuery, actor: Actor) -> Toast:
    return Toast("refused.not-found", alert=True)


def _key(message: Message) -> str:
    if message.photo:
        return "fallback.photo"
    if message.sticker:
        return "fallback.sticker"
    return "fallback.document" if message.document and not message.animation else "fallback.video"

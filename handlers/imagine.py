"""A sentence becomes a picture."""

from aiogram import F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import Message

from engine import catalog
from engine.requests import new_seed
from handlers.ports import Actor, Say, Submit
from handlers.start import examples

router = Router(name=__name__)


@router.message(Command("imagine", ignore_case=True))
async def imagine(message: Message, command: CommandObject, actor: Actor, submit: Submit, say: Say, family: str) -> None:
    if not command.args:
        await say(actor, "imagine.empty", None, examples(actor, family))
        return
    await submit(actor.wish(), catalog.text_to_image(family, command.args, new_seed()))


@router.message(F.text, ~F.text.startswith("/"), F.chat.type == "private")
async def plain_text(message: Message, actor: Actor, submit: Submit, family: str) -> None:
    await submit(actor.wish(), catalog.text_to_image(family, message.text or "", new_seed()))

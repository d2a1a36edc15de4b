"""A sentence becomes a picture."""

from aiogram import Router
from aiogram.filters import Command, CommandObject
from aiogram.types import Message

from engine import catalog
from engine.requests import TextToImage, new_seed
from handlers.filters import private, words
from handlers.ports import Actor, Say, Submit
from handlers.settings import pictures, size
from handlers.start import examples

router = Router(name=__name__)


@router.message(Command("imagine", ignore_case=True))
async def imagine(message: Message, command: CommandObject, actor: Actor, submit: Submit, say: Say, family: str) -> None:
    if not command.args:
        await say(actor, "imagine.empty", None, examples(actor, family))
        return
    await submit(actor.wish(), chosen(actor, family, command.args))


@router.message(words, private)
async def plain_text(message: Message, actor: Actor, submit: Submit, family: str) -> None:
    await submit(actor.wish(), chosen(actor, family, message.text or ""))


def chosen(actor: Actor, family: str, prompt: str) -> TextToImage:
    """What a person's words ask for: in their own size and number of pictures."""
    settings = actor.user.settings
    width, height = size(settings, family)
    return catalog.text_to_image(
        family, prompt, new_seed(), width=width, height=height, num_images_per_prompt=pictures(settings, family)
    )

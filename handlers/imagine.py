"""A sentence becomes a picture."""

from collections.abc import Collection
from dataclasses import replace

from aiogram import Router
from aiogram.filters import Command, CommandObject
from aiogram.types import Message

from engine.requests import new_seed
from handlers import parameters
from handlers.filters import private, words
from handlers.ports import Actor, Say, Submit
from handlers.settings import pictures, size
from handlers.start import examples
from handlers.wording import planned
from storage.domain import Submitted, Wish

router = Router(name=__name__)


@router.message(Command("imagine", ignore_case=True))
async def imagine(
    message: Message,
    command: CommandObject,
    actor: Actor,
    submit: Submit,
    say: Say,
    family: str,
    lanes: Collection[str] | None,
) -> None:
    if not command.args:
        await say(actor, "imagine.empty", None, examples(actor, family))
        return
    await draw(command.args, actor.wish(), actor, submit, family, lanes)


@router.message(words, private)
async def plain_text(message: Message, actor: Actor, submit: Submit, family: str, lanes: Collection[str] | None) -> None:
    await draw(message.text or "", actor.wish(), actor, submit, family, lanes)


async def draw(text: str, wish: Wish, actor: Actor, submit: Submit, family: str, lanes: Collection[str] | None) -> Submitted:
    """Submit what a person's words ask for, and say with it how they were read. Raises: ParameterError, RequestError."""
    asked = chosen(actor, family, text, lanes)
    return await submit(replace(wish, remarks=asked.remarks, writing=planned(actor, asked, family, lanes)), asked.request)


def chosen(actor: Actor, family: str, text: str, lanes: Collection[str] | None) -> parameters.Asked:
    """What a person's words ask for: where they say nothing of it, in their own size and number of pictures."""
    settings = actor.user.settings
    return parameters.read(text, family, new_seed(), size(settings, family), pictures(settings, family), lanes)

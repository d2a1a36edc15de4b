"""Hello and help."""

from aiogram import Router
from aiogram.filters import Command, CommandStart
from aiogram.types import Message

from engine import catalog
from handlers.ports import Actor, Choice, Say

router = Router(name=__name__)


@router.message(CommandStart(ignore_case=True))
async def start(message: Message, actor: Actor, say: Say, family: str) -> None:
    await say(actor, _key("start", family), {"engine": catalog.family(family).title}, examples(actor, family))


@router.message(Command("help", ignore_case=True))
async def show_help(message: Message, actor: Actor, say: Say, family: str) -> None:
    await say(actor, _key("help", family), {"engine": catalog.family(family).title}, examples(actor, family))


def examples(actor: Actor, family: str) -> list[Choice]:
    """Prompts that this family draws well, in the person's language."""
    return [Choice(prompt, prompt) for prompt in catalog.examples(family, actor.user.language)]


def a_few(actor: Actor, family: str) -> list[Choice]:
    """Two prompts beside a refusal, others each time: who slips twice is not told the same twice."""
    return [Choice(prompt, prompt) for prompt in catalog.other_examples(family, actor.user.language, actor.update_id)]


def _key(text: str, family: str) -> str:
    """A family with a small world says so, honestly."""
    return f"{text}.small-world" if catalog.family(family).small_world else f"{text}.any"

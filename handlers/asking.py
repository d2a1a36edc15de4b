"""Questions whose answer is the person's next message: how they end, and what they were about."""

from collections.abc import Callable

from aiogram import F, Router
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.filters import Command
from aiogram.fsm.context import FSMContext
from aiogram.types import ForceReply, Message

from handlers.filters import asked, private
from handlers.ports import Actor, FindPicture, Say
from storage.domain import Picture

router = Router(name=__name__)
router.message.filter(private)


def question(label: Callable[[str], str], placeholder: str) -> ForceReply:
    """Open the person's keyboard for the answer."""
    return ForceReply(input_field_placeholder=label(placeholder))


async def picture_asked_about(state: FSMContext, actor: Actor, find_picture: FindPicture) -> Picture:
    """The picture that the open question is about. Raises: Refused if it is gone."""
    return await find_picture(actor.user, str((await state.get_data()).get("picture", "")))


@router.message(asked, Command("cancel", ignore_case=True))
async def leave_it(message: Message, actor: Actor, say: Say) -> None:
    """`/cancel` ends the open question first."""
    await say(actor.ending(), "asking.over")


@router.message(asked, F.text.startswith("/"))
async def something_else(message: Message, state: FSMContext) -> None:
    """Any other command ends the question, and is what it always is."""
    await state.clear()
    raise SkipHandler

"""What the judge of pictures withheld: draw it with another seed, or say that the judge was wrong."""

from collections.abc import Callable, Collection
from dataclasses import replace

from aiogram import F, Router
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup

from engine.requests import from_json, new_seed
from handlers.opened import as_before
from handlers.ports import Actor, Appeal, FindJob, FindParent, Submit, Toast
from storage.domain import Refused

router = Router(name=__name__)

CATEGORIES = ("sexual", "minors", "forbidden", "unchecked")  # that have words of their own
_NEVER_AGAIN = "minors"


class WithheldButton(CallbackData, prefix="v1j"):
    """`action`: seed or appeal."""

    action: str
    job: str


def ways(categories: Collection[str]) -> tuple[str, ...]:
    """The ways on from what a judge said; after some categories there is but one."""
    return ("appeal",) if _NEVER_AGAIN in categories else ("seed", "appeal")


def keyboard(job: str, actions: Collection[str], label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw a button for each of some ways, one below the other: their words are long."""
    words = {"seed": label("button.other-seed"), "appeal": label("button.appeal")}
    data = {each: WithheldButton(action=each, job=job).pack() for each in actions}
    return InlineKeyboardMarkup(
        inline_keyboard=[[InlineKeyboardButton(text=words[each], callback_data=data[each])] for each in actions]
    )


@router.callback_query(WithheldButton.filter(F.action == "seed"))
async def another_seed(
    query: CallbackQuery,
    callback_data: WithheldButton,
    actor: Actor,
    find_job: FindJob,
    find_parent: FindParent,
    submit: Submit,
) -> Toast:
    """As many pictures as were withheld, with seeds of their own; their quota was returned, so they cost nothing more."""
    job = await find_job(actor.user, callback_data.job)
    if not job.withheld or _NEVER_AGAIN in job.withheld:
        raise Refused("refused.not-found")
    request = from_json(job.params)
    fewer = {"num_images_per_prompt": len(job.withheld)} if request.pictures > 1 else {}
    request = replace(request, **{"seed": new_seed(), **fewer})
    done = await submit(as_before(actor.wish(f"seed:{job.public_id}"), job), request, await find_parent(job))
    return Toast("toast.drawing" if done.created else "toast.already")


@router.callback_query(WithheldButton.filter(F.action == "appeal"))
async def against_the_judge(query: CallbackQuery, callback_data: WithheldButton, actor: Actor, appeal: Appeal) -> Toast:
    """Once for each job, and so for each picture; the window says what happens next."""
    new = await appeal(actor.user, callback_data.job)
    return Toast("toast.appeal" if new else "toast.appeal-known", alert=True)

"""The row under every result: open one of several, again, the same seed, with care, as a file."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from aiogram import F, Router
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup

from engine import catalog
from engine.requests import TextToImage, Upscale, from_json, new_seed
from handlers import edits, favourites, lineage, remix, report, upscale, ways, wording
from handlers.opened import as_before, drawn, opened, shown
from handlers.ports import Actor, FindJob, FindParent, FindSeed, SendFile, Show, Submit, Toast
from storage.domain import Job, Picture, Refused

router = Router(name=__name__)


class ResultButton(CallbackData, prefix="v1"):
    """`index` is the picture that is open, from 1; 0 is the whole sheet."""

    action: str
    job: str
    index: int = 0


def keyboard(
    job: Job,
    pictures: Sequence[Picture],
    index: int,
    label: Callable[[str], str],
    lanes: Collection[str] | None = None,
    opens: Callable[[int], str] | None = None,
    back: str | None = None,
) -> InlineKeyboardMarkup:
    """Draw the buttons of a result of which picture `index` is open: what can be made of that one comes last.

    lanes: those that are served; None for all of the family's.  opens: makes other data for the buttons 1…n.
    back: of a card, what its way back names.
    """
    count = len(pictures)

    def button(text: str, action: str, at: int) -> InlineKeyboardButton:
        data = ResultButton(action=action, job=job.public_id, index=at).pack()
        return InlineKeyboardButton(text=text, callback_data=opens(at) if opens and action == "open" else data)

    rows = []
    if count > 1:
        rows.append([button(f"· {at} ·" if at == index else str(at), "open", at) for at in range(1, count + 1)])
        if index:
            rows[0].append(button(label("button.sheet"), "open", 0))
    request = from_json(job.params)
    if isinstance(request, Upscale) and request.tile:
        rows += upscale.tile_keyboard(job.public_id, request.tile, label).inline_keyboard
        rows.append([button(label("button.file"), "file", index), report.button(job.public_id, index, label)])
        return InlineKeyboardMarkup(inline_keyboard=rows)
    if request.kind != Upscale.kind:  # which has nothing left to chance
        rows.append([button(label("button.again"), "again", index), button(label("button.same-seed"), "same", index)])
    last = [button(label("button.file"), "file", index)]
    served = catalog.family(request.family).lanes if lanes is None else lanes
    if isinstance(request, TextToImage) and request.flash and "base" in served:
        last.insert(0, button(label("button.careful"), "careful", index))
    rows.append([*last, *ways.button(job, request.family, lanes, label)])
    rows += wording.rows(job, index, lanes, label)
    if job.chat_id > 0:  # what asks back, or is one's own, is for a private chat
        again = remix.button(job, request, index, label)
        star = [favourites.button(job, pictures[index - 1], index, back, label)] if index else []
        undo = (
            [lineage.origin_button(pictures[index - 1], label)]
            if index and back is None and pictures[index - 1].parent_id
            else []
        )
        rows += [row for row in ([*star, *again], undo) if row]
    if index and job.chat_id > 0:
        rows += edits.rows(pictures[index - 1].public_id, request.family, lanes, label)
    rows.append([report.button(job.public_id, index, label)])
    return InlineKeyboardMarkup(inline_keyboard=rows)


def retry_keyboard(job_public_id: str, label: Callable[[str], str]) -> InlineKeyboardMarkup:
    """Draw the one button of a job that brought nothing: the same wish again, free of charge."""
    data = ResultButton(action="same", job=job_public_id).pack()
    return InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text=label("button.retry"), callback_data=data)]])


@router.callback_query(ResultButton.filter(F.action == "open"))
async def open_picture(query: CallbackQuery, callback_data: ResultButton, actor: Actor, find_job: FindJob, show: Show) -> None:
    job = await drawn(actor, find_job, callback_data.job, callback_data.index)
    await show(actor, job, callback_data.index)


@router.callback_query(ResultButton.filter(F.action == "file"))
async def as_file(
    query: CallbackQuery, callback_data: ResultButton, actor: Actor, find_job: FindJob, send_file: SendFile
) -> Toast:
    job = await drawn(actor, find_job, callback_data.job, callback_data.index)
    new = await send_file(actor, job, callback_data.index)
    return Toast("toast.file" if new else "toast.file-here")


@router.callback_query(ResultButton.filter(F.action == "again"))
async def again(
    query: CallbackQuery,
    callback_data: ResultButton,
    actor: Actor,
    find_job: FindJob,
    find_parent: FindParent,
    submit: Submit,
) -> Toast:
    """The same wish with a new seed."""
    job = await find_job(actor.user, callback_data.job)
    request = replace(from_json(job.drawing), **{"seed": new_seed()})
    done = await submit(as_before(actor.wish(f"again:{job.public_id}"), job), request, await find_parent(job))
    return Toast("toast.drawing" if done.created else "toast.already")


@router.callback_query(ResultButton.filter(F.action == "same"))
async def same_seed(
    query: CallbackQuery,
    callback_data: ResultButton,
    actor: Actor,
    find_job: FindJob,
    find_parent: FindParent,
    find_seed: FindSeed,
    submit: Submit,
) -> Toast:
    """The same wish with the same seed: the open picture alone, or all of them."""
    job = await opened(actor, find_job, callback_data.job, callback_data.index)
    request = await shown(job, callback_data.index, find_seed)
    wish = as_before(actor.wish(f"same{callback_data.index}:{job.public_id}"), job)
    done = await submit(wish, request, await find_parent(job))
    return Toast("toast.drawing" if done.created else "toast.already")


@router.callback_query(ResultButton.filter(F.action == "careful"))
async def draw_carefully(
    query: CallbackQuery,
    callback_data: ResultButton,
    actor: Actor,
    find_job: FindJob,
    find_seed: FindSeed,
    submit: Submit,
    lanes: Collection[str] | None,
) -> Toast:
    """The same words and seed with the base sampler: fifty steps, with guidance."""
    if lanes is not None and "base" not in lanes:  # a button from before
        raise Refused("refused.no-base")
    job = await opened(actor, find_job, callback_data.job, callback_data.index)
    request = await shown(job, callback_data.index, find_seed)
    if not isinstance(request, TextToImage):
        raise Refused("refused.not-found")
    request = replace(request, flash=False)
    done = await submit(as_before(actor.wish(f"careful{callback_data.index}:{job.public_id}"), job), request)
    return Toast("toast.drawing" if done.created else "toast.already")

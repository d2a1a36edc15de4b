"""A picture enlarged two or four times, or first a ninth of it to see what that brings."""

from collections.abc import Callable, Collection

from aiogram import F, Router
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup

from engine import catalog
from engine.requests import TILES, Request, Upscale, new_seed
from handlers.editing import Edit, EditButton, Label, check_size, served
from handlers.ports import Actor, FindJob, FindParent, FindPicture, Screen, Submit, Toast, unless_new
from storage.domain import Picture, Refused

router = Router(name=__name__)

_ALL = range(1, TILES * TILES + 1)


class TileButton(CallbackData, prefix="v1t"):
    """Under one part of a picture: another part of the same, or (0) all of it."""

    job: str
    tile: int


def _by(scale: int, tile: int = 0) -> Callable[[str, Picture, int], Request]:
    """scale: 0 for the most that the family can."""

    def make(family: str, picture: Picture, seed: int) -> Request:
        times = scale or max(catalog.family(family).scales, default=2)
        check_size(times * picture.width, times * picture.height)  # of all of it, whose part this is
        return catalog.make(Upscale, family, image=picture.media_id, seed=seed, scale=times, tile=tile)

    return make


_TILES = {f"tile{tile}": Edit("button.try-tile", _by(0, tile)) for tile in _ALL}
EDITS = {
    "up2": Edit("button.up2", _by(2)),
    "up4": Edit("button.up4", _by(4)),
    "try": Edit("button.try-tile", _by(0), asks=True),
    **_TILES,
}


def ask_keyboard(picture: str) -> InlineKeyboardMarkup:
    """Draw a button for each part, as the parts lie."""
    return _grid(lambda tile: (str(tile), EditButton(action=f"tile{tile}", picture=picture)))


def tile_keyboard(job: str, shown: int, label: Label) -> InlineKeyboardMarkup:
    """Draw the parts again, `shown` marked, and the way to the whole picture."""

    def button(tile: int) -> tuple[str, CallbackData]:
        return f"· {tile} ·" if tile == shown else str(tile), TileButton(job=job, tile=tile)

    rows = _grid(button).inline_keyboard
    whole = InlineKeyboardButton(text=label("button.whole"), callback_data=TileButton(job=job, tile=0).pack())
    return InlineKeyboardMarkup(inline_keyboard=[[whole], *rows])


def _grid(button: Callable[[int], tuple[str, CallbackData]]) -> InlineKeyboardMarkup:
    buttons = [InlineKeyboardButton(text=text, callback_data=data.pack()) for text, data in map(button, _ALL)]
    rows = [buttons[at : at + TILES] for at in range(0, len(buttons), TILES)]
    return InlineKeyboardMarkup(inline_keyboard=rows)


@router.callback_query(EditButton.filter(F.action == "try"))
async def ask_which_part(
    query: CallbackQuery,
    callback_data: EditButton,
    actor: Actor,
    find_picture: FindPicture,
    screen: Screen,
    family: str,
    lanes: Collection[str] | None,
) -> Toast | None:
    picture = await find_picture(actor.user, callback_data.picture)
    if not served(family, EDITS["try"], lanes):  # a button from before
        raise Refused("refused.not-served")
    request = EDITS["try"].make(family, picture, 0)  # what cannot be done with all of it is refused before any part is tried
    scale = request.scale if isinstance(request, Upscale) else 0
    size, whole = f"{picture.width}×{picture.height}", f"{scale * picture.width}×{scale * picture.height}"
    return unless_new(await screen(actor, "tile.ask", {"picture": picture.public_id, "size": size, "whole": whole}))


@router.callback_query(TileButton.filter())
async def another_part(
    query: CallbackQuery,
    callback_data: TileButton,
    actor: Actor,
    find_job: FindJob,
    find_parent: FindParent,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> Toast:
    """Another part of the same picture, or all of it, enlarged as this one was."""
    job, tile = await find_job(actor.user, callback_data.job), callback_data.tile
    picture = await find_parent(job) if job.kind == Upscale.kind else None
    if picture is None or not 0 <= tile <= len(_ALL):
        raise Refused("refused.not-found")
    edit = Edit("button.try-tile", _by(0, tile))
    if not served(family, edit, lanes):
        raise Refused("refused.not-served")
    done = await submit(actor.wish(f"tile{tile}:{job.public_id}"), edit.make(family, picture, new_seed()), picture)
    return Toast("toast.drawing" if done.created else "toast.already")

"""A picture drawn on beyond its sides: a press asks where, and each answer is a job."""

from collections.abc import Callable

from aiogram import F, Router
from aiogram.types import CallbackQuery, InlineKeyboardMarkup

from engine import catalog
from engine.requests import Outpaint, Request
from handlers.editing import Edit, EditButton, Label, buttons, check_size, feather
from handlers.ports import Actor, FindPicture, Screen, Toast, unless_new
from storage.domain import Picture

router = Router(name=__name__)

_SHARE = 0.5  # of a picture's side: what one answer adds


def _outpaint(family: str, picture: Picture, seed: int, **where: float) -> Request:
    return catalog.make(Outpaint, family, image=picture.media_id, seed=seed, mask_feather=feather(picture), **where)


def _beyond(side: str) -> Callable[[str, Picture, int], Request]:
    def make(family: str, picture: Picture, seed: int) -> Request:
        across = side in ("left", "right")
        more = round((picture.width if across else picture.height) * _SHARE)
        check_size(picture.width + more * across, picture.height + more * (not across))
        return _outpaint(family, picture, seed, **{side: more})

    return make


def _around(zoom: float) -> Callable[[str, Picture, int], Request]:
    def make(family: str, picture: Picture, seed: int) -> Request:
        check_size(round(zoom * picture.width), round(zoom * picture.height))
        return _outpaint(family, picture, seed, zoom=zoom)

    return make


_ANSWERS = {
    "top": Edit("button.extend-top", _beyond("top")),
    "left": Edit("button.extend-left", _beyond("left")),
    "right": Edit("button.extend-right", _beyond("right")),
    "bottom": Edit("button.extend-bottom", _beyond("bottom")),
    "zoom15": Edit("button.zoom15", _around(1.5)),
    "zoom2": Edit("button.zoom2", _around(2.0)),
}
_LAID_OUT = (("top",), ("left", "right"), ("bottom",), ("zoom15", "zoom2"))
EDITS = {"extend": Edit("button.extend", _around(2.0), asks=True), **_ANSWERS}


def keyboard(picture: str, label: Label) -> InlineKeyboardMarkup:
    """Draw the four sides as they lie, and the two ways to stand back."""
    return InlineKeyboardMarkup(inline_keyboard=buttons(_LAID_OUT, _ANSWERS, picture, label))


@router.callback_query(EditButton.filter(F.action == "extend"))
async def ask_where(
    query: CallbackQuery, callback_data: EditButton, actor: Actor, find_picture: FindPicture, screen: Screen
) -> Toast | None:
    picture = await find_picture(actor.user, callback_data.picture)
    return unless_new(
        await screen(actor, "extend.ask", {"picture": picture.public_id, "size": f"{picture.width}×{picture.height}"})
    )

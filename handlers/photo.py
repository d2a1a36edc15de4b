"""Pictures that people send: kept, and offered everything that can be made of them; with words, drawn at once."""

from collections.abc import Collection

from aiogram import F, Router
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from handlers import edits, mix, ways, worded
from handlers.asking import picture_asked_about
from handlers.editing import OFFER, EditButton, Label
from handlers.filters import picture as a_picture
from handlers.filters import private
from handlers.ports import Actor, FindPicture, OfferAlbum, Recognise, Screen, Submit, TakePicture, Toast, unless_new
from handlers.sent import sent
from storage.domain import Picture

router = Router(name=__name__)
router.message.filter(private)


@router.message(mix.Second.picture, a_picture)
async def second(
    message: Message,
    actor: Actor,
    state: FSMContext,
    take_picture: TakePicture,
    find_picture: FindPicture,
    screen: Screen,
) -> None:
    """The second picture of a mix, after the bot asked for it."""
    first = await picture_asked_about(state, actor, find_picture)
    picture = await take_picture(actor, sent(message))
    await screen(actor.ending(), "mix.offer", {"pictures": [first.public_id, picture.public_id]})


@router.callback_query(EditButton.filter(F.action == OFFER))
async def offer_one(
    query: CallbackQuery, callback_data: EditButton, actor: Actor, find_picture: FindPicture, screen: Screen
) -> Toast | None:
    """One picture of several."""
    return unless_new(await offer(actor, await find_picture(actor.user, callback_data.picture), screen))


@router.message(a_picture)
async def photo(
    message: Message,
    actor: Actor,
    take_picture: TakePicture,
    offer_album: OfferAlbum,
    recognise: Recognise,
    screen: Screen,
    submit: Submit,
    family: str,
    lanes: Collection[str] | None,
) -> None:
    if not edits.possible(family, lanes):
        raise SkipHandler
    file = sent(message)
    picture = await take_picture(actor, file)
    if file.album:
        await offer_album(actor, file.album)
        return
    way = ways.usual(family, lanes) if file.caption else None
    if way is not None:
        about, make = worded.About(way, (picture.public_id,), offer=True), ways.maker(way, family, picture)
        try:
            await worded.draw(file.caption or "", about, make, picture, actor.wish(), submit, family, lanes)
            return
        except worded.Misread:
            if message.forward_origin is None:
                raise  # else these are somebody else's words: it is the picture that was sent
    if known := await recognise(picture):
        await screen(actor, "photo.known", {"picture": known.public_id, "sent": picture.public_id})
    else:
        await offer(actor, picture, screen)


def known_keyboard(rows: InlineKeyboardMarkup, sent_one: str, label: Label) -> InlineKeyboardMarkup:
    """Draw the row of a picture that is known again, and the way to what was sent, as if it were new."""
    data = EditButton(action=OFFER, picture=sent_one).pack()
    new = [InlineKeyboardButton(text=label("button.as-new"), callback_data=data)]
    return InlineKeyboardMarkup(inline_keyboard=[*rows.inline_keyboard, new])


async def offer(actor: Actor, picture: Picture, screen: Screen) -> bool:
    """Say what can be made of a picture; return False if it was said just now."""
    return await screen(actor, "photo.offer", {"picture": picture.public_id, "size": f"{picture.width}×{picture.height}"})

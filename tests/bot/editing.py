"""The mask editor served as the bot serves it, with a sandbox beside it; what comes back is kept here in place of SQL."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiogram import Bot
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, WebAppInfo
from PIL import Image, ImageDraw

from bot.miniapp import EditorPicture, MiniApp, editor_url
from bot.settings import MiniAppSettings, WebSettings
from bot.texts import Texts
from bot.web import serving
from sandbox.mini_apps import Launch
from sandbox.person import Person
from sandbox.server import Sandbox
from storage.media import MediaStore
from tests.sandbox.conftest import talking_to

BUTTON = "Draw a mask"


@dataclass
class Editing:
    """One running editor: pictures by (Telegram's user id, public id), and every mask that was taken."""

    settings: MiniAppSettings
    bot: Bot
    media: MediaStore
    pictures: dict[tuple[int, str], EditorPicture] = field(default_factory=dict)
    taken: list[tuple[int, str, bytes, str]] = field(default_factory=list)
    broken: bool = False

    async def find_picture(self, telegram_user_id: int, public_id: str) -> EditorPicture | None:
        return self.pictures.get((telegram_user_id, public_id))

    async def take_mask(self, telegram_user_id: int, public_id: str, mask_png: bytes, key: str) -> None:
        if self.broken:
            raise OSError("the database is away")
        self.taken.append((telegram_user_id, public_id, mask_png, key))

    def has_picture(
        self,
        person: Person,
        public_id: str = "pic1",
        size: tuple[int, int] = (640, 480),
        mask: bytes | None = None,
        colour: str | None = None,
    ) -> None:
        """Give a person a picture to edit: a house on a hill, or one plain colour."""
        self.pictures[person.id, public_id] = EditorPicture(
            self.media.put(as_png(Image.new("RGB", size, colour)) if colour else landscape(size), ".png"),
            *size,
            mask_id=None if mask is None else self.media.put(mask, ".png"),
            language=person.language_code,
        )

    async def offers(self, person: Person, public_id: str = "pic1") -> int:
        """Send the button that opens the editor; the message's id."""
        url = editor_url(self.settings.url or "", public_id)
        assert url is not None
        keys = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text=BUTTON, web_app=WebAppInfo(url=url))]])
        return (await self.bot.send_message(person.id, "What should change?", reply_markup=keys)).message_id

    async def opened_by(self, person: Person, public_id: str = "pic1", age_s: int = 0) -> Launch:
        """Let a person open the editor, as if `age_s` seconds ago."""
        return person.opens(BUTTON, await self.offers(person, public_id), age_s)

    def last_mask(self) -> Image.Image:
        """The newest mask that was taken."""
        return Image.open(io.BytesIO(self.taken[-1][2]))


@asynccontextmanager
async def editing(box: Sandbox, folder: Path, path: str = "/editor") -> AsyncIterator[Editing]:
    """Serve the editor on a free port."""
    settings = MiniAppSettings(url=f"http://127.0.0.1:1{path}", script=f"{box.url}/telegram-web-app.js")
    async with talking_to(box) as bot:
        edits = Editing(settings, bot, MediaStore(str(folder)))
        app = MiniApp(settings, box.token, edits.media, edits.find_picture, edits.take_mask, Texts())
        listen = WebSettings.model_construct(host="127.0.0.1", port=0)
        async with serving(listen, app.routes()) as port:
            edits.settings = settings.model_copy(update={"url": f"http://127.0.0.1:{port}{path}"})
            yield edits


def landscape(size: tuple[int, int]) -> bytes:
    """A picture with something in it, as PNG."""
    width, height = size
    picture = Image.new("RGB", size, "#8ec5f0")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((width * 0.08, height * 0.08, width * 0.24, height * 0.08 + width * 0.16), fill="#ffd24a")
    pen.ellipse((-width * 0.3, height * 0.62, width * 1.3, height * 1.8), fill="#5aa469")
    pen.rectangle((width * 0.5, height * 0.42, width * 0.78, height * 0.74), fill="#c8553d")
    pen.polygon([(width * 0.45, height * 0.42), (width * 0.64, height * 0.2), (width * 0.83, height * 0.42)], fill="#5b3a29")
    pen.rectangle((width * 0.6, height * 0.55, width * 0.68, height * 0.74), fill="#f2e3c6")
    return as_png(picture)


def as_png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()

"""What handlers may ask for about pictures by their names, and about what came of what."""

from bot.frame import Desk
from handlers.ports import Actor
from storage.database import Database
from storage.domain import Job, Picture, Refused, User
from storage.errors import NotFound
from storage.names import read_name
from storage.repositories.jobs import JobRepository
from storage.repositories.lineage import LineageRepository
from storage.repositories.pictures import PictureRepository


class Kinship:
    def __init__(self, database: Database, desk: Desk) -> None:
        self._db, self._desk = database, desk

    async def find_drawn(self, job: Job, index: int) -> Picture:
        async with self._db.read() as session:
            pictures = await PictureRepository(session).of_job(job.id)
        if not 0 < index <= len(pictures):
            raise Refused("refused.not-found")
        return pictures[index - 1]

    async def find_named(self, user: User, name: str) -> Picture | None:
        """This person's picture of a name; what can be no name at all is as absent as somebody else's."""
        read = read_name(name)
        if read is None:
            return None
        async with self._db.read() as session:
            try:
                return await PictureRepository(session).named(read, user.id)
            except NotFound:
                return None

    async def find_newest(self, user: User) -> Picture | None:
        async with self._db.read() as session:
            return await LineageRepository(session).newest(user.id)

    async def find_origin(self, picture: Picture) -> Picture:
        async with self._db.read() as session:
            parent = await LineageRepository(session).parent(picture)
        if parent is None:
            raise Refused("refused.origin-gone")
        return parent

    async def favour(self, job: Job, index: int, favourite: bool) -> None:
        picture = await self.find_drawn(job, index)
        async with self._db.begin() as session:
            await PictureRepository(session).set_favourite(picture, favourite)

    async def show_card(self, actor: Actor, picture: Picture, back: str | None = None) -> None:
        """Owe a card: a result's own is a view of it, that of a picture which was sent has no result behind it."""
        if picture.job_id is None:
            values = {"picture": picture.public_id, "back": back or ""}
            await self._desk.screen(actor, "card.upload", values, edit=back is not None)
            return
        async with self._db.read() as session:
            job = await JobRepository(session).get(picture.job_id)
            index = [each.id for each in await PictureRepository(session).of_job(job.id)].index(picture.id) + 1
        await self._desk.show(actor, job, index, back or "", new=back is None)

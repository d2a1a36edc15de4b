"""Being forgotten: a person asks, may take it back for a while, and then a sweep deletes all that is kept of them."""

import asyncio
import logging

from bot.jobs import Jobs
from storage.database import Database
from storage.domain import Erasure, User
from storage.errors import MediaAway
from storage.media import MediaStore
from storage.post import NewNotice
from storage.repositories.erasures import ErasureRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import NoticeRepository
from storage.repositories.users import UserRepository

log = logging.getLogger(__name__)

FAREWELL = "forget.done"  # the last word to somebody forgotten
_QUIET_S = 60.0  # after a job's end, how long somebody may still write for it
_KEEP_FAREWELL_S = 3600.0
_FILES_AT_ONCE = 200


class Forgetting:
    """The use cases, over one database and one media store. Each step is one transaction, and may be done twice."""

    def __init__(self, database: Database, media: MediaStore, jobs: Jobs, grace_s: float) -> None:
        self._db, self._media, self._jobs, self._grace_s = database, media, jobs, grace_s

    async def ask(self, user: User) -> Erasure:
        """Note that this person wants to be forgotten, and cancel what they have under way; asked again, it is the same wish.

        From the first transaction on nothing new is accepted from them, so what is cancelled here is all there is.
        """
        async with self._db.begin() as session:
            await UserRepository(session).lock(user.id)
            erasure = await ErasureRepository(session).ask(user, self._grace_s)
        await self._stop_jobs(user, erasure)
        return erasure

    async def keep(self, user: User) -> bool:
        """Take the wish back; return False if there is none (any more)."""
        async with self._db.begin() as session:
            await UserRepository(session).lock(user.id)
            return await ErasureRepository(session).take_back(user.id)

    async def find(self, user: User, receipt: str) -> Erasure | None:
        """What a receipt stands for: a wish of this person's, or one that is done."""
        async with self._db.read() as session:
            return await ErasureRepository(session).find(receipt, user.id)

    async def sweep(self, bot_id: int) -> None:
        """Delete what is due of this bot's people, and remove the files of all who are forgotten.

        Raises: nothing for one person's sake: the next sweep tries again.
        """
        async with self._db.alone() as session:
            due = await ErasureRepository(session).due(bot_id)
        for erasure in due:
            try:
                async with self._db.alone() as session:
                    user = await UserRepository(session).get(int(erasure.user_id or 0))
                await self._stop_jobs(user, erasure)
                await self._erase(user, erasure)
            except OSError:
                raise  # the database is away, for all of them
            except Exception as error:
                log.error("receipt %s: not erased: %s", erasure.public_id, type(error).__name__)
        await self._remove_files()
        async with self._db.alone() as session:
            await ErasureRepository(session).forget_farewells(FAREWELL, _KEEP_FAREWELL_S)

    async def _stop_jobs(self, user: User, erasure: Erasure) -> None:
        """Cancel each job under way as its person could; what is drawn already is brought, and deleted with the rest."""
        async with self._db.alone() as session:
            active = await JobRepository(session).active_of(user.id)
        wanted = [job for job in active if not job.cancel_requested]
        for job in wanted:
            await self._jobs.cancel(user, job.public_id, None)
        if wanted:
            async with self._db.begin() as session:
                await ErasureRepository(session).stopped(erasure, len(wanted))

    async def _erase(self, user: User, erasure: Erasure) -> None:
        async with self._db.begin() as session:
            erasures = ErasureRepository(session)
            await UserRepository(session).lock(user.id)
            if await erasures.of(user.id) is None:  # taken back meanwhile
                return
            if await erasures.busy(user.id, min(_QUIET_S, erasure.due_at - erasure.asked_at)):
                return
            # first the last word: while it stands, SQLite gives no number of a deleted notice to another
            await NoticeRepository(session).add(
                NewNotice(
                    bot_id=user.bot_id,
                    chat_id=user.telegram_id,  # of the private chat with this person
                    key=FAREWELL,
                    params={"receipt": erasure.public_id, "language": user.language},
                    dedupe_key=f"forgotten:{erasure.public_id}",
                )
            )
            erased = await erasures.erase(erasure, user.telegram_id)
        log.info("receipt %s: erased %d pictures, %d jobs", erasure.public_id, erased.pictures, erased.jobs)

    async def _remove_files(self) -> None:
        """Remove some files of people forgotten that nobody else has. A file that was put a moment ago gets its row first."""
        async with self._db.read() as session:
            erasures = ErasureRepository(session)
            media_ids = await erasures.erased_files(_FILES_AT_ONCE)
            if not media_ids:
                return
            used = await erasures.used(media_ids)
        try:
            gone = await asyncio.to_thread(self._remove, [media_id for media_id in media_ids if media_id not in used])
        except MediaAway as error:
            log.warning("files of people forgotten are not removed yet: %s", error)
            gone = []
        if used or gone:
            async with self._db.begin() as session:
                await ErasureRepository(session).removed([*used, *gone])

    def _remove(self, media_ids: list[str]) -> list[str]:
        """Return those that are gone; call it in a thread."""
        untouched_s = min(_QUIET_S, self._grace_s)
        return [media_id for media_id in media_ids if self._media.remove(media_id, untouched_s)]

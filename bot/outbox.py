"""What is owed to chats, read and settled in SQL: each method is one transaction, or one statement, of the deliverer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aiogram.types import Document, PhotoSize

from bot.exports import PART, failed_word
from bot.jobs import undeliverable
from handlers.lineage import CHILDREN
from storage.database import Database
from storage.domain import Job, JobState, Picture
from storage.places import Place, reached
from storage.post import Delivery, NewNotice, Notice, SendState
from storage.repositories.jobs import JobRepository
from storage.repositories.lineage import Kin, LineageRepository
from storage.repositories.outgoing import DeliveryRepository, Lease, NoticeRepository, PauseRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.previews import PreviewRepository, Version
from storage.repositories.users import UserRepository

_SETTLED = (SendState.SENT, SendState.FAILED)


@dataclass(frozen=True)
class Due:
    """Everything that may be sent now, each with its reader's language."""

    results: list[tuple[Delivery, Job, str]]
    notices: list[tuple[Notice, str]]
    statuses: list[tuple[Delivery, Job, str]]
    watched: list[tuple[Job, str]] | None
    previews: Mapping[int, Version]  # by job: of what is being drawn


class Outbox:
    """`lease`: name and owner of what a deliverer must hold to begin a message; None where there can be only one."""

    def __init__(self, database: Database, bot_id: int, lease: Lease | None = None) -> None:
        self._db, self._bot_id, self._lease = database, bot_id, lease

    async def due(self, watched: bool = True) -> Due:
        """Read what may be sent; the jobs that only wait or are drawn, however many, are read if they are wanted."""
        async with self._db.read() as session:
            deliveries = DeliveryRepository(session)
            results = await deliveries.due(self._bot_id, 1)
            statuses = await deliveries.due(self._bot_id, 0)
            notices = await NoticeRepository(session).due(self._bot_id)
            unfinished = await JobRepository(session).unfinished_with_status(self._bot_id) if watched else []
            previews = await PreviewRepository(session).versions(self._bot_id) if unfinished else {}
            people = {job.user_id for _, job in results + statuses} | {job.user_id for job in unfinished}
            people |= {notice.user_id for notice in notices if notice.user_id is not None}
            speak = await UserRepository(session).languages(people) if people else {}
        return Due(
            [(delivery, job, speak[job.user_id]) for delivery, job in results],
            [(notice, speak.get(notice.user_id or 0, str(notice.params.get("language", "en")))) for notice in notices],
            [(delivery, job, speak[job.user_id]) for delivery, job in statuses],
            [(job, speak[job.user_id]) for job in unfinished] if watched else None,
            previews,
        )

    async def interrupted(self, but: Collection[Delivery | Notice] = ()) -> None:
        """What a deliverer left behind has an unknown fate; `but` is what is being sent now."""
        async with self._db.begin() as session:
            await DeliveryRepository(session).interrupted(self._bot_id, but, self._lease)

    async def job(self, job_id: int) -> Job:
        async with self._db.alone() as session:
            return await JobRepository(session).get(job_id)

    async def pictures_of(self, job_id: int) -> list[Picture]:
        async with self._db.alone() as session:
            return await PictureRepository(session).of_job(job_id)

    async def kin(self, picture: Picture) -> Kin:
        """What a picture was made from, and the first of what was made of it."""
        async with self._db.read() as session:
            return await LineageRepository(session).kin(picture, CHILDREN)

    async def sending(self, owed: Delivery | Notice) -> None:
        """Begin a send. Raises: LostLease when another deliverer has begun or ended it, or may have."""
        async with self._db.alone() as session:
            if isinstance(owed, Notice):
                await NoticeRepository(session).begin(owed, self._lease)
            else:
                await DeliveryRepository(session).begin(owed, self._lease)

    async def take_preview(self, job: Job) -> bytes | None:
        """A job's newest preview, which its status message shows from now on; None if it is not drawn any more."""
        async with self._db.begin() as session:
            return await PreviewRepository(session).take(job)

    async def settled(self, job_id: int, ordinal: int, state: SendState, error: str | None = None) -> None:
        async with self._db.alone() as session:
            await DeliveryRepository(session).mark(job_id, ordinal, state, error=error)

    async def again(
        self,
        job_id: int,
        ordinal: int,
        delay_s: float,
        error: str | None,
        unknown: bool = False,
        message_id: int | None = None,
    ) -> None:
        """Try later; a message that may already be there stays `unknown`, so that its copy is marked.

        `message_id` is a message that was sent meanwhile for the result to replace.
        """
        state = SendState.UNKNOWN if unknown else SendState.PENDING
        async with self._db.begin() as session:
            await DeliveryRepository(session).mark(job_id, ordinal, state, retry_s=delay_s, error=error)
            if message_id is not None:
                await JobRepository(session).set_status_message(job_id, message_id)

    async def status_sent(self, job: Job, message_id: int) -> None:
        async with self._db.begin() as session:
            await DeliveryRepository(session).mark(job.id, 0, SendState.SENT, message_id=message_id)
            await JobRepository(session).set_status_message(job.id, message_id)

    async def no_status_message(self, job_id: int) -> None:
        """The person deleted the status message; the result comes as a new one."""
        async with self._db.alone() as session:
            await JobRepository(session).set_status_message(job_id, None)

    async def wanted_form(self, user_id: int) -> str:
        """What this person's results come as: "photo", "file" or "both"."""
        async with self._db.read() as session:
            return (await UserRepository(session).settings(user_id)).delivery

    async def language(self, user_id: int) -> str:
        """What this person is spoken to in."""
        async with self._db.read() as session:
            return (await UserRepository(session).languages([user_id])).get(user_id, "en")

    async def chosen_language(self, user_id: int) -> str | None:
        """The language that this person chose; None where the bot follows their Telegram."""
        async with self._db.read() as session:
            return (await UserRepository(session).settings(user_id)).language

    async def delivered(self, job: Job, message_id: int, photo: PhotoSize | None, follow: Collection[NewNotice]) -> None:
        """The result is in the chat; `follow` are messages that are owed from here on."""
        async with self._db.begin() as session:
            await DeliveryRepository(session).mark(
                job.id, 1, SendState.SENT,
                message_id=message_id,
                file_id=photo.file_id if photo else None,
                file_unique_id=photo.file_unique_id if photo else None,
            )  # fmt: skip
            await JobRepository(session).finish(job, JobState.DELIVERED, "delivered", refund=False)
            for notice in follow:
                await NoticeRepository(session).add(notice)
            reached(Place.BEFORE_DELIVERED)

    async def undeliverable(self, job: Job, error: str | None, *, blocked: bool) -> None:
        """The result cannot be brought: a person who blocked us keeps it in the history; any other is told, and refunded."""
        async with self._db.begin() as session:
            if not blocked:
                await undeliverable(session, job, error)
                return
            await DeliveryRepository(session).mark(job.id, 1, SendState.FAILED, error=error)
            finish = JobRepository(session).finish
            await finish(job, JobState.FAILED, "undeliverable", refund=False, error_class="undeliverable")

    async def after_own_error(self, owed: Delivery | Notice, delay_s: float, error: str) -> bool:
        """Try later what an error of our own broke off; if it was being sent, its fate is unknown. Return whether it is owed."""
        async with self._db.begin() as session:
            if isinstance(owed, Notice):
                notices = NoticeRepository(session)
                fate = _broken_off(owed.state, await notices.state(owed.id))
                if fate is not None:
                    await notices.mark(owed.id, fate, retry_s=delay_s, error=error)
                return fate not in (None, SendState.FAILED)
            deliveries, at = DeliveryRepository(session), (owed.job_id, owed.ordinal)
            now = await deliveries.state(*at)
            if now in _SETTLED:
                return False
            state = SendState.UNKNOWN if now in (SendState.SENDING, SendState.UNKNOWN) else owed.state
            await deliveries.mark(*at, state, retry_s=delay_s, error=error)
            return state == SendState.PENDING or owed.ordinal != 0

    async def resting(self, seconds: Mapping[int, float]) -> None:
        """Telegram wants silence in these chats: whoever delivers next must know it, too."""
        async with self._db.begin() as session:
            await PauseRepository(session).put(self._bot_id, seconds)

    async def rests(self) -> dict[int, float]:
        """The chats that rest, each with the seconds left."""
        async with self._db.alone() as session:
            return await PauseRepository(session).left(self._bot_id)

    async def blocked(self, user_id: int, chat_id: int) -> None:
        """The person blocked the bot: their waiting jobs end, quietly.

        A transaction for each job, and the person last: whoever holds one of these jobs will want the person's row next.
        """
        async with self._db.alone() as session:
            active = await JobRepository(session).active_of(user_id)
        for job in active:
            if job.chat_id == chat_id:
                await self._drop(job)
        async with self._db.alone() as session:
            await UserRepository(session).mark_blocked(user_id)

    async def _drop(self, job: Job) -> None:
        async with self._db.begin() as session:
            jobs = JobRepository(session)
            now = await jobs.owned(job.public_id, job.user_id, lock=True)
            if now.state == JobState.QUEUED:
                await jobs.finish(now, JobState.CANCELLED, "blocked by the person", refund=True)
            elif now.state == JobState.RUNNING:
                await jobs.request_cancel(now)

    async def notice_done(
        self,
        notice: Notice,
        state: SendState,
        message_id: int | None,
        error: str | None = None,
        follow: NewNotice | None = None,
    ) -> None:
        """A notice has come to its end, or its fate is unknown; `follow` is owed once it was sent."""
        if state == SendState.FAILED and notice.key == PART:
            follow = failed_word(notice)
        if follow is None or state == SendState.UNKNOWN:
            async with self._db.alone() as session:
                await NoticeRepository(session).mark(notice.id, state, message_id=message_id, error=error)
            return
        async with self._db.begin() as session:
            notices = NoticeRepository(session)
            if await notices.state(notice.id) is not None:  # else its person was forgotten meanwhile
                await notices.mark(notice.id, state, message_id=message_id, error=error)
                await notices.add(follow)

    async def notice_again(self, notice: Notice, delay_s: float, error: str | None) -> None:
        async with self._db.alone() as session:
            await NoticeRepository(session).mark(notice.id, notice.state, retry_s=delay_s, error=error)

    async def file_id(self, job: Job, pictures: list[Picture], index: int) -> str | None:
        """What Telegram already has of a picture (index from 1) or of the sheet (index 0)."""
        async with self._db.alone() as session:
            if index == 0 or len(pictures) == 1:
                return await DeliveryRepository(session).file_id(job.id, 1)
            return await PictureRepository(session).file_id(pictures[index - 1].id, self._bot_id, "photo")

    async def document_id(self, picture: Picture) -> str | None:
        """What Telegram already has of a picture as a file."""
        async with self._db.alone() as session:
            return await PictureRepository(session).file_id(picture.id, self._bot_id, "document")

    async def remember_file(self, picture_id: int, form: str, sent: PhotoSize | Document) -> None:
        async with self._db.begin() as session:
            pictures = PictureRepository(session)
            await pictures.remember_file(picture_id, self._bot_id, form, sent.file_id, sent.file_unique_id)


def _broken_off(before: SendState, now: SendState | None) -> SendState | None:
    """State of a notice after an error of our own: what may be in the chat already is sent once more at most.

    None where all is written down: only the answer to the last commit was lost.
    """
    if now in _SETTLED:
        return None
    if now != SendState.SENDING:
        return now or before
    return SendState.FAILED if before == SendState.UNKNOWN else SendState.UNKNOWN

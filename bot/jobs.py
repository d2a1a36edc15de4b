"""What can be done with a job: submit, cancel, render, release, sweep. SQL is the truth; a bell only says "look"."""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from bot import metrics, written
from bot.job_notices import job_notice, told_of
from bot.queue_look import QueueLook
from bot.settings import JobSettings
from bot.timings import size_label, size_of
from engine import catalog
from engine.requests import Request, RequestError, from_json
from storage.database import Database
from storage.domain import TERMINAL, Job, JobState, NewJob, Picture, Refused, Step, Submitted, User, Wish
from storage.errors import LostLease
from storage.post import SendState
from storage.queue_state import QueueView, Timing
from storage.repositories.dialogs import DialogRepository
from storage.repositories.erasures import ErasureRepository
from storage.repositories.inbox import InboxRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import DeliveryRepository, NoticeRepository
from storage.repositories.previews import PreviewRepository
from storage.repositories.users import UserRepository
from storage.repositories.workers import LeaseRepository, WorkerRepository

log = logging.getLogger(__name__)

POLICY = "policy"
"""Class of the failure of a job of which the judge let no picture pass."""

_ASLEEP_S = 30.0  # between two sweeps: longer than any sweep takes
_BRING_S = 86400.0  # after its deadline, how long a drawn picture may be on its way to its chat

Ring = Callable[[str, int], Awaitable[None]]
Find = Callable[[JobRepository, int | None], Awaitable[list[Job]]]  # all jobs of some kind, or that one if it is of that kind
End = Callable[[AsyncSession, Job], Awaitable[None]]


class Jobs:
    """The use cases, over one database and one bell."""

    def __init__(self, database: Database, settings: JobSettings, ring: Ring) -> None:
        self._db, self._settings, self._ring = database, settings, ring
        self._queues = QueueLook(database, settings.worker_alive_s)

    async def submit(self, wish: Wish, request: Request, parent: Picture | None = None) -> Submitted:
        """Accept a request: inbox done, quota reserved, job queued and status owed, in one transaction; then ring.

        parent: the picture that it starts from.

        Raises: RequestError from the catalogue; Refused when a limit is reached. Neither stores anything.
        """
        catalog.check(request)
        async with self._db.begin() as session:
            jobs = JobRepository(session)
            await UserRepository(session).lock(wish.user.id)
            step = await self._first(session, wish, request)
            key = f"{wish.key}:{await jobs.finished_of_button(wish.button)}" if wish.button else wish.key
            before = await jobs.before_submit(key, wish.user.id, (step.family, step.lane), size_label(request))
            known = before.known
            if known is None and wish.button:  # pressed while the last one ran, but handled after it
                known = await jobs.of_button_ended_after(wish.button, wish.inbox_id)
            if known is not None:
                await _handled(session, wish)
                return Submitted(known, created=False)
            if before.leaving:  # nothing new is drawn only to be deleted, and the day's limit is over when all is forgotten
                raise Refused("refused.being-forgotten")
            amount = request.pictures
            await self._check_limits(session, wish.user, amount, before.active)
            job = await jobs.add(
                NewJob(
                    bot_id=wish.user.bot_id,
                    user_id=wish.user.id,
                    chat_id=wish.chat_id,
                    family=step.family,
                    lane=step.lane,
                    kind=step.kind,
                    params=step.params,
                    seed=request.seed,
                    dedupe_key=key,
                    deadline_s=max(self._settings.deadline_s, 3 * (before.p90 or 0.0)),
                    button=wish.button,
                    reply_to_message_id=wish.reply_to_message_id,
                    parent_picture_id=parent.id if parent else None,
                    remarks=step.remarks,
                    then=step.then,
                    wording=step.wording if step.then else wish.wording,
                ),
                amount,
            )
            await _handled(session, wish)
        metrics.job("queued", "accepted")
        log.info("accepted for %s", job.queue, extra={"job": job.public_id})
        await self._ring(job.queue, 1)
        return Submitted(job, created=True)

    async def _first(self, session: AsyncSession, wish: Wish, request: Request) -> Step:
        """What a wish begins with: a text to write, if somebody is there to write it, or else the drawing."""
        writing, remarks = written.planned(request, wish.writing, wish.wording), wish.remarks
        if writing.kinds and await WorkerRepository(session).none_has(
            request.family, written.LANE, self._settings.worker_alive_s
        ):
            remarks += written.unwritten(request, writing)
            writing = replace(writing, kinds=())
        return replace(written.first(request, writing, wish.wording), remarks=remarks)

    async def cancel(self, user: User, public_id: str, inbox_id: int | None, message_id: int | None = None) -> Job:
        """Cancel this person's job: at once while it waits, at the next step while it is drawn, else not at all.

        `message_id` is the message whose button was pressed: a status that Telegram took without our learning its id
        is known from then on. Without `inbox_id` the update asks for more than this. Returns the job as it was.
        Raises: NotFound.
        """
        async with self._db.begin() as session:
            jobs = JobRepository(session)
            job = await jobs.owned(public_id, user.id, lock=True)
            if message_id is not None and job.status_message_id is None:
                await self._adopt(session, job, message_id)
            if job.state == JobState.QUEUED:
                await jobs.finish(job, JobState.CANCELLED, "cancelled by the person", refund=True)
                await NoticeRepository(session).add(job_notice(job, "job.cancelled", refund=True))
            elif job.state == JobState.RUNNING:
                await jobs.request_cancel(job)
            if inbox_id is not None:
                await InboxRepository(session).done(inbox_id)
        if job.state == JobState.QUEUED:
            metrics.job("cancelled")
        return job

    async def _adopt(self, session: AsyncSession, job: Job, message_id: int) -> None:
        """Take in a stray status message; if its job has ended elsewhere, let it say so."""
        if job.state not in TERMINAL:
            await JobRepository(session).set_status_message(job.id, message_id)
            return
        stray = replace(job_notice(job, "status.elsewhere"), dedupe_key=f"job:{job.id}:stray", job_id=None)
        await NoticeRepository(session).add(replace(stray, edit_message_id=message_id))

    async def active(self, user: User) -> list[Job]:
        async with self._db.alone() as session:
            return await JobRepository(session).active_of(user.id)

    async def queue_view(self, job: Job, asked: bool = False) -> tuple[QueueView, Timing | None]:
        """Place, workers and measured times for a waiting job's status line; `asked`: for a person who asks, see `QueueLook`."""
        return await self._queues.view(job, size_of(job), asked)

    async def release(self, worker_id: str, why: str, crashed: bool) -> None:
        """Give back what a worker that is gone was drawing, and ring for it."""

        def find(jobs: JobRepository, only: int | None) -> Awaitable[list[Job]]:
            return jobs.running_on(worker_id, only)

        max_crashes = self._settings.max_crashes if crashed else None
        lost = await self._each(find, partial(give_back, why=why, max_crashes=max_crashes))
        for queue in {job.queue for job in lost}:
            await self._ring(queue, 1)

    async def sweep(self, bot_id: int | None = None) -> None:
        """Take back jobs whose worker died, stop what is overdue, and ring bells that were lost.

        Of several bots on one database each ends what is late of its own: another's time stands still while that one is away.
        """
        take_back = partial(give_back, why="worker lost", max_crashes=self._settings.max_crashes)
        metrics.swept("worker lost", len(await self._each(JobRepository.lost, take_back)))
        await self._each(JobRepository.unwanted, partial(give_back, why="cancelled while it was given back"))
        await self._each_unwritten()
        async with self._db.begin() as session:
            passed_s = await LeaseRepository(session).since("swept" if bot_id is None else f"swept:{bot_id}")
            if passed_s > _ASLEEP_S:  # the bot itself was away: nobody's time ran out meanwhile
                await JobRepository(session).extend_deadlines(passed_s, bot_id=bot_id)
            bells = await self._bells(session, passed_s)
            await WorkerRepository(session).forget_older(3600)
            await PreviewRepository(session).forget_old()

        def overdue(jobs: JobRepository, only: int | None) -> Awaitable[list[Job]]:
            return jobs.overdue(only, bot_id)

        def undelivered(jobs: JobRepository, only: int | None) -> Awaitable[list[Job]]:
            return jobs.undelivered(_BRING_S, only, bot_id)

        metrics.swept("overdue", len(await self._each(overdue, partial(fail, error_class="deadline"))))
        metrics.swept("undelivered", len(await self._each(undelivered, partial(undeliverable, error="too late"))))
        for queue, times in bells:
            metrics.swept("rang", times)
            await self._ring(queue, times)

    async def _each_unwritten(self) -> None:
        """Draw a person's own words where the text that was to come first waits too long, or there is nobody to write it."""
        alive_s, patience_s = self._settings.worker_alive_s, written.PATIENCE * self._settings.writing_s
        async with self._db.alone() as session:
            workers = WorkerRepository(session)
            queues = [(family, lane) for family, lane, *_ in await JobRepository(session).waiting() if lane == written.LANE]
            gone = [queue for queue in queues if await workers.none_has(*queue, alive_s)]
            ready = [queue for queue in queues if await workers.ready(*queue, alive_s)]  # not if all are loading still
        for queues, waited_s, why in ((gone, 0.0, "no-worker"), (ready, patience_s, "too-slow")):
            for queue in queues:
                find = partial(_unwritten, queue=queue, waited_s=waited_s)
                await self._each(find, partial(fail, error_class=why))

    async def _each(self, find: Find, end: End) -> list[Job]:
        """End every job found, each in a transaction of its own; return those that were.

        So this never holds one job's rows while it waits for another's, and one that cannot be ended holds up no other.
        Each is looked for again inside, and held: its worker may have come back to life meanwhile.
        """
        async with self._db.alone() as session:
            found = await find(JobRepository(session), None)
        ended: list[Job] = []
        for job in found:
            try:
                async with self._db.begin() as session:
                    held = await find(JobRepository(session), job.id)
                    for now in held:
                        await end(session, now)
                ended += held
            except LostLease as lost:
                log.info("not ended: %s", lost, extra={"job": job.public_id})
            except OSError:
                raise  # the database is away, for all of them
            except Exception as error:
                log.error("not ended: %s", type(error).__name__, extra={"job": job.public_id})
        return ended

    async def _bells(self, session: AsyncSession, passed_s: float) -> list[tuple[str, int]]:
        jobs, workers = JobRepository(session), WorkerRepository(session)
        bells = []
        for family, lane, queued, silent_s in await jobs.waiting():
            alive = await workers.alive(family, lane, self._settings.worker_alive_s)
            if not alive:
                await jobs.extend_deadlines(min(passed_s, _ASLEEP_S), family, lane)
            elif silent_s >= self._settings.rering_s:
                await jobs.rung(family, lane)
                bells.append((f"{family}.{lane}", min(queued, 2 * alive)))
        return bells

    async def _check_limits(self, session: AsyncSession, user: User, amount: int, active: int) -> None:
        if active >= self._settings.max_active:
            raise Refused("refused.queue-full", limit=self._settings.max_active, value=active)
        if self._settings.per_day:
            spent = await UserRepository(session).spent_since(user.id, 86400)
            if spent + amount > self._settings.per_day:
                raise Refused("refused.per-day", limit=self._settings.per_day, value=spent, wanted=amount)


async def _unwritten(jobs: JobRepository, only: int | None, queue: tuple[str, str], waited_s: float) -> list[Job]:
    return await jobs.unwritten(*queue, waited_s, only)


async def _handled(session: AsyncSession, wish: Wish) -> None:
    """The update is done, and the question that it answers is over; part of the caller's transaction."""
    await InboxRepository(session).done(wish.inbox_id)
    if wish.ends is not None:
        await DialogRepository(session).drop(wish.ends)


async def fail(
    session: AsyncSession,
    job: Job,
    error_class: str,
    withheld: Sequence[str] = (),
    refusal: RequestError | None = None,
) -> None:
    """End a job as failed: quota returned, and the person told; part of the caller's transaction.

    A text that cannot be written is no failure: its job goes on to the drawing, with the person's own words.
    withheld: categories of all its pictures, where the judge let none pass (`POLICY`).  refusal: why the engine cannot draw
    it, with the limit and the value.
    """
    if job.then is not None:
        await written.go_on(session, job, None, error_class)
        return
    await JobRepository(session).finish(
        job, JobState.FAILED, error_class, refund=True, error_class=error_class, withheld=withheld
    )
    why = told_of(withheld) | _why(job, error_class, refusal)
    await NoticeRepository(session).add(job_notice(job, "job.failed", error=error_class, **why))
    metrics.job("failed", error_class)
    log.warning("failed: %s", error_class, extra={"job": job.public_id})


async def undeliverable(session: AsyncSession, job: Job, error: str | None) -> None:
    """End a drawn job whose picture cannot be brought; part of the caller's transaction.

    The message first, then its job: the order in which the deliverer takes these rows.
    """
    await DeliveryRepository(session).mark(job.id, 1, SendState.FAILED, error=error)
    await fail(session, job, "undeliverable")


async def give_back(session: AsyncSession, job: Job, why: str, max_crashes: int | None = None) -> None:
    """Let another worker try a running job; part of the caller's transaction.

    `max_crashes` is given when the job may be what killed its worker: after so many it is set aside as poison.
    """
    if job.cancel_requested:
        await JobRepository(session).finish(job, JobState.CANCELLED, why, refund=True)
        await NoticeRepository(session).add(job_notice(job, "job.cancelled", refund=True))
        metrics.job("cancelled")
    elif max_crashes is not None and (job.then is not None or job.crash_count + 1 >= max_crashes):
        await fail(session, job, "poison")
    else:
        await JobRepository(session).requeue(job, why, crashed=max_crashes is not None)
        metrics.job("queued", "given back")
        log.warning("given back: %s", why, extra={"job": job.public_id})


async def claim(database: Database, settings: JobSettings, worker_id: str, family: str, lanes: Collection[str]) -> Job | None:
    """Take the next job that this worker has loaded, in fair order."""
    async with database.begin() as session:
        job = await JobRepository(session).claim(worker_id, family, lanes, settings.lease_s)
    if job is not None:
        metrics.job("running")
        metrics.waited(job.queue, (job.started_at or 0.0) - job.created_at)
    return job


async def stop_cancelled(database: Database, job: Job, step: int, steps: int, files: Collection[str] = ()) -> None:
    """End a drawing that its person cancelled; the quota returns if less than half was done.

    files: media ids of what was drawn to the end and is nobody's now.
    """
    refund = step * 2 < steps or not steps
    async with database.begin() as session:
        await ErasureRepository(session).doom_files(files)
        await JobRepository(session).finish(job, JobState.CANCELLED, "cancelled while drawing", refund=refund)
        await NoticeRepository(session).add(job_notice(job, "job.cancelled", refund=refund))
    metrics.job("cancelled")


async def stop_failed(
    database: Database,
    job: Job,
    error_class: str,
    withheld: Sequence[str] = (),
    refusal: RequestError | None = None,
) -> None:
    """End a drawing that cannot succeed. A lost lease means that somebody else has the job: nothing to do."""
    try:
        async with database.begin() as session:
            await fail(session, job, error_class, withheld, refusal)
    except LostLease:
        log.warning("lease lost before failing", extra={"job": job.public_id})


def _why(job: Job, error_class: str, refusal: RequestError | None) -> dict[str, object]:
    """What a person is told beside the class of a failure."""
    if error_class == "oom":
        request = from_json(job.params)
        return {"pictures": request.pictures, "size": "×".join(map(str, request.size))}
    return {"reason": refusal.code, "values": dict(refusal.values)} if refusal else {}

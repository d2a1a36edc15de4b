"""Jobs and their transitions. Every write by a worker carries its fence; a lost fence raises `LostLease`."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import db_now
from storage.domain import ACTIVE, TERMINAL, Job, JobState, NewJob, Step, new_public_id, remarks_to_json
from storage.errors import LostLease, NotFound
from storage.tables import AuditRow, DeliveryRow, ErasureRow, InboxRow, JobRow, QuotaLedgerRow, TimingRow, UserRow
from storage.word import send_word

# Made once, with names for what changes: building a statement costs as much as running it.
_JOB, _LEDGER = JobRow.__table__.c, QuotaLedgerRow.__table__.c
_QUEUE = (
    insert(JobRow.__table__)  # type: ignore[arg-type]
    .values(created_at=db_now(), deadline_at=db_now() + bindparam("deadline_s"), rung_at=db_now())
    .returning(*_JOB)
)
_CHANGE = update(JobRow.__table__)  # type: ignore[arg-type]
_OWE = insert(DeliveryRow.__table__).inline()  # type: ignore[arg-type]
_OWE_AND_TELL = insert(DeliveryRow.__table__).returning(send_word())  # type: ignore[arg-type]
_RESERVE = insert(QuotaLedgerRow.__table__).values(entry="reserve", at=db_now()).inline()  # type: ignore[arg-type]
_SETTLE = (
    insert(QuotaLedgerRow.__table__)  # type: ignore[arg-type]
    .from_select(
        ["job_id", "user_id", "entry", "amount", "at"],
        select(
            _LEDGER.job_id,
            _LEDGER.user_id,
            bindparam("settled", type_=_LEDGER.entry.type),
            _LEDGER.amount - bindparam("less", type_=_LEDGER.amount.type),
            db_now(),
        ).where(_LEDGER.job_id == bindparam("of_job"), _LEDGER.entry == literal("reserve")),
    )
    .inline()
)
_RETURN = insert(QuotaLedgerRow.__table__).values(entry="refund", at=db_now()).inline()  # type: ignore[arg-type]
_NOTE = insert(AuditRow.__table__).values(at=db_now()).inline()  # type: ignore[arg-type]
_FRESH = {"populate_existing": True}  # transitions go past the session, so what it remembers of a job may be old
_BY_KEY = select(JobRow).where(JobRow.dedupe_key == bindparam("key")).execution_options(**_FRESH)
_CLAIMABLE = (
    select(JobRow.id)
    .join(UserRow, UserRow.id == JobRow.user_id)
    .where(
        JobRow.state == JobState.QUEUED,
        JobRow.family == bindparam("family"),
        JobRow.lane.in_(bindparam("lanes", expanding=True)),
        JobRow.cancel_requested.is_(False),
    )
    .order_by(UserRow.running, UserRow.last_served_at, JobRow.id)
    .limit(1)
    .with_for_update(of=JobRow, skip_locked=True)
)
_BEFORE_SUBMIT = select(
    select(JobRow.id).where(JobRow.dedupe_key == bindparam("key")).scalar_subquery(),
    select(func.count())
    .where(JobRow.user_id == bindparam("user_id"), JobRow.state.in_(ACTIVE))
    .select_from(JobRow)
    .scalar_subquery(),
    select(TimingRow.p90)
    .where(TimingRow.family == bindparam("family"), TimingRow.lane == bindparam("lane"), TimingRow.size == bindparam("size"))
    .scalar_subquery(),
    select(ErasureRow.id).where(ErasureRow.user_id == bindparam("user_id")).scalar_subquery(),
)


@dataclass(frozen=True)
class BeforeSubmit:
    """The job of this wish if it is known, how many jobs the person has under way, and the queue's p90 in seconds.

    leaving: the person wants to be forgotten.
    """

    known: Job | None
    active: int
    p90: float | None
    leaving: bool


class JobRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, new: NewJob, amount: int) -> Job:
        """Store a queued job with its quota reservation and the status message it owes."""
        values = {
            "public_id": new_public_id(), "bot_id": new.bot_id, "user_id": new.user_id, "chat_id": new.chat_id,
            "family": new.family, "lane": new.lane, "kind": new.kind, "params": new.params, "seed": new.seed,
            "dedupe_key": new.dedupe_key, "button": new.button, "reply_to_message_id": new.reply_to_message_id,
            "parent_picture_id": new.parent_picture_id, "deadline_s": new.deadline_s,
            "remarks": remarks_to_json(new.remarks), "then": new.then.to_json() if new.then else None,
            "wording": new.wording.to_json() if new.wording else None,
        }  # fmt: skip
        row = JobRow(**(await self._session.execute(_QUEUE, values)).one()._mapping)
        await self._session.execute(_OWE, {"job_id": row.id, "ordinal": 0})
        await self._session.execute(_RESERVE, {"job_id": row.id, "user_id": row.user_id, "amount": amount})
        await self._session.execute(_NOTE, {"job_id": row.id, "to_state": JobState.QUEUED, "fence": 0, "why": "accepted"})
        return row.to_job()

    async def get(self, job_id: int) -> Job:
        row = await self._session.get(JobRow, job_id, populate_existing=True)
        if row is None:
            raise NotFound(f"job {job_id}")
        return row.to_job()

    async def owned(self, public_id: str, user_id: int, lock: bool = False) -> Job:
        """Return this person's job; somebody else's is as absent as none. `lock` holds it until the transaction ends."""
        query = select(JobRow).where(JobRow.public_id == public_id, JobRow.user_id == user_id).execution_options(**_FRESH)
        row = await self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound(f"job {public_id}")
        return row.to_job()

    async def shown(self, public_id: str, user_id: int, chat_id: int) -> Job:
        """Return a drawn job that is this person's, or whose pictures are in this chat. Raises: NotFound."""
        here = or_(JobRow.user_id == user_id, JobRow.chat_id == chat_id)
        query = select(JobRow).where(JobRow.public_id == public_id, here, JobRow.rendered_at.is_not(None))
        row = await self._session.scalar(query)
        if row is None:
            raise NotFound(f"job {public_id}")
        return row.to_job()

    async def by_dedupe_key(self, dedupe_key: str) -> Job | None:
        row = await self._session.scalar(_BY_KEY, {"key": dedupe_key})
        return row.to_job() if row else None

    async def before_submit(self, new_key: str, user_id: int, queue: tuple[str, str], size: str) -> "BeforeSubmit":
        """Read at once what accepting a job depends on."""
        values = {"key": new_key, "user_id": user_id, "family": queue[0], "lane": queue[1], "size": size}
        known, active, p90, erasure = (await self._session.execute(_BEFORE_SUBMIT, values)).one()
        return BeforeSubmit(await self.get(known) if known is not None else None, active, p90, erasure is not None)

    async def finished_of_button(self, button: str) -> int:
        """How many jobs of this button have ended: the n of the next press's key."""
        count = await self._session.scalar(
            select(func.count()).select_from(JobRow).where(JobRow.button == button, JobRow.state.in_(TERMINAL))
        )
        return int(count or 0)

    async def of_button_ended_after(self, button: str, inbox_id: int) -> Job | None:
        """Return the button's job that ended after this press had arrived, if there is one."""
        arrived = select(InboxRow.received_at).where(InboxRow.id == inbox_id).scalar_subquery()
        row = await self._session.scalar(
            select(JobRow).where(JobRow.button == button, JobRow.finished_at > arrived).order_by(JobRow.id.desc()).limit(1),
            execution_options=_FRESH,
        )
        return row.to_job() if row else None

    async def active_of(self, user_id: int) -> list[Job]:
        """This person's waiting and drawing jobs, oldest first."""
        return await self._jobs(JobRow.user_id == user_id, JobRow.state.in_(ACTIVE))

    async def claim(self, worker_id: str, family: str, lanes: Collection[str], lease_s: float) -> Job | None:
        """Take the next job in fair order: the person with the fewest drawings and the longest wait, then their oldest job.

        A job that another worker is claiming is passed over, whoever it belongs to.
        """
        job_id = await self._session.scalar(_CLAIMABLE, {"family": family, "lanes": list(lanes)})
        if job_id is None:
            return None
        row = await self._move(
            job_id,
            JobState.QUEUED,
            JobState.RUNNING,
            why="claimed",
            values={
                "fence": JobRow.fence + 1,
                "attempt": JobRow.attempt + 1,
                "lease_until": db_now() + lease_s,
                "worker_id": worker_id,
                "started_at": db_now(),
                "stage": None,
                "step": 0,
                "steps": 0,
            },
        )
        return row.to_job()

    async def heartbeat(self, job: Job, stage: str | None, step: int, steps: int, lease_s: float | None) -> bool:
        """Write progress, renew the lease if `lease_s` is given; return whether the person asked to cancel."""
        values: dict[str, Any] = {"stage": stage, "step": step, "steps": steps}
        if lease_s is not None:
            values["lease_until"] = db_now() + lease_s
        changed = await self._session.execute(
            _CHANGE.where(JobRow.id == job.id, JobRow.state == JobState.RUNNING, JobRow.fence == job.fence)
            .values(**values)
            .returning(JobRow.cancel_requested)
        )
        found = changed.one_or_none()
        if found is None:
            raise LostLease(f"job {job.id}, fence {job.fence}")
        return bool(found[0])

    async def wants_cancel(self, job: Job) -> bool:
        """Whether the person asked to cancel; a read, so it may be asked often."""
        found = await self._session.scalar(select(JobRow.cancel_requested).where(JobRow.id == job.id, JobRow.fence == job.fence))
        return found is None or found

    async def rendered(self, job: Job, revision: str, artefact_sha256: str, withheld: Sequence[str] = ()) -> None:
        """End a drawing: the result is owed to the chat from here on. withheld: categories of those that may not be shown."""
        await self._move(
            job.id,
            JobState.RUNNING,
            JobState.RENDERED,
            why="drawn",
            fence=job.fence,
            values={
                "lease_until": None,
                "rendered_at": db_now(),
                "engine_revision": revision,
                "artefact_sha256": artefact_sha256,
                "withheld": json.dumps(withheld) if withheld else None,
            },
        )
        await self._session.execute(_OWE_AND_TELL, {"job_id": job.id, "ordinal": 1})

    async def requeue(self, job: Job, why: str, crashed: bool) -> None:
        """Give a running job back; only a crash counts against it."""
        count = {"crash_count": JobRow.crash_count + 1} if crashed else {"attempt": JobRow.attempt - 1}
        values = {"lease_until": None, "worker_id": None, "stage": None, "step": 0, "rung_at": 0.0, **count}
        await self._move(job.id, JobState.RUNNING, JobState.QUEUED, why=why, fence=job.fence, values=values)
        # its person's turn had come; it must not wait for another round of everybody
        await self._session.execute(update(UserRow).where(UserRow.id == job.user_id).values(last_served_at=0.0))

    async def go_on(self, job: Job, step: Step, why: str) -> None:
        """Let a job whose text is written, or given up, queue for its next step: the same job, status message and quota."""
        values = _step(step) | {
            "lease_until": None, "worker_id": None, "stage": None, "step": 0, "steps": 0, "attempt": 0, "crash_count": 0,
            "rung_at": 0.0,
        }  # fmt: skip
        await self._move(job.id, job.state, JobState.QUEUED, why=why, fence=job.fence, values=values)
        await self._session.execute(update(UserRow).where(UserRow.id == job.user_id).values(last_served_at=0.0))

    async def ask(self, job: Job, step: Step) -> None:
        """End a job with a question about its words: it is owed to the chat as a result is, and costs nothing."""
        await self._session.execute(_CHANGE.where(JobRow.id == job.id).values(**_step(step)))
        reserved = QuotaLedgerRow.job_id == job.id, QuotaLedgerRow.entry == "reserve"
        await self._session.execute(update(QuotaLedgerRow).where(*reserved).values(amount=0))
        await self.rendered(job, "", "")

    async def finish(
        self, job: Job, to: JobState, why: str, refund: bool, error_class: str | None = None, withheld: Sequence[str] = ()
    ) -> None:
        """Move a job to a terminal state and settle its quota: returned, or kept; never kept for a picture that is withheld.

        withheld: categories, of a job of which nothing may be shown.
        """
        values: dict[str, Any] = {"lease_until": None, "finished_at": db_now(), "error_class": error_class}
        if withheld:
            values["withheld"] = json.dumps(withheld)
        await self._move(job.id, job.state, to, why=why, fence=job.fence, values=values)
        back = 0 if refund else len(job.withheld)
        settled = {"of_job": job.id, "settled": "refund" if refund else "commit", "less": back}
        await self._session.execute(_SETTLE, settled)
        if back:
            await self._session.execute(_RETURN, {"job_id": job.id, "user_id": job.user_id, "amount": back})

    async def request_cancel(self, job: Job) -> None:
        await self._session.execute(_CHANGE.where(JobRow.id == job.id).values(cancel_requested=True))

    async def set_status_message(self, job_id: int, message_id: int | None) -> None:
        """Another message stands for the job, or none: a text, whatever the one before showed."""
        await self._session.execute(_CHANGE.where(JobRow.id == job_id).values(status_message_id=message_id, previewed=False))

    # What is to be ended. With `only`, that job alone, if it is still one of these; it is held until the transaction ends.

    async def lost(self, only: int | None = None) -> list[Job]:
        """Running jobs whose lease ended: their worker is gone or stuck."""
        return await self._jobs(JobRow.state == JobState.RUNNING, JobRow.lease_until < db_now(), hold=only)

    async def running_on(self, worker_id: str, only: int | None = None) -> list[Job]:
        return await self._jobs(JobRow.state == JobState.RUNNING, JobRow.worker_id == worker_id, hold=only)

    async def unwanted(self, only: int | None = None) -> list[Job]:
        """Waiting jobs that were cancelled while drawn and then given back: no worker will claim them."""
        return await self._jobs(JobRow.state == JobState.QUEUED, JobRow.cancel_requested, hold=only)

    async def overdue(self, only: int | None = None, bot_id: int | None = None) -> list[Job]:
        """Jobs past their deadline that nobody has drawn; of one bot, or of all."""
        return await self._jobs(JobRow.state.in_(ACTIVE), JobRow.deadline_at < db_now(), *_of(bot_id), hold=only)

    async def unwritten(self, family: str, lane: str, waited_s: float, only: int | None = None) -> list[Job]:
        """Waiting jobs of a queue that were to have a text written, and have waited so long since they were asked for."""
        where = JobRow.family == family, JobRow.lane == lane, JobRow.created_at <= db_now() - waited_s
        return await self._jobs(JobRow.state == JobState.QUEUED, JobRow.then.is_not(None), *where, hold=only)

    async def undelivered(self, patience_s: float, only: int | None = None, bot_id: int | None = None) -> list[Job]:
        """Drawn jobs so long past their deadline. Not held: the deliverer, too, takes the message's row before the job's."""
        which = [*_of(bot_id), *([JobRow.id == only] if only is not None else [])]
        return await self._jobs(JobRow.state == JobState.RENDERED, JobRow.deadline_at + patience_s < db_now(), *which)

    async def extend_deadlines(
        self, seconds: float, family: str | None = None, lane: str | None = None, bot_id: int | None = None
    ) -> None:
        """Push the deadlines of a queue's undrawn jobs, since waiting for a machine is nobody's fault; or of all unfinished."""
        query = update(JobRow).where(JobRow.state.not_in(TERMINAL), *_of(bot_id))
        if family is not None:
            query = update(JobRow).where(JobRow.state.in_(ACTIVE), JobRow.family == family, JobRow.lane == lane)
        await self._session.execute(query.values(deadline_at=JobRow.deadline_at + seconds))

    async def waiting(self) -> list[tuple[str, str, int, float]]:
        """(family, lane, queued jobs, seconds since the newest bell) of every queue with work."""
        rows = await self._session.execute(
            select(JobRow.family, JobRow.lane, func.count(), db_now() - func.max(JobRow.rung_at))
            .where(JobRow.state == JobState.QUEUED)
            .group_by(JobRow.family, JobRow.lane)
        )
        return [(family, lane, count, age) for family, lane, count, age in rows]

    async def rung(self, family: str, lane: str) -> None:
        await self._session.execute(
            update(JobRow)
            .where(JobRow.state == JobState.QUEUED, JobRow.family == family, JobRow.lane == lane)
            .values(rung_at=db_now())
        )

    async def recent_seconds(self, family: str, lane: str, limit: int = 50) -> list[tuple[str, float]]:
        """(params, seconds from claim to picture) of the newest drawn jobs of a queue."""
        rows = await self._session.execute(
            select(JobRow.params, JobRow.rendered_at - JobRow.started_at)
            .where(JobRow.family == family, JobRow.lane == lane, JobRow.rendered_at.is_not(None))
            .order_by(JobRow.id.desc())
            .limit(limit)
        )
        return [(params, float(seconds)) for params, seconds in rows if seconds is not None]

    async def unfinished_with_status(self, bot_id: int) -> list[Job]:
        """Waiting and drawing jobs whose status message can be kept up to date."""
        return await self._jobs(JobRow.bot_id == bot_id, JobRow.state.in_(ACTIVE), JobRow.status_message_id.is_not(None))

    async def _jobs(self, *where: Any, hold: int | None = None) -> list[Job]:
        query = select(JobRow).where(*where).order_by(JobRow.id).execution_options(**_FRESH)
        if hold is not None:
            query = query.where(JobRow.id == hold).with_for_update()
        return [row.to_job() for row in await self._session.scalars(query)]

    async def _move(
        self, job_id: int, source: JobState, to: JobState, *, why: str, values: dict[str, Any], fence: int | None = None
    ) -> JobRow:
        where = [JobRow.id == job_id, JobRow.state == source]
        if fence is not None:
            where.append(JobRow.fence == fence)
        moved = await self._session.execute(_CHANGE.where(*where).values(state=to, **values).returning(*_JOB))
        found = moved.one_or_none()
        if found is None:
            raise LostLease(f"job {job_id} is no longer {source} with fence {fence}")
        row = JobRow(**found._mapping)
        if JobState.RUNNING in (source, to):
            await self._serve(row.user_id, 1 if to == JobState.RUNNING else -1)
        note = {"job_id": job_id, "from_state": source, "to_state": to, "fence": row.fence, "why": why}
        await self._session.execute(_NOTE, note)
        return row

    async def _serve(self, user_id: int, running: int) -> None:
        """Keep the fairness state beside the transition that changes it."""
        values: dict[str, Any] = {"running": UserRow.running + running}
        if running > 0:
            values["last_served_at"] = db_now()
        await self._session.execute(update(UserRow.__table__).where(UserRow.id == user_id).values(**values))  # type: ignore[arg-type]


def _step(step: Step) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "family": step.family,
        "lane": step.lane,
        "params": step.params,
        "then": step.then.to_json() if step.then else None,
        "wording": step.wording.to_json(),
        "remarks": remarks_to_json(step.remarks),
    }


def _of(bot_id: int | None) -> list[ColumnElement[bool]]:
    return [] if bot_id is None else [JobRow.bot_id == bot_id]

"""Every invariant can fail: each is broken on purpose, and that one alone is reported."""

import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bot.job_notices import job_notice
from bot.jobs import fail
from bot.outbox import Outbox
from storage.domain import Job, JobState, NewPicture
from storage.media import MediaStore
from storage.post import SendState
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import NoticeRepository
from storage.repositories.pictures import PictureRepository
from tests.chaos.invariants import CHECKS, broken
from tests.storage.made import BOT, Store

Break = Callable[[Store], Awaitable[object]]

_AUDIT = "INSERT INTO audit (job_id, from_state, to_state, fence, at, why) VALUES (:id, :source, :to, :fence, 1, 'by hand')"
_QUOTA = "INSERT INTO quota_ledger (job_id, user_id, entry, amount, at) VALUES (:id, :user, :entry, :amount, 1)"


async def _delivered(store: Store) -> Job:
    """A job that went all the way, its status known."""
    await store.job(await store.user())
    job = await store.rendered(await store.claimed())
    outbox = Outbox(store.database, BOT)
    await outbox.status_sent(job, 10)
    await outbox.delivered(await store.get(job), 10, None, ())
    return await store.get(job)


async def _failed(store: Store) -> Job:
    """A job that failed while it was drawn; its person knows."""
    await store.job(await store.user())
    job = await store.claimed()
    async with store.database.begin() as session:
        await fail(session, job, "engine")
    return await _told(store, job)


async def _cancelled(store: Store) -> Job:
    job = await store.job(await store.user())
    async with store.database.begin() as session:
        await JobRepository(session).finish(job, JobState.CANCELLED, "by hand", refund=True)
        await NoticeRepository(session).add(job_notice(job, "job.cancelled", refund=True))
    return await _told(store, job)


async def _told(store: Store, job: Job) -> Job:
    """The status was sent into the void, the last word arrived as a message of its own."""
    outbox = Outbox(store.database, BOT)
    await outbox.settled(job.id, 0, SendState.UNKNOWN)
    for notice, _ in (await outbox.due()).notices:
        await outbox.notice_done(notice, SendState.SENT, 11)
    return await store.get(job)


async def _given_back(store: Store) -> Job:
    """A job that one worker gave back and another has drawn."""
    await store.job(await store.user())
    async with store.database.begin() as session:
        job = await JobRepository(session).claim("w1", "kandinsky-nano", ("flash",), 30)
        assert job is not None
        await JobRepository(session).requeue(job, "worker lost", crashed=True)
    return await store.rendered(await store.claimed("w2"))


async def _loosen(store: Store, table: str, constraint: str) -> None:
    """Take a table's constraint away, so that the check behind it can be broken."""
    if store.database.engine.dialect.name == "postgresql":
        await store.sql(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        return
    await store.database.close()
    with sqlite3.connect(str(store.database.engine.url.database)) as connection:
        connection.executescript("PRAGMA foreign_keys=OFF; PRAGMA legacy_alter_table=ON")
        connection.execute(f"CREATE TABLE loose AS SELECT * FROM {table}")  # noqa: S608
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE loose RENAME TO {table}")
    connection.close()


async def _old_update(store: Store) -> None:
    await store.update(1, 1)
    await store.sql("UPDATE inbox SET received_at = received_at - 301")


async def _two_jobs_of_a_wish(store: Store) -> None:
    user = await store.user()
    await store.job(user)
    await store.job(user)
    await _loosen(store, "job", "uq_job_dedupe_key")
    await store.sql("UPDATE job SET dedupe_key = 'the same'")


async def _two_jobs_of_a_button(store: Store) -> None:
    user = await store.user()
    await store.job(user, button="cb:1")
    await store.job(user, button="cb:1")


async def _risen(store: Store) -> None:
    job = await _delivered(store)
    await store.sql(_AUDIT, id=job.id, source="delivered", to="queued", fence=1)


async def _jumped(store: Store) -> None:
    job = await store.job(await store.user())
    await store.sql("UPDATE job SET state = 'rendered'")
    await store.sql(_AUDIT, id=job.id, source="queued", to="rendered", fence=0)


async def _gap(store: Store) -> None:
    await _delivered(store)
    await store.sql("DELETE FROM audit WHERE to_state = 'rendered'")


async def _unwritten(store: Store) -> None:
    await store.job(await store.user())
    await store.sql("UPDATE job SET state = 'rendered'")


async def _never_written(store: Store) -> None:
    await store.job(await store.user())
    await store.sql("DELETE FROM audit")


async def _no_result(store: Store) -> None:
    await _delivered(store)
    await store.sql("DELETE FROM delivery WHERE ordinal = 1")


async def _result_unsent(store: Store) -> None:
    await _delivered(store)
    await store.sql("UPDATE delivery SET state = 'unknown' WHERE ordinal = 1")


async def _result_without_message(store: Store) -> None:
    await _delivered(store)
    await store.sql("UPDATE delivery SET message_id = NULL WHERE ordinal = 1")


async def _status_without_message(store: Store) -> None:
    await store.job(await store.user())
    await store.sql("UPDATE delivery SET state = 'sent'")


async def _sent_but_not_delivered(store: Store) -> None:
    await _given_back(store)
    await store.sql("UPDATE delivery SET state = 'sent', message_id = 5 WHERE ordinal = 1")


async def _unreserved(store: Store) -> None:
    await store.job(await store.user())
    await store.sql("DELETE FROM quota_ledger")


async def _unsettled(store: Store) -> None:
    await _failed(store)
    await store.sql("DELETE FROM quota_ledger WHERE entry = 'refund'")


async def _settled_twice(store: Store) -> None:
    job = await _cancelled(store)
    await store.sql(_QUOTA, id=job.id, user=job.user_id, entry="commit", amount=4)


async def _charged_twice(store: Store) -> None:
    job = await _delivered(store)
    await _loosen(store, "quota_ledger", "uq_quota_ledger_job_id_entry")
    await store.sql(
        _QUOTA.replace("(", "(id, ", 1).replace("(:", "(99, :"), id=job.id, user=job.user_id, entry="commit", amount=4
    )


async def _settled_early(store: Store) -> None:
    job = await _given_back(store)
    await store.sql(_QUOTA, id=job.id, user=job.user_id, entry="commit", amount=4)


async def _settled_in_part(store: Store) -> None:
    await _delivered(store)
    await store.sql("UPDATE quota_ledger SET amount = 3 WHERE entry = 'commit'")


async def _given_away(store: Store) -> None:
    await _delivered(store)
    await store.sql("UPDATE quota_ledger SET entry = 'refund' WHERE entry = 'commit'")


async def _charged_for_nothing(store: Store) -> None:
    await _failed(store)
    await store.sql("UPDATE quota_ledger SET entry = 'commit' WHERE entry = 'refund'")


async def _dead_lease(store: Store) -> None:
    await store.job(await store.user())
    await store.claimed()
    await store.sql("UPDATE job SET lease_until = lease_until - 91")


async def _overdue(store: Store) -> None:
    await store.job(await store.user())
    await store.sql("UPDATE job SET deadline_at = deadline_at - 961")


async def _long_undelivered(store: Store) -> None:
    await _given_back(store)
    await store.sql("UPDATE job SET deadline_at = deadline_at - 87361")


async def _same_fence(store: Store) -> None:
    await _given_back(store)
    await store.sql("UPDATE audit SET fence = 1 WHERE fence = 2")


async def _old_fence(store: Store) -> None:
    await _given_back(store)
    await store.sql("UPDATE audit SET fence = 1 WHERE to_state = 'rendered'")


async def _untold(store: Store) -> None:
    await _failed(store)
    await store.sql("DELETE FROM notice")


async def _one_too_many(store: Store) -> None:
    user = await store.user()
    jobs = [await store.job(user) for _ in range(4)]
    for job in jobs:
        await store.finish(job, JobState.CANCELLED, refund=True)  # it is over, but it was so


async def _miscounted(store: Store) -> None:
    await store.user()
    await store.sql('UPDATE "user" SET running = 1')


async def _update_left(store: Store) -> None:
    await store.update(1, 1)


async def _job_left(store: Store) -> None:
    job = await store.job(await store.user())
    await Outbox(store.database, BOT).settled(job.id, 0, SendState.UNKNOWN)


async def _status_left(store: Store) -> None:
    await _cancelled(store)
    await store.sql("UPDATE delivery SET state = 'sending'")


async def _result_left(store: Store) -> None:
    job = await _failed(store)
    await store.sql("INSERT INTO delivery (job_id, ordinal, state, attempt, next_at) VALUES (:id, 1, 'unknown', 0, 0)", id=job.id)


async def _notice_left(store: Store) -> None:
    await _failed(store)
    await store.sql("UPDATE notice SET state = 'unknown'")


BREAKS: list[tuple[str, Break]] = [
    ("1 inbox is done, poison or fresh", _old_update),
    ("2 one job per wish", _two_jobs_of_a_wish),
    ("2 one job at a time per button", _two_jobs_of_a_button),
    ("3 terminal jobs never change", _risen),
    ("3 jobs move only along the known ways", _jumped),
    ("3 each transition begins where the last one ended", _gap),
    ("3 the last transition is the job's state", _unwritten),
    ("3 the last transition is the job's state", _never_written),
    ("4 a delivered job's result has a message", _no_result),
    ("4 a delivered job's result has a message", _result_unsent),
    ("4 a delivered job's result has a message", _result_without_message),
    ("4 what was sent has a message, and is its job's end", _status_without_message),
    ("4 what was sent has a message, and is its job's end", _sent_but_not_delivered),
    ("6 reserve = commit + refund", _unreserved),
    ("6 reserve = commit + refund", _unsettled),
    ("6 reserve = commit + refund", _settled_twice),
    ("6 reserve = commit + refund", _charged_twice),
    ("6 reserve = commit + refund", _settled_early),
    ("6 reserve = commit + refund", _settled_in_part),
    ("6 a brought picture is kept, a failed one returned", _given_away),
    ("6 a brought picture is kept, a failed one returned", _charged_for_nothing),
    ("7 no dead lease", _dead_lease),
    ("8 no job past its deadline", _overdue),
    ("8 no job past its deadline", _long_undelivered),
    ("9 the fence rises with every claim", _same_fence),
    ("9 nobody writes with an old fence", _old_fence),
    ("10 who waited for a failed job is told", _untold),
    ("12 no more active jobs than allowed", _one_too_many),
    ("a person's count of drawings is their running jobs", _miscounted),
    ("drained: no unhandled update", _update_left),
    ("drained: no unfinished job", _job_left),
    ("drained: no message still owed", _status_left),
    ("drained: no message still owed", _result_left),
    ("drained: no notice still owed", _notice_left),
]


async def test_nothing_is_broken_in_a_database_where_all_went_well(store: Store) -> None:
    assert await broken(store.database, max_active=3) == []
    for life in (_delivered, _failed, _cancelled):
        await life(store)
    assert await broken(store.database, max_active=3) == []
    await _given_back(store)
    await store.job(await store.user())
    await store.claimed()
    await store.update(1, 1)
    assert await broken(store.database, max_active=3, drained=False) == []


@pytest.mark.parametrize(("name", "broke"), BREAKS, ids=[broke.__name__.strip("_") for _, broke in BREAKS])
async def test_a_broken_invariant_is_reported_and_no_other(store: Store, name: str, broke: Break) -> None:
    await broke(store)
    lines = await broken(store.database, max_active=3, drained=name.startswith("drained"))
    assert lines
    assert all(line.startswith(f"{name}: ") for line in lines), lines


def test_every_statement_is_broken_once_at_least() -> None:
    assert {name for name, _ in BREAKS} == {check.name for check in CHECKS}


async def test_a_poisoned_update_and_a_blocked_persons_failure_are_as_they_should(store: Store) -> None:
    await _old_update(store)
    await store.sql("UPDATE inbox SET state = 'poison'")
    job = await _given_back(store)
    outbox = Outbox(store.database, BOT)
    await outbox.settled(job.id, 0, SendState.UNKNOWN)
    await outbox.undeliverable(job, "Forbidden", blocked=True)
    assert await broken(store.database, max_active=3) == []


# What only outside can be seen


async def test_a_second_result_message_is_reported(store: Store) -> None:
    job = await _delivered(store)
    assert await broken(store.database, max_active=3, results_seen={job.public_id: 1}) == []
    lines = await broken(store.database, max_active=3, results_seen={job.public_id: 2})
    assert lines == [f"5 at most one result message: job {job.public_id} has 2"]


async def test_a_result_of_a_job_that_brought_none_is_reported(store: Store) -> None:
    failed, cancelled = await _failed(store), await _cancelled(store)
    for job, state in ((failed.public_id, "failed engine"), (cancelled.public_id, "cancelled"), ("nobody", "unknown")):
        lines = await broken(store.database, max_active=3, results_seen={job: 1})
        assert lines == [f"5 only what was drawn is shown: job {job} is {state}"]


async def test_a_picture_without_its_file_is_reported(store: Store, tmp_path: Path) -> None:
    media = MediaStore(str(tmp_path / "pictures"))
    media_id = await _pictured(store, media)
    assert await broken(store.database, max_active=3, media=media) == []
    os.remove(media._path(media_id))
    lines = await broken(store.database, max_active=3, media=media)
    assert lines == [f"11 no row without its artefact: {media_id}"]


async def test_a_file_without_a_picture_is_reported_after_an_hour(store: Store, tmp_path: Path) -> None:
    media = MediaStore(str(tmp_path / "pictures"))
    await _pictured(store, media)
    orphan = media.put(b"nobody's", ".png")
    assert await broken(store.database, max_active=3, media=media) == []
    os.utime(media._path(orphan), (time.time() - 3700,) * 2)
    lines = await broken(store.database, max_active=3, media=media)
    assert lines == [f"11 no artefact without a row: {orphan}"]


async def test_pictures_in_an_object_store_are_compared_too(store: Store, bucket: str, tmp_path: Path) -> None:
    media = MediaStore(f"{bucket}/{tmp_path.name}")
    media_id = await _pictured(store, media)
    media.put(b"nobody's", ".png")
    assert await broken(store.database, max_active=3, media=media) == []
    media._fs.rm(media._path(media_id))
    lines = await broken(store.database, max_active=3, media=media)
    assert lines == [f"11 no row without its artefact: {media_id}"]


async def _pictured(store: Store, media: MediaStore) -> str:
    job = await _delivered(store)
    media_id = media.put(b"a picture", ".png")
    async with store.database.begin() as session:
        await PictureRepository(session).add_results(job, [NewPicture(0, media_id, 7, 64, 64)])
    return media_id

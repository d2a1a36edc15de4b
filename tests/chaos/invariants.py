"""What holds at every moment of every fault test: one statement each that finds the rows which break it.

Numbers are those of the reliability plan. The statements run unchanged on SQLite and on PostgreSQL, in one round trip and
one snapshot; `:now` is the database's clock. Each selects one column: what is wrong, in words.
"""

import asyncio
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Dialect, TextClause, select, text

from storage.database import Database, db_now
from storage.media import MediaStore

_HOUR_S = 3600


@dataclass(frozen=True)
class Check:
    name: str
    sql: str
    drained: bool = False  # holds only once all work is done


CHECKS = (
    Check(
        "1 inbox is done, poison or fresh",
        """SELECT 'update ' || update_id || ' is ' || state || ' after ' || attempts || ' tries'
        FROM inbox WHERE state NOT IN ('done', 'poison') AND :now - received_at > 300""",
    ),
    Check(
        "2 one job per wish",
        "SELECT 'key ' || dedupe_key || ' has ' || count(*) || ' jobs' FROM job GROUP BY dedupe_key HAVING count(*) > 1",
    ),
    Check(
        "2 one job at a time per button",
        """SELECT 'button ' || button || ' has ' || count(*) || ' jobs' FROM job
        WHERE button IS NOT NULL AND state IN ('queued', 'running', 'rendered') GROUP BY button HAVING count(*) > 1""",
    ),
    Check(
        "3 terminal jobs never change",
        """SELECT 'job ' || public_id || ' went from ' || from_state || ' to ' || to_state || ', ' || why
        FROM audit JOIN job ON job.id = audit.job_id WHERE from_state IN ('delivered', 'failed', 'cancelled')""",
    ),
    Check(
        "3 jobs move only along the known ways",
        """SELECT 'job ' || public_id || ' went from ' || coalesce(from_state, 'nothing') || ' to ' || to_state || ', ' || why
        FROM audit JOIN job ON job.id = audit.job_id
        WHERE coalesce(from_state, 'nothing') NOT IN ('delivered', 'failed', 'cancelled')
        AND coalesce(from_state, 'nothing') || ' ' || to_state NOT IN (
            'nothing queued', 'queued queued', 'queued running', 'queued failed', 'queued cancelled', 'running queued',
            'running rendered', 'running failed', 'running cancelled', 'rendered delivered', 'rendered failed')""",
    ),
    Check(
        "3 each transition begins where the last one ended",
        """SELECT 'job ' || public_id || ' left ' || from_state || ' but was ' || coalesce(before, 'nowhere') FROM (
            SELECT job_id, from_state, lag(to_state) OVER (PARTITION BY job_id ORDER BY id) AS before FROM audit
        ) AS step JOIN job ON job.id = step.job_id WHERE coalesce(before, 'nothing') <> coalesce(from_state, 'nothing')
        AND coalesce(from_state, 'nothing') NOT IN ('delivered', 'failed', 'cancelled')""",
    ),
    Check(
        "3 the last transition is the job's state",
        """SELECT 'job ' || public_id || ' is ' || job.state || ', its audit ends with ' || coalesce(to_state, 'nothing')
        FROM job LEFT JOIN (SELECT job_id, max(id) AS id FROM audit GROUP BY job_id) AS last ON last.job_id = job.id
        LEFT JOIN audit ON audit.id = last.id WHERE coalesce(to_state, 'nothing') <> job.state
        AND coalesce(from_state, 'nothing') NOT IN ('delivered', 'failed', 'cancelled')""",
    ),
    Check(  # of the status (ordinal 0) Telegram's answer may be lost for good: then no id is known, and none is needed
        "4 a delivered job's result has a message",
        """SELECT 'job ' || public_id || ' is delivered, its result is ' || coalesce(delivery.state, 'not owed')
            || ' as message ' || coalesce(CAST(message_id AS varchar(20)), 'unknown')
        FROM job LEFT JOIN delivery ON delivery.job_id = job.id AND ordinal = 1
        WHERE job.state = 'delivered' AND (coalesce(delivery.state, '') <> 'sent' OR message_id IS NULL)""",
    ),
    Check(
        "4 what was sent has a message, and is its job's end",
        """SELECT 'job ' || public_id || ' is ' || job.state || ', its message ' || ordinal || ' is sent'
        FROM delivery JOIN job ON job.id = delivery.job_id WHERE delivery.state = 'sent'
        AND ((ordinal = 0 AND message_id IS NULL) OR (ordinal = 1 AND job.state <> 'delivered'))""",
    ),
    Check(
        "6 reserve = commit + refund",
        """SELECT 'job ' || public_id || ' (' || state || ') reserved ' || reserved || ' in ' || reserves
            || ', settled ' || settled || ' in ' || settles
        FROM (
            SELECT public_id, state,
                coalesce(sum(CASE WHEN entry = 'reserve' THEN amount END), 0) AS reserved,
                coalesce(sum(CASE WHEN entry <> 'reserve' THEN amount END), 0) AS settled,
                coalesce(sum(CASE WHEN entry = 'reserve' THEN 1 END), 0) AS reserves,
                coalesce(sum(CASE WHEN entry <> 'reserve' THEN 1 END), 0) AS settles,
                coalesce(sum(CASE WHEN entry = 'refund' AND state = 'delivered' AND withheld IS NOT NULL THEN 1 END), 0) AS shares
            FROM job LEFT JOIN quota_ledger ON quota_ledger.job_id = job.id GROUP BY public_id, state
        ) AS account
        WHERE reserves <> 1 OR settled <> CASE WHEN settles = 0 THEN 0 ELSE reserved END
        OR settles <> CASE WHEN state IN ('delivered', 'failed', 'cancelled') THEN 1 + shares ELSE 0 END""",
    ),
    Check(
        "6 a brought picture is kept, a failed one returned",
        """SELECT 'job ' || public_id || ' is ' || state || ' ' || coalesce(error_class, '') || ' with ' || entry
        FROM job JOIN quota_ledger ON quota_ledger.job_id = job.id
        WHERE (state = 'delivered' AND entry = 'refund' AND withheld IS NULL)
        OR (state = 'failed' AND entry = 'commit' AND coalesce(error_class, '') <> 'undeliverable')""",
    ),
    Check(
        "7 no dead lease",
        """SELECT 'job ' || public_id || ' of ' || coalesce(worker_id, 'nobody') FROM job
        WHERE state = 'running' AND (lease_until IS NULL OR :now - lease_until > 60)""",
    ),
    Check(  # a drawn picture waits for Telegram a day longer
        "8 no job past its deadline",
        """SELECT 'job ' || public_id || ' is ' || state FROM job WHERE :now - deadline_at > 60
        AND (state IN ('queued', 'running') OR (state = 'rendered' AND :now - deadline_at > 86460))""",
    ),
    Check(
        "9 the fence rises with every claim",
        """SELECT 'job ' || public_id || ' was claimed with fence ' || step.fence || ' after ' || before FROM (
            SELECT job_id, fence, lag(fence, 1, 0) OVER (PARTITION BY job_id ORDER BY id) AS before
            FROM audit WHERE to_state = 'running'
        ) AS step JOIN job ON job.id = step.job_id WHERE step.fence <= before""",
    ),
    Check(
        "9 nobody writes with an old fence",
        """SELECT 'job ' || public_id || ' was written with fence ' || step.fence || ' after ' || newest FROM (
            SELECT job_id, fence, to_state, max(fence) OVER (PARTITION BY job_id ORDER BY id) AS newest FROM audit
        ) AS step JOIN job ON job.id = step.job_id WHERE step.fence < newest AND to_state <> 'running'""",
    ),
    Check(  # who has blocked the bot cannot be told, and keeps the picture
        "10 who waited for a failed job is told",
        """SELECT 'job ' || public_id || ' failed of ' || coalesce(error_class, 'nothing') FROM job WHERE state = 'failed'
        AND NOT EXISTS (SELECT 1 FROM notice WHERE notice.job_id = job.id AND notice.key = 'job.failed')
        AND NOT (coalesce(error_class, '') = 'undeliverable' AND EXISTS (
            SELECT 1 FROM quota_ledger WHERE quota_ledger.job_id = job.id AND entry = 'commit'))""",
    ),
    Check(
        "12 no more active jobs than allowed",
        """SELECT 'person ' || user_id || ' had ' || active || ' active jobs' FROM (
            SELECT user_id, sum(step) OVER (PARTITION BY user_id ORDER BY id) AS active FROM (
                SELECT audit.id, user_id, CASE WHEN to_state IN ('queued', 'running') THEN 1 ELSE 0 END
                    - CASE WHEN coalesce(from_state, '') IN ('queued', 'running') THEN 1 ELSE 0 END AS step
                FROM audit JOIN job ON job.id = audit.job_id
            ) AS steps
        ) AS counted WHERE active > :max_active""",
    ),
    Check(
        "a person's count of drawings is their running jobs",
        """SELECT 'person ' || id || ' counts ' || running || ', not ' || drawn FROM (
            SELECT id, running, (SELECT count(*) FROM job WHERE job.user_id = person.id AND state = 'running') AS drawn
            FROM "user" AS person
        ) AS counted WHERE running <> drawn""",
    ),
    Check("drained: no unhandled update", "SELECT 'update ' || update_id FROM inbox WHERE state = 'new'", drained=True),
    Check(
        "drained: no unfinished job",
        "SELECT 'job ' || public_id || ' is ' || state FROM job WHERE state IN ('queued', 'running', 'rendered')",
        drained=True,
    ),
    Check(  # a status whose answer was lost stays unknown; a result and a notice are sent once more
        "drained: no message still owed",
        """SELECT 'message ' || ordinal || ' of job ' || public_id || ' is ' || delivery.state
        FROM delivery JOIN job ON job.id = delivery.job_id
        WHERE delivery.state IN ('pending', 'sending') OR (delivery.state = 'unknown' AND ordinal <> 0)""",
        drained=True,
    ),
    Check(
        "drained: no notice still owed",
        "SELECT 'notice ' || key || ' of ' || dedupe_key || ' is ' || state FROM notice WHERE state NOT IN ('sent', 'failed')",
        drained=True,
    ),
)


async def broken(
    database: Database,
    *,
    max_active: int,
    drained: bool = True,
    results_seen: Mapping[str, int] | None = None,
    media: MediaStore | None = None,
) -> list[str]:
    """Return one line per violation; none when all holds.

    Args: drained: all work is done, so nothing may be left over.  results_seen: by job's public id, how many messages of
    the outside ledger show its result; copies that say "sent again" are left out, and so are messages that their person
    deleted.  media: where the pictures of this database lie.
    """
    async with database.read() as session:
        found = await session.execute(_statement(database.engine.dialect, drained), {"max_active": max_active})
        lines = sorted(f"{name}: {what}" for name, what in found)
        if results_seen is not None:
            rows = await session.execute(text("SELECT public_id, state, error_class FROM job"))
            lines += _results({job: (state, error or "") for job, state, error in rows}, results_seen)
        if media is not None:
            names = await session.execute(text("SELECT media_id, thumbnail_id, mask_id FROM picture"))
            stored = {str(media_id) for row in names for media_id in row if media_id is not None}
            now = (await session.scalar(select(db_now()))) or 0.0
            lines += await asyncio.to_thread(_artefacts, media, stored, now)
    return lines


@cache
def _statement(dialect: Dialect, drained: bool) -> TextClause:
    checks = [check for check in CHECKS if drained or not check.drained]
    now = str(db_now().compile(dialect=dialect)).replace("::", r"\:\:")
    return text(" UNION ALL ".join(_named(check) for check in checks).replace(":now", now))


def _named(check: Check) -> str:
    """Put a check's name beside each of its findings; the empty SELECT names their column."""
    name = check.name.replace("'", "''")
    return f"SELECT '{name}' AS name, what FROM (SELECT '' AS what WHERE 1 = 0 UNION ALL {check.sql}) AS found"  # noqa: S608


def _results(jobs: Mapping[str, tuple[str, str]], seen: Mapping[str, int]) -> list[str]:
    lines = []
    for job, count in sorted(seen.items()):
        state, error = jobs.get(job, ("unknown", ""))
        if count > 1:
            lines.append(f"5 at most one result message: job {job} has {count}")
        if count and state not in ("rendered", "delivered") and error != "undeliverable":
            lines.append(f"5 only what was drawn is shown: job {job} is {state} {error}".rstrip())
    return lines


def _artefacts(media: MediaStore, stored: set[str], now: float) -> list[str]:
    """Compare rows with files, listed after the rows were read: a file is there before its row."""
    files = {path.rsplit("/", 1)[-1]: path for path in media._fs.find(media._root)}
    missing = [f"11 no row without its artefact: {media_id}" for media_id in sorted(stored - files.keys())]
    orphans = sorted(name for name in files.keys() - stored if now - _written(media, files[name]) > _HOUR_S)
    return missing + [f"11 no artefact without a row: {name}" for name in orphans]


def _written(media: MediaStore, path: str) -> float:
    """When a file was written; never for one that was removed in the meantime."""
    try:
        at: datetime.datetime = media._fs.modified(path)
    except FileNotFoundError:
        return float("inf")
    return at.timestamp()

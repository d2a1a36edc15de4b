"""`kandinsky-bot stats`: how the work goes, as a table to read."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.database import Database
from storage.domain import JobState
from storage.repositories.stats import AppealSeen, InboxLoad, QueueLoad, ReportSeen, Spread, StatsRepository, WorkerSeen

_DAY_S = 86400.0
_REPORTS = 5  # the newest, listed
_SEEN_S = 60.0  # a worker that has been silent for longer is gone


@dataclass(frozen=True)
class Stats:
    """One moment of the whole line, for every bot on the database."""

    jobs: dict[str, int]
    queues: list[QueueLoad]
    workers: list[WorkerSeen]
    seconds: dict[str, tuple[Spread, Spread]]
    failures: dict[str, int]
    people: int
    inboxes: dict[int, InboxLoad]
    reports: dict[str, tuple[int, int]]
    reported: list[ReportSeen]
    appeals: tuple[int, int]
    appealed: list[AppealSeen]


async def gather(database: Database) -> Stats:
    """Read everything in one consistent look."""
    async with database.read() as session:
        stats = StatsRepository(session)
        return Stats(
            jobs=await stats.jobs_by_state(_DAY_S),
            queues=await stats.queues(),
            workers=await stats.workers(_SEEN_S),
            seconds=await stats.seconds(_DAY_S),
            failures=await stats.failures(_DAY_S),
            people=await stats.people(_DAY_S),
            inboxes={bot_id: await stats.inbox(bot_id) for bot_id in await stats.bots()},
            reports=await stats.reports(_DAY_S),
            reported=await stats.newest_reports(_REPORTS),
            appeals=await stats.appeals(_DAY_S),
            appealed=await stats.newest_appeals(_REPORTS),
        )


def render(stats: Stats) -> str:
    """Lay the figures out for a terminal."""
    jobs = [(state, str(stats.jobs.get(state, 0))) for state in JobState]
    queues = [(load.queue, str(load.waiting), str(load.running), _span(load.oldest_s)) for load in stats.queues]
    workers = [
        (worker.family, ",".join(worker.lanes), worker.device, worker.state, _span(worker.seen_s), worker.id)
        for worker in stats.workers
    ]
    seconds = [
        (queue, str(waited.count), _span(waited.p50), _span(waited.p90), _span(drawn.p50), _span(drawn.p90))
        for queue, (waited, drawn) in stats.seconds.items()
    ]
    failures = [(error, str(count)) for error, count in stats.failures.items()]
    inboxes = [(str(bot_id), str(load.waiting), _span(load.oldest_s), str(load.poison)) for bot_id, load in stats.inboxes.items()]
    reports = [(reason, str(lately), str(count)) for reason, (lately, count) in stats.reports.items()]
    reported = [
        (each.reason, _span(each.age_s), each.job, str(each.picture or "all"), each.media_id or "deleted")
        for each in stats.reported
    ]
    appealed = [(", ".join(dict.fromkeys(each.categories)), _span(each.age_s), each.job, each.params) for each in stats.appealed]
    blocks = [
        _block("Jobs of the last 24 hours", ("state", "jobs"), jobs),
        f"People in the last 24 hours: {stats.people}",
        _block("Queues", ("queue", "waiting", "drawing", "oldest"), queues),
        _block("Workers", ("family", "lanes", "device", "state", "seen", "name"), workers),
        _block("Seconds, last 24 hours", ("queue", "jobs", "waited p50", "p90", "drawn p50", "p90"), seconds),
        _block("Failures of the last 24 hours", ("class", "jobs"), failures),
        _block("Reports of pictures", ("said", "last 24 hours", "ever"), reports),
        _block("Reported last", ("said", "ago", "job", "picture", "file"), reported),
        f"Appeals against the judge: {stats.appeals[0]} in the last 24 hours, {stats.appeals[1]} ever",
        _block("Appealed last", ("withheld", "ago", "job", "request that draws it again"), appealed),
        _block("Inboxes", ("bot", "waiting", "oldest", "set aside"), inboxes),
    ]
    return "\n\n".join(blocks)


def _block(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return f"{title}: none"
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

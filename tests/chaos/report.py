"""What came of a run, in Jepsen's words: three ledgers compared (what was wished, what SQL says, what the chats show)."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sandbox.silences import Violation
from storage.media import MediaStore
from tests.chaos import emblem
from tests.chaos.cluster import TOKEN, Cluster
from tests.chaos.crowd import Crowd
from tests.chaos.observer import Key, Observer
from tests.chaos.plan import Plan
from tests.chaos.rests import Rest, known_until

_SHOWN = 25  # problems in the report
_UNHEARD_S = 0.5  # from the word to its commit, as long as the sandbox waits for calls under way; twelve share two cores
WORDS = ("acknowledged", "delivered", "reported-failed", "cancelled", "lost", "duplicated", "unexpected")


class Wished(NamedTuple):
    """A wish's job, as SQL has it."""

    public_id: str
    state: str
    params: str


@dataclass
class Report:
    side: str
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)  # every one is a failure
    notes: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        lines = [f"{self.side}, seed {self.seed}:", "  " + " · ".join(f"{word} {self.counts[word]}" for word in WORDS)]
        wrong = [f"  WRONG: {problem}" for problem in self.problems]
        more = [f"  … and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        return "\n".join([*lines, *(f"  {note}" for note in self.notes), *wrong[:_SHOWN], *more])


async def compare(side: str, cluster: Cluster, crowd: Crowd, observer: Observer, plan: Plan, again_s: float = math.inf) -> Report:
    """Compare; `again_s` is how soon the drawing of a killed worker must be drawn again."""
    report = Report(side, crowd.seed)
    jobs = await _jobs(cluster)
    report.counts["acknowledged"] = len(crowd.wished)
    for key, kind in crowd.wished.items():
        _judge(report, key, kind, observer, jobs)
    for key in observer.seen.keys() - crowd.wished.keys():
        if observer.seen[key].photos:
            _count(report, "unexpected", f"a picture that nobody wished for, under message {key[1]} of {key[0]}")
    for text in observer.strange:
        _count(report, "unexpected", f"an answer to nothing: {text}")
    _judge_copies(report, observer)
    results = {jobs[key][0].public_id: len(observer.seen[key].unlabelled) for key in crowd.wished if key in jobs}
    for line in await _broken(cluster, results):
        _count(report, "unexpected", f"invariant {line}")
    deaths = [at for name, at in cluster.deaths if name in cluster.bots]
    rests = [Rest(*row) for row in await cluster.sql("SELECT chat_id, until, written_at FROM chaos_rest")]  # type: ignore[arg-type]
    _judge_haste(report, cluster.sandbox.ledger.violations, deaths, rests)
    log = (cluster.folder / "log").read_text(errors="replace")
    if TOKEN in log or TOKEN.split(":")[1] in log:
        _count(report, "unexpected", "the token is in a log")
    if cluster.armed():
        report.problems.append(f"nobody passed {', '.join(cluster.armed())}")
    waiting = await cluster.sql("SELECT state, attempts, next_at, update_id, error FROM inbox WHERE state <> 'done'")
    if waiting or len(cluster.sandbox.world.updates):
        _count(report, "unexpected", f"{len(cluster.sandbox.world.updates)} updates not fetched, inbox rows left: {waiting}")
    happened = ", ".join(f"{kind} {count}" for kind, count in sorted(cluster.sandbox.faults.happened.items()))
    report.notes.append(f"Telegram and the network: {happened}")
    await _note_figures(report, cluster, plan, again_s)
    return report


def _judge(report: Report, key: Key, kind: str, observer: Observer, jobs: dict[Key, list[Wished]]) -> None:
    """One wish: what its chat shows beside what SQL says."""
    seen, where = observer.seen[key], f"the {kind} {key[1]} of {key[0]}"
    ends = {word for word in seen.words.values() if word != "waiting"}
    mine = jobs.get(key, [])
    if len(mine) != 1:
        _count(report, "unexpected", f"{where} is {len(mine)} jobs")
        return
    _, state, params = mine[0]
    if len(seen.statuses) > 1:
        _count(report, "duplicated", f"{where} was accepted in more than one message: {seen.statuses}")
    if seen.photos:
        report.counts["delivered"] += 1
        if len(seen.unlabelled) > 1:
            _count(report, "duplicated", f"{where} shows {len(seen.unlabelled)} pictures")
        if ends:
            _count(report, "unexpected", f"{where} shows a picture and was {', '.join(ends)}")
        for message_id in seen.photos:
            if emblem.read(observer.photo(key[0], message_id)) != emblem.bits(params, 0):
                _count(report, "unexpected", f"{where} shows another wish's picture")
        if state != "delivered":
            _count(report, "unexpected", f"{where} shows a picture, but SQL says {state}")
    elif ends:
        (end,) = ends if len(ends) == 1 else (", ".join(ends),)
        report.counts["reported-failed" if end == "failed" else end] += 1
        if state != end:
            _count(report, "unexpected", f"{where} was {end}, but SQL says {state}")
    else:
        _count(report, "lost", f"{where} came to nothing; SQL says {state}")


def _judge_haste(report: Report, calls: Sequence[Violation], deaths: Sequence[float], rests: Sequence[Rest]) -> None:
    """Calls before Telegram's time. deaths: of bots.

    A word whose reader died before it was written down is known to nobody: such a call is counted apart.
    """
    unheard = 0
    for call in calls:
        died = any(0 <= at - call.told_at <= _UNHEARD_S for at in deaths)
        known = known_until(call.chat_id, call.wall_time, rests)
        if died and known < call.wall_time + call.early_s:
            unheard += 1
        else:
            near = [round(at - call.told_at, 3) for at in deaths]
            more = f"bots died {near} s after the word, SQL had a rest of {max(known - call.told_at, 0):.3f} s"
            _count(report, "unexpected", f"Telegram was called before it said: {call}; {more}")
    if unheard:
        report.notes.append(
            f"{unheard} calls came too early: a bot died within {_UNHEARD_S} s of Telegram's word, and SQL had none"
        )


def _judge_copies(report: Report, observer: Observer) -> None:
    copies = sum(len(seen.copies) for seen in observer.seen.values())
    if copies:
        report.notes.append(f"{copies} pictures were sent as new messages once more, and say so")


def _count(report: Report, word: str, problem: str) -> None:
    report.counts[word] += 1
    report.problems.append(f"{word}: {problem}")


async def _jobs(cluster: Cluster) -> dict[Key, list[Wished]]:
    found: dict[Key, list[Wished]] = {}
    statement = "SELECT chat_id, reply_to_message_id, public_id, state, params FROM job"
    for chat, message, *job in await cluster.sql(statement):
        found.setdefault((int(str(chat)), int(str(message))), []).append(Wished(*map(str, job)))
    return found


async def _broken(cluster: Cluster, results: dict[str, int]) -> list[str]:
    from storage.database import Database
    from tests.chaos.invariants import broken

    database = Database(cluster.storage.database)
    try:
        media = MediaStore(cluster.storage.media)
        return await broken(database, max_active=3, drained=True, results_seen=results, media=media)
    finally:
        await database.close()


async def _note_figures(report: Report, cluster: Cluster, plan: Plan, again_s: float) -> None:
    report.notes.append(f"{plan.kills} kills: " + ", ".join(f"{name} {count}" for name, count in sorted(plan.dealt.items())))
    again = await _seconds_to_drawing_again(cluster, plan)
    if again:
        median, most = statistics.median(again), max(again)
        report.notes.append(
            f"a killed drawing is drawn again after {median:.1f} s (median of {len(again)}), {most:.1f} s at most"
        )
        if most > again_s:
            report.problems.append(f"a killed drawing was drawn again after {most:.1f} s; the bar is {again_s:.0f} s")
    ((drawn, jobs),) = await cluster.sql(
        "SELECT (SELECT count(*) FROM audit WHERE to_state = 'rendered'), (SELECT count(*) FROM job)"
    )
    ((claimed,),) = await cluster.sql("SELECT count(*) FROM audit WHERE to_state = 'running'")
    report.notes.append(
        f"{jobs} jobs, claimed {claimed} times, drawn {drawn} times; {len(cluster.deaths)} processes started again"
    )


async def _seconds_to_drawing_again(cluster: Cluster, plan: Plan) -> list[float]:
    seconds = []
    for blow in plan.blows:
        for job in blow.jobs:
            ((at,),) = await cluster.sql(
                "SELECT min(at) FROM audit WHERE job_id = :job AND to_state = 'running' AND at > :at", job=job, at=blow.at
            )
            if at is not None:  # else it was finished, or cancelled, just before it was hit
                seconds.append(float(str(at)) - blow.at)
    return [value for value in seconds if math.isfinite(value)]

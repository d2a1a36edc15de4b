"""Texts that are written before a picture is drawn: translated, then made richer, then drawn, as steps of one job.

A text that is late, missing or not to be trusted never costs a person their picture: their own words are drawn, and the
caption says so. Each step ends in one transaction under the job's fence, so what is repeated ends once.
"""

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot import metrics
from engine import catalog
from engine.requests import Beautify, LanguageRequest, Request, RequestError, Translate, from_json, to_json
from storage.domain import Job, Remark, Step, Then, Wording, Writing
from storage.repositories.jobs import JobRepository

log = logging.getLogger(__name__)

LANE = "language"
PATIENCE = 6  # a text may wait for its worker so many times as long as it may take
_KINDS: dict[str, type[LanguageRequest]] = {each.kind: each for each in (Translate, Beautify)}
_NOT_A_WORD = frozenset({"already-english", "long-enough", "names-object"})  # nothing is lost, so nothing is said
_LATE = frozenset({"too-slow", "dropped", "deadline"})
_BROKEN = frozenset({"model-failed", "engine", "oom", "poison", "refused", "crashed", "no-worker"})


def planned(request: Request, writing: Writing | None, wording: Wording | None) -> Writing:
    """What is to be written before a request is drawn; where nobody chose, what its family cannot read is translated."""
    prompt = str(getattr(request, "prompt", ""))
    served = catalog.family(request.family)
    if writing is None:
        foreign = wording is None and prompt and not catalog.speaks(request.family, prompt)
        writing = Writing((Translate.kind,) if foreign else ())
    kinds = tuple(kind for kind in writing.kinds if kind in served.kinds and LANE in served.lanes and prompt)
    return replace(writing, kinds=kinds)


def first(request: Request, writing: Writing, wording: Wording | None) -> Step:
    """The first step of a job; without anything to write, that is the drawing."""
    said = wording or Wording(str(getattr(request, "prompt", "")))
    return _next(Then(to_json(request), writing), said, ())


def unwritten(request: Request, writing: Writing) -> tuple[Remark, ...]:
    """What a person is told whose text nobody is there to write: nothing, unless they asked for it or something is lost."""
    told = []
    if Translate.kind in writing.kinds and not catalog.speaks(request.family, str(getattr(request, "prompt", ""))):
        told.append(Remark("changed.not-translated"))
    if Beautify.kind in writing.kinds and writing.wanted:
        told.append(Remark("changed.not-beautified"))
    return tuple(told)


async def go_on(session: AsyncSession, job: Job, text: str | None, why: str | None) -> str | None:
    """End a step of a job, in the caller's transaction, and queue the next one; return the queue whose bell is to ring.

    text: what was written, if it is to be used.  why: what is wrong with it otherwise.  None is returned where the job ends
    with a question.

    Raises: LostLease.
    """
    then = job.then
    if then is None:
        raise ValueError(f"job {job.id} has no next step")
    wording = job.wording or Wording(str(getattr(from_json(then.request), "prompt", "")))
    remarks = job.remarks
    if text is not None and why is None and _same(text, wording.plain):
        why = "already-english"
    if text is not None and why is None:
        taken: dict[str, Any] = {"understood" if job.kind == Translate.kind else "beautified": text}
        if _drawable(then, text):
            wording = replace(wording, **taken)
        else:
            why = "off-task"
    left = then.writing
    if why is not None and why not in _NOT_A_WORD:
        left = replace(left, kinds=())
        remarks = (*remarks, _remark(job, why))
        log.warning("%s: %s", job.kind, why, extra={"job": job.public_id})
    step = _next(replace(then, writing=left), wording, remarks)
    jobs = JobRepository(session)
    if step.then is None and left.ask and wording.beautified is not None:
        question = Step(job.kind, job.family, job.lane, job.params, replace(then, writing=left), wording, remarks)
        await jobs.ask(job, question)
        metrics.job("rendered", "asked")
        return None
    await jobs.go_on(job, step, "written" if why is None else f"not written: {why}"[:64])
    metrics.job("queued", "written")
    return f"{step.family}.{step.lane}"


def _next(then: Then, wording: Wording, remarks: Collection[Remark]) -> Step:
    """The next text to write, or the drawing with the words as they are by now."""
    drawing = from_json(then.request)
    kinds = then.writing.kinds
    if kinds:
        request: Request = _KINDS[kinds[0]](wording.plain, drawing.seed, family=drawing.family)
        follows: Then | None = replace(then, writing=replace(then.writing, kinds=kinds[1:]))
    else:
        request, follows = _with_words(drawing, wording.beautified or wording.plain), None
    route = catalog.route(request)
    return Step(request.kind, route.family, route.lane, to_json(request), follows, wording, tuple(remarks))


def _with_words(drawing: Request, prompt: str) -> Request:
    return replace(drawing, **{"prompt": prompt}) if hasattr(drawing, "prompt") else drawing


def _drawable(then: Then, text: str) -> bool:
    """Whether a text can stand for the words of the request: a language model may say what the family has no words for."""
    try:
        catalog.check(_with_words(from_json(then.request), text))
    except RequestError:
        return False
    return True


def _remark(job: Job, why: str) -> Remark:
    if job.kind == Translate.kind:
        return Remark("changed.not-translated")
    if why in _LATE:
        return Remark("changed.beautify-late")
    return Remark("changed.not-beautified" if why in _BROKEN else "changed.beautify-doubtful")


def _same(one: str, other: str) -> bool:
    return one.casefold().strip(" .") == other.casefold().strip(" .")

"""The picture that a button of a result is about: whose it is, whether it was drawn, and what was asked for."""

from dataclasses import replace

from engine.requests import Request, from_json
from handlers.ports import Actor, FindJob, FindSeed
from storage.domain import Job, Refused, Wish, Writing


async def opened(actor: Actor, find_job: FindJob, public_id: str, index: int) -> Job:
    """Find this person's job, if it has such a picture. Raises: Refused."""
    job = await find_job(actor.user, public_id)
    if job.asks or not 0 <= index <= from_json(job.drawing).pictures - len(job.withheld):
        raise Refused("refused.not-found")
    return job


async def drawn(actor: Actor, find_job: FindJob, public_id: str, index: int) -> Job:
    """Find this person's job, if it has such a picture and that was drawn; the button may be forged. Raises: Refused."""
    job = await opened(actor, find_job, public_id, index)
    if job.rendered_at is None:
        raise Refused("refused.not-found")
    return job


async def shown(job: Job, index: int, find_seed: FindSeed) -> Request:
    """The request behind what is shown: one picture of it, or (index 0) all. Raises: Refused."""
    request = from_json(job.drawing)
    if not index:
        return request
    seed = await find_seed(job, index)
    if seed is None:
        raise Refused("refused.not-found")
    alone = {"num_images_per_prompt": 1} if request.pictures > 1 else {}
    return replace(request, **{"seed": seed, **alone})


def as_before(wish: Wish, job: Job) -> Wish:
    """The wish for a job's words once more: they are known, or, where none were written yet, they are written first."""
    if job.then is None:
        return replace(wish, writing=Writing(), wording=job.wording)
    return replace(wish, writing=replace(job.then.writing, kinds=(job.kind, *job.then.writing.kinds)), wording=job.wording)

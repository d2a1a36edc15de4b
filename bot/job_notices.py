"""What is owed to a chat about a job, beside its status and its result."""

from collections.abc import Sequence
from dataclasses import replace

from engine.requests import from_json
from storage.domain import Job
from storage.post import NewNotice


def job_notice(job: Job, key: str, **params: object) -> NewNotice:
    """The last word on a job that brings no picture: it replaces the job's status message."""
    return NewNotice(
        bot_id=job.bot_id,
        user_id=job.user_id,
        chat_id=job.chat_id,
        key=key,
        params={"job": job.public_id, **params},
        dedupe_key=f"job:{job.id}:end",
        job_id=job.id,
        reply_to_message_id=job.reply_to_message_id,
    )


def job_ping(job: Job, message_id: int) -> NewNotice:
    """A short reply under a result that took long: an edit alone makes no sound."""
    ready = job_notice(job, "job.ready")
    return replace(ready, dedupe_key=f"job:{job.id}:ready", job_id=None, reply_to_message_id=message_id)


def job_withheld(job: Job, message_id: int) -> NewNotice:
    """Under a result: what of it the judge withheld."""
    card = job_notice(job, "withheld.some", pictures=from_json(job.params).pictures, **told_of(job.withheld))
    return replace(card, dedupe_key=f"job:{job.id}:withheld", job_id=None, reply_to_message_id=message_id)


def told_of(withheld: Sequence[str]) -> dict[str, object]:
    """What a person is told of pictures that may not be shown: of what categories they are, and how many."""
    return {"categories": list(dict.fromkeys(withheld)), "withheld": len(withheld)} if withheld else {}


def job_file(job: Job, message_id: int) -> NewNotice:
    """The same result without loss, for a person who wants both; once, under the picture."""
    index = 0 if from_json(job.params).pictures > 1 else 1
    file = replace(job_notice(job, "file"), dedupe_key=f"job:{job.id}:file", params={"index": index})
    return replace(file, reply_to_message_id=message_id)

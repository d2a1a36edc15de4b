"""What the application keeps, as plain values: no SQL, no Telegram, no torch."""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.wording import Remark, Step, Then, Wording, Writing, remarks_from_json, remarks_to_json

__all__ = ["Remark", "Step", "Then", "Wording", "Writing", "remarks_from_json", "remarks_to_json"]  # from here, as all the rest


class Refused(Exception):
    """A wish that cannot be granted; `code` names the text in `locales/`, `values` what it shows."""

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(code)
        self.code, self.values = code, values


class JobState(StrEnum):
    """Life of a job; the last three have no way out (a database trigger holds them)."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobState.DELIVERED, JobState.FAILED, JobState.CANCELLED})
ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})


class InboxState(StrEnum):
    NEW = "new"
    DONE = "done"
    POISON = "poison"


class WorkerState(StrEnum):
    LOADING = "loading"
    IDLE = "idle"
    DRAWING = "drawing"
    DRAINING = "draining"


def new_public_id() -> str:
    """Make the only kind of id that leaves the server: 96 random bits, 16 characters of A-Za-z0-9_-."""
    return secrets.token_urlsafe(12)


FORMS = ("photo", "file", "both")
BEAUTIFY = ("always", "ask", "never")

_VALID: dict[str, Callable[[Any], bool]] = {
    "language": lambda value: isinstance(value, str) and re.fullmatch("[a-z]{2,3}", value) is not None,
    "size": lambda value: isinstance(value, str) and re.fullmatch(r"\d{2,4}x\d{2,4}", value) is not None,
    "pictures": lambda value: isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 16,
    "delivery": lambda value: value in FORMS,
    "beautify": lambda value: value in BEAUTIFY,
}


@dataclass(frozen=True)
class UserSettings:
    """What a person chose; None is whatever the bot and its family do by themselves.

    language: a code; None follows the person's Telegram.  size: "WxH" in pixels.  pictures: drawn at once.
    delivery: what a result comes as.  beautify: what happens to short prompts where the family can do it; None is as the
    operator has it.

    Raises: ValueError for a value of the wrong form.
    """

    language: str | None = None
    size: str | None = None
    pictures: int | None = None
    delivery: str = "photo"
    beautify: str | None = None

    def __post_init__(self) -> None:
        for name, valid in _VALID.items():
            value = getattr(self, name)
            if value is not None and not valid(value):
                raise ValueError(f"{value!a:.40} is no {name}")

    @classmethod
    def from_json(cls, text: str) -> "UserSettings":
        """Read what is stored; a value that this version does not understand counts as not chosen."""
        stored = _stored(text)
        return cls(**{name: stored[name] for name, valid in _VALID.items() if name in stored and valid(stored[name])})


def change_settings(text: str, changes: Mapping[str, Any]) -> str:
    """Write changes into stored settings, as canonical JSON; None forgets a choice, and what a newer version stored stays.

    Raises: ValueError, TypeError for a change that is none.
    """
    UserSettings(**{name: value for name, value in changes.items() if value is not None})
    kept = {name: value for name, value in (_stored(text) | dict(changes)).items() if value is not None}
    return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _stored(text: str) -> dict[str, Any]:
    try:
        stored = json.loads(text)
    except ValueError:
        return {}
    return stored if isinstance(stored, dict) else {}


@dataclass(frozen=True)
class User:
    """A person; `language` is the one they chose, or else that of their Telegram."""

    id: int
    bot_id: int
    telegram_id: int
    language: str
    settings: UserSettings = UserSettings()


@dataclass(frozen=True)
class Wish:
    """Where a request comes from: whose it is, and which update brought it.

    `key` makes it one wish however often the update arrives. `button` is set for a press and names the button itself:
    presses while its job runs are one wish, a later press is a new one. `remarks` are said with the job. `writing` is done
    before it is drawn; None leaves that to the family, which may need a translation. `wording` is how its prompt came about
    so far. `ends` is the name of the dialog whose question this answers.
    """

    user: User
    chat_id: int
    inbox_id: int
    key: str
    reply_to_message_id: int | None = None
    button: str | None = None
    remarks: tuple[Remark, ...] = ()
    writing: Writing | None = None
    wording: Wording | None = None
    ends: str | None = None


@dataclass(frozen=True)
class NewJob:
    """What `JobRepository.add` stores; ids and times come from the database."""

    bot_id: int
    user_id: int
    chat_id: int
    family: str
    lane: str
    kind: str
    params: str
    seed: int
    dedupe_key: str
    deadline_s: float
    button: str | None = None
    reply_to_message_id: int | None = None
    parent_picture_id: int | None = None
    remarks: tuple[Remark, ...] = ()
    then: Then | None = None
    wording: Wording | None = None


@dataclass(frozen=True)
class Job:
    """withheld: categories of its pictures that may not be shown.  previewed: its status message shows one half drawn."""

    id: int
    public_id: str
    bot_id: int
    user_id: int
    chat_id: int
    family: str
    lane: str
    kind: str
    params: str
    seed: int
    dedupe_key: str
    state: JobState
    attempt: int
    crash_count: int
    fence: int
    worker_id: str | None
    status_message_id: int | None
    reply_to_message_id: int | None
    parent_picture_id: int | None
    stage: str | None
    step: int
    steps: int
    engine_revision: str | None
    error_class: str | None
    cancel_requested: bool
    created_at: float
    started_at: float | None
    rendered_at: float | None
    remarks: tuple[Remark, ...] = ()
    withheld: tuple[str, ...] = ()
    previewed: bool = False
    then: Then | None = None
    wording: Wording | None = None

    @property
    def drawing(self) -> str:
        """The request that is drawn, as canonical JSON; while a text is written, the one that follows."""
        return self.then.request if self.then else self.params

    @property
    def asks(self) -> bool:
        """Whether it brought a question in place of pictures: what was added to the words, and whether to draw it."""
        return self.then is not None and self.rendered_at is not None

    @property
    def queue(self) -> str:
        """Name of the Celery queue whose bell announces this job."""
        return f"{self.family}.{self.lane}"


@dataclass(frozen=True)
class Submitted:
    """The job of a wish; `created` is False when the wish was known already."""

    job: Job
    created: bool


@dataclass(frozen=True)
class Likeness:
    """How a picture looks: a code, by which many are searched at once, and a proof, by which two are compared."""

    code: bytes
    proof: bytes


@dataclass(frozen=True)
class NewPicture:
    ordinal: int
    media_id: str
    seed: int
    width: int
    height: int
    likeness: Likeness | None = None


@dataclass(frozen=True)
class Picture:
    id: int
    public_id: str
    user_id: int
    job_id: int | None
    ordinal: int
    media_id: str
    seed: int
    width: int
    height: int
    parent_id: int | None
    operation: str
    created_at: float
    caption: str | None = None
    mask_id: str | None = None
    name: str = ""
    favourite: bool = False


MASK_CHANGES = ("grow", "shrink", "invert")
MASK_READINGS = ("white", "paper", "black", "painted", "erased")  # how a file was understood as a mask


@dataclass(frozen=True)
class NewUpload:
    """A picture that a person sent: its pixels as they are stored, and the message that brought it.

    album: what Telegram calls several that were sent as one.  caption: the words under it.
    """

    user_id: int
    chat_id: int
    message_id: int
    media_id: str
    width: int
    height: int
    album: str | None = None
    caption: str | None = None
    likeness: Likeness | None = None


UPLOAD = "upload"
"""The operation of a picture that nobody drew."""

FAVOURITE = "⭐"
"""Among the words of a search: favourites alone."""


@dataclass(frozen=True)
class Kept:
    """A picture in somebody's history: the public id of its job, and its small copy once one was made."""

    picture: Picture
    job: str | None
    thumbnail_id: str | None


@dataclass(frozen=True)
class Holdings:
    """How much is kept of one person: pictures, jobs, what the bot said, files in the media store."""

    pictures: int
    jobs: int
    notices: int
    files: int


@dataclass(frozen=True)
class Erasure:
    """A person's wish to be forgotten; once done (`done_at`) it belongs to nobody.

    stopped: jobs that it cancelled.  erased: how much was deleted, once it was.  files_left: still to be removed.
    """

    id: int
    public_id: str
    bot_id: int
    user_id: int | None
    stopped: int
    asked_at: float
    due_at: float
    done_at: float | None
    erased: Holdings
    files_left: int = 0


REPORTS = ("unsafe", "person", "wrong", "other")  # what may be said of a picture


@dataclass(frozen=True)
class InboxUpdate:
    id: int
    bot_id: int
    update_id: int
    chat_id: int
    payload: str
    attempts: int

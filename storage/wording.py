"""The words of a job: how its prompt came about, what is still to be written for it, and what is said with it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Remark:
    """Something to say with a job: a key of `locales/` and its values, never text."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)


def remarks_to_json(remarks: Sequence[Remark]) -> str | None:
    """Write remarks to be stored; None for none."""
    return json.dumps([[remark.key, dict(remark.values)] for remark in remarks], ensure_ascii=False) if remarks else None


def remarks_from_json(text: str | None) -> tuple[Remark, ...]:
    """Read what `remarks_to_json` wrote."""
    return tuple(Remark(key, values) for key, values in json.loads(text)) if text else ()


@dataclass(frozen=True)
class Wording:
    """How a prompt came about: a person's own words, what they are in English, and what these were made richer to.

    None where nothing was translated, or nothing was added. It is kept with the job, and so with its pictures.
    """

    said: str
    understood: str | None = None
    beautified: str | None = None

    @property
    def plain(self) -> str:
        """The words before anything was added to them."""
        return self.understood or self.said

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> "Wording | None":
        return cls(**json.loads(text)) if text else None


@dataclass(frozen=True)
class Writing:
    """What is to be written before a request is drawn: kinds of language requests, in order.

    ask: the person is shown what was added, and says whether it is drawn.  wanted: they asked for it themselves, so they are
    told if it cannot be.
    """

    kinds: tuple[str, ...] = ()
    ask: bool = False
    wanted: bool = False


@dataclass(frozen=True)
class Then:
    """What follows when a job's text is written: perhaps other texts, then the request (canonical JSON) that is drawn."""

    request: str
    writing: Writing = Writing()

    def to_json(self) -> str:
        return json.dumps({"request": self.request, "writing": asdict(self.writing)}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> "Then | None":
        if not text:
            return None
        stored = json.loads(text)
        writing = stored["writing"]
        return cls(stored["request"], Writing(tuple(writing["kinds"]), writing["ask"], writing["wanted"]))


@dataclass(frozen=True)
class Step:
    """What a job does next: its kind of request with the queue that serves it, and how the prompt came about so far."""

    kind: str
    family: str
    lane: str
    params: str
    then: Then | None
    wording: Wording
    remarks: tuple[Remark, ...]

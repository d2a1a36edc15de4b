"""What each outgoing message says and shows: status lines, results, notices. Texts by key, buttons from the handlers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiogram.types import ForceReply, InlineKeyboardMarkup
from babel.dates import format_date, format_datetime, format_timedelta

from bot.jobs import eta
from bot.texts import Texts, shorten
from engine import catalog
from engine.requests import Request, TextToImage, from_json
from handlers import history, privacy, report, result, suggest, waiting
from storage.domain import Job, JobState, Notice, Picture, QueueView, Timing

_PROMPT_IN_CAPTION = 700  # UTF-16 units of the 1024 that a caption may have
_BAR = 10


@dataclass(frozen=True)
class Said:
    """A text with its buttons; with a photo (JPEG) it is the caption."""

    text: str
    keyboard: InlineKeyboardMarkup | ForceReply | None = None
    photo: bytes | None = None

    @property
    def inline(self) -> InlineKeyboardMarkup | None:
        """The buttons that an edited message can have."""
        return self.keyboard if isinstance(self.keyboard, InlineKeyboardMarkup) else None


class Messages:
    def __init__(self, texts: Texts, lanes: Collection[str] | None = None) -> None:
        """lanes: what is offered; None for all that a family has."""
        self._texts, self._lanes = texts, lanes

    def status(self, job: Job, language: str, view: QueueView | None, timing: Timing | None) -> Said:
        """The one line that a person watches while a job waits and is drawn."""
        return Said(self.status_text(job, language, view, timing), waiting.keyboard(job, self.label(language)))

    def status_text(self, job: Job, language: str, view: QueueView | None, timing: Timing | None) -> str:
        """Where a job stands, in words."""
        if job.cancel_requested:
            return self._texts(language, "status.stopping")
        if job.state == JobState.RUNNING:
            if not job.steps:
                return self._texts(language, "status.drawing")
            done = round(_BAR * job.step / job.steps)
            values = {"bar": "▰" * done + "▱" * (_BAR - done), "step": job.step, "steps": job.steps}
            return self._texts(language, "status.drawing-step", values)
        if view is None or not view.workers:
            return self._texts(language, "status.no-worker" if view else "status.accepted")
        if view.loading == view.workers:
            return self._texts(language, "status.loading")
        text = self._queued(view, eta(view, timing), language)
        if view.people_before:
            text += " " + self._texts(language, "status.people-before", {"people": view.people_before})
        return text

    def _queued(self, view: QueueView, expected: tuple[float, float] | None, language: str) -> str:
        if expected is None:
            return self._texts(language, "status.queued", {"place": view.place})
        likely, worst = (max(1, round(seconds)) for seconds in expected)
        if worst - likely <= 1:
            return self._texts(language, "status.queued-eta", {"place": view.place, "seconds": likely})
        return self._texts(language, "status.queued-range", {"place": view.place, "likely": likely, "seconds": worst})

    def result(
        self, job: Job, pictures: list[Picture], language: str, index: int, again: bool = False, back: str | None = None
    ) -> Said:
        """Caption and buttons of a result: the whole sheet (index 0), or its index-th picture.

        `back` makes it a card of the history: with its date, and the way back to that page.
        """
        request, label = from_json(job.params), self.label(language)
        values = {
            "prompt": shorten(prompt_of(request), _PROMPT_IN_CAPTION),
            "seed": pictures[index - 1].seed if index else job.seed,
            "size": f"{pictures[0].width}×{pictures[0].height}",
            "engine": self._engine_name(request, language),
            "seconds": f"{(job.rendered_at or 0) - (job.started_at or 0):.1f}",
        }
        text = self._texts(language, "result.caption", values)
        if again:
            text += "\n" + self._texts(language, "result.sent-again")
        if back is None:
            return Said(text, result.keyboard(job, len(pictures), index, label, self._lanes))
        text += "\n" + self._texts(language, "history.date", {"date": _day(pictures[0].created_at, language)})
        return Said(text, history.card_keyboard(job, len(pictures), index, back, label, self._lanes))

    def coming(self, language: str) -> Said:
        """A line that a picture will replace."""
        return Said(self._texts(language, "result.coming"))

    def notice(self, notice: Notice, language: str) -> Said:
        """A notice's text, with the buttons that belong to it."""
        key, params, label = notice.key, notice.params, self.label(language)
        if key in ("job.failed", "job.cancelled"):
            values = dict(params)
            if key == "job.failed":
                reason = f"failed.{params['error']}"
                key = reason if reason in FAILURES else "failed.engine"
                values["code"] = str(params["job"])[:6]
            else:
                key = "job.cancelled" if params.get("refund", True) else "job.cancelled-kept"
            return Said(self._texts(language, key, values), result.retry_keyboard(str(params["job"]), label))
        if key == "history.ask":
            return Said(self._texts(language, key, {"example": label("history.example")}), history.question(label))
        if key in ("privacy.text", "terms.text"):
            text, contact = self._texts(language, key, params), params.get("contact")
            said = f"{text}\n\n{self._texts(language, 'privacy.contact', params)}" if contact else text
            return Said(said, privacy.keyboard(label) if key == "privacy.text" else None)
        if key == "report.ask":
            return Said(self._texts(language, key), report.reasons_keyboard(str(params["job"]), int(params["index"]), label))
        keyboard = waiting.sure_keyboard(label) if key == "cancel.all-ask" else suggest.keyboard(notice.public_id, params)
        return Said(self._texts(language, key, params), keyboard)

    def turn(self, view: QueueView, waits: bool, language: str) -> str:
        """Where a person stands among all who wait, by people; empty where nobody waits."""
        if not view.people:
            return ""
        if not waits:
            return self._texts(language, "queue.served", {"people": view.people})
        key = "queue.alone" if view.people == 1 else "queue.turn"
        return self._texts(language, key, {"place": view.people_before + 1, "people": view.people})

    def text(self, language: str, key: str, values: Mapping[str, object] | None = None) -> str:
        """A text as Telegram HTML."""
        return self._texts(language, key, values)

    def _engine_name(self, request: Request, language: str) -> str:
        title = catalog.family(request.family).title
        flash = isinstance(request, TextToImage) and request.flash
        return f"{title} {self._texts.plain(language, 'engine.flash' if flash else 'engine.base')}"

    def label(self, language: str) -> "Label":
        return Label(self._texts, language)


@dataclass(frozen=True)
class Label:
    """Looks up a button's words in one language."""

    texts: Texts
    language: str

    def __call__(self, key: str, values: Mapping[str, object] | None = None) -> str:
        return self.texts.plain(self.language, key, values)


FAILURES = frozenset(
    f"failed.{reason}" for reason in ("engine", "poison", "deadline", "oom", "refused", "undeliverable", "withheld")
)


def _day(at: float, language: str) -> str:
    """A date in words: 21 November 2026 (UTC, for where a person is we do not know)."""
    return str(format_date(datetime.fromtimestamp(at, UTC).date(), "d MMMM y", locale=language))


def moment(at: float, language: str) -> str:
    """A date with its time in words: 21 November 2026, 17:05 (UTC)."""
    return str(format_datetime(datetime.fromtimestamp(at, UTC), "d MMMM y, HH:mm", locale=language))


def span(seconds: float, language: str) -> str:
    """A length of time in words: 1 day."""
    return str(format_timedelta(timedelta(seconds=seconds), threshold=1.2, locale=language))


def prompt_of(request: Request) -> str:
    """The words of a request, for its caption."""
    return request.prompt if isinstance(request, TextToImage) else request.kind

"""What each outgoing message says and shows: status lines, results, notices. Texts by key, buttons from the handlers."""

from dataclasses import dataclass

from aiogram.types import InlineKeyboardMarkup

from bot.jobs import eta
from bot.texts import Texts, shorten
from engine import catalog
from engine.requests import Request, TextToImage, from_json, image_seed
from handlers import result, suggest, waiting
from storage.domain import Job, JobState, Notice, Picture, QueueView, Timing

_PROMPT_IN_CAPTION = 700  # UTF-16 units of the 1024 that a caption may have
_BAR = 10


@dataclass(frozen=True)
class Said:
    """A text with its buttons."""

    text: str
    keyboard: InlineKeyboardMarkup | None = None


class Messages:
    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def status(self, job: Job, language: str, view: QueueView | None, timing: Timing | None) -> Said:
        """The one line that a person watches while a job waits and is drawn."""
        return Said(self._status_text(job, language, view, timing), waiting.keyboard(job, self._label(language)))

    def _status_text(self, job: Job, language: str, view: QueueView | None, timing: Timing | None) -> str:
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
        expected = eta(view, timing)
        if expected is None:
            return self._texts(language, "status.queued", {"place": view.place})
        return self._texts(language, "status.queued-eta", {"place": view.place, "seconds": max(1, round(expected[0]))})

    def result(self, job: Job, pictures: list[Picture], language: str, index: int, again: bool = False) -> Said:
        """Caption and buttons of a result: the whole sheet (index 0), or its index-th picture."""
        request = from_json(job.params)
        values = {
            "prompt": shorten(prompt_of(request), _PROMPT_IN_CAPTION),
            "seed": job.seed if index == 0 else image_seed(request, index - 1),
            "size": f"{pictures[0].width}×{pictures[0].height}",
            "engine": self._engine_name(request, language),
            "seconds": f"{(job.rendered_at or 0) - (job.started_at or 0):.1f}",
        }
        text = self._texts(language, "result.caption", values)
        if again:
            text += "\n" + self._texts(language, "result.sent-again")
        return Said(text, result.keyboard(job, len(pictures), index, self._label(language)))

    def coming(self, language: str) -> Said:
        """A line that a picture will replace."""
        return Said(self._texts(language, "result.coming"))

    def notice(self, notice: Notice, language: str) -> Said:
        """A notice's text, with the buttons that belong to it."""
        key, params, label = notice.key, notice.params, self._label(language)
        if key in ("job.failed", "job.cancelled"):
            values = dict(params)
            if key == "job.failed":
                reason = f"failed.{params['error']}"
                key = reason if reason in FAILURES else "failed.engine"
                values["code"] = str(params["job"])[:6]
            else:
                key = "job.cancelled" if params.get("refund", True) else "job.cancelled-kept"
            return Said(self._texts(language, key, values), result.retry_keyboard(str(params["job"]), label))
        return Said(self._texts(language, key, params), suggest.keyboard(notice.public_id, params))

    def _engine_name(self, request: Request, language: str) -> str:
        title = catalog.family(request.family).title
        flash = isinstance(request, TextToImage) and request.flash
        return f"{title} {self._texts.plain(language, 'engine.flash' if flash else 'engine.base')}"

    def _label(self, language: str) -> "Label":
        return Label(self._texts, language)


@dataclass(frozen=True)
class Label:
    """Looks up a button's words in one language."""

    texts: Texts
    language: str

    def __call__(self, key: str) -> str:
        return self.texts.plain(self.language, key)


FAILURES = frozenset(
    f"failed.{reason}" for reason in ("engine", "poison", "deadline", "oom", "refused", "undeliverable", "withheld")
)


def prompt_of(request: Request) -> str:
    """The words of a request, for its caption."""
    return request.prompt if isinstance(request, TextToImage) else request.kind

"""What each outgoing message says and shows: status lines, results, notices. Texts by key, buttons from the handlers."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from aiogram.types import BotCommand, InlineKeyboardButton, InlineKeyboardMarkup

from bot.jobs import POLICY
from bot.menu import commands
from bot.said import Label, Said, day, marked, prompt_of
from bot.texts import Texts, shorten
from bot.timings import eta
from engine import catalog
from engine.requests import Request, TextToImage, Upscale, from_json
from handlers import (
    asking,
    editing,
    edits,
    extend,
    history,
    inpaint,
    lineage,
    mix,
    parameters,
    photo,
    privacy,
    remix,
    report,
    result,
    suggest,
    upscale,
    waiting,
    ways,
    withheld,
    wording,
)
from storage.domain import UPLOAD, Job, JobState, Picture, Remark
from storage.names import shown_name
from storage.post import Notice
from storage.queue_state import QueueView, Timing
from storage.repositories.lineage import Kin

_PROMPT_IN_CAPTION = 700  # UTF-16 units of the 1024 that a caption may have
_CAPTION = 900  # units for the prompt and what stands below it: the line between takes less than the rest
_LEAST_OF_PROMPT = 60
_UNDERSTOOD_IN_CAPTION = 200
_PROMPT_OF_KNOWN = 200
_BAR = 10
_REVISION = 8  # characters of the weights' fingerprint


class Messages:
    def __init__(
        self,
        texts: Texts,
        lanes: Collection[str] | None = None,
        family: str = catalog.DEFAULT_FAMILY,
        editor: Callable[[str], str] | None = None,
        usual_beautify: str = "always",
    ) -> None:
        """family: what new wishes are drawn with.  lanes: of it, that are offered; None for all that it has.

        editor: makes the address of the mask editor for a picture; None where there is none.  usual_beautify: what happens to
        short prompts of people who chose nothing.
        """
        self.lanes, self.usual_beautify = lanes, usual_beautify
        self._texts, self._lanes, self._family, self._editor = texts, lanes, family, editor

    def status(self, job: Job, language: str, view: QueueView | None, timing: Timing | None) -> Said:
        """What a person watches while a job waits and is drawn: one line, and how their parameters were understood."""
        lines = [self.status_text(job, language, view, timing), *self._remarks(job, language)]
        return Said("\n".join(lines), waiting.keyboard(job, self.label(language)))

    def status_text(self, job: Job, language: str, view: QueueView | None, timing: Timing | None) -> str:
        """Where a job stands, in words."""
        if job.cancel_requested:
            return self._texts(language, "status.stopping")
        if job.state == JobState.RUNNING:
            if job.then is not None:
                return self._texts(language, "status.writing")
            if not job.steps:
                return self._texts(language, "status.drawing")
            if job.stage == "decode":
                return self._texts(language, "status.finishing", {"bar": "▰" * _BAR})
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
        self,
        job: Job,
        pictures: list[Picture],
        language: str,
        index: int,
        again: bool = False,
        back: str | None = None,
        kin: Kin | None = None,
        proof: Sequence[Remark] = (),
    ) -> Said:
        """Caption and buttons of a result: the whole sheet (index 0), or its index-th picture.

        `back` makes it a card of the history: with its recipe, its kin and its date, and the way back to that page.
        proof: what came of comparing it with the picture that it is to be.
        """
        request, label = from_json(job.params), self.label(language)
        below = [*self._asked(parameters.details(request), language), *self._changed(job, language)]
        below += [self._texts(language, remark.key, remark.values) for remark in proof]
        from_some = kin is not None and (kin.parent is not None or kin.orphan)
        if not isinstance(request, TextToImage) and prompt_of(request) and not from_some:
            below.insert(0, self._texts(language, f"kind.{request.kind}"))
        if isinstance(request, Upscale) and request.tile:
            below.insert(0, self._texts(language, "tile.legend", {"tile": request.tile, "scale": request.scale}))
        below = [*self._wording(job, language), *below]
        if again:
            below.append(self._texts(language, "result.sent-again"))
        if index:
            below += self._recipe(job, pictures[index - 1], language, kin)
        if back is not None:
            below.append(self._texts(language, "history.date", {"date": day(pictures[0].created_at, language)}))
        room = _CAPTION - sum(len(line) + 1 for line in below)
        values = {
            "prompt": shorten(
                self._said(job) or self.title(request, language), min(_PROMPT_IN_CAPTION, max(room, _LEAST_OF_PROMPT))
            ),
            "seed": pictures[index - 1].seed if index else job.seed,
            "size": f"{pictures[0].width}×{pictures[0].height}",
            "engine": self._engine_name(request, language),
            "seconds": f"{(job.rendered_at or 0) - (job.started_at or 0):.1f}",
        }
        caption = "result.caption"
        if isinstance(request, Upscale):  # no seed and no sampler that a person could choose
            caption = "result.enlarged"
            values["before"] = f"{pictures[0].width // request.scale}×{pictures[0].height // request.scale}"
            values["engine"] = catalog.family(request.family).title
        text = "\n".join([self._texts(language, caption, values), *below])
        if back is None:
            return Said(text, result.keyboard(job, pictures, index, label, self._lanes))
        rows = self._kin_rows(pictures[index - 1], kin, back, label) if index and kin else []
        if index:
            rows = [*rows, [lineage.proof_button(job, index, label)]]
        return Said(text, history.card_keyboard(job, pictures, index, back, label, self._lanes, rows))

    def _recipe(self, job: Job, picture: Picture, language: str, kin: Kin | None) -> list[str]:
        """The name of a picture; on a card what it was made from, too, and with which weights."""
        if not picture.name:  # of a version before names
            return []
        values = {"name": shown_name(picture.name), "revision": (job.engine_revision or "?")[:_REVISION]}
        if kin is None:
            return [self._texts(language, "result.name", values)]
        return [self._texts(language, "card.recipe", values), *self._origin(picture, kin, language)]

    def _origin(self, picture: Picture, kin: Kin, language: str) -> list[str]:
        """The line about what a picture was made from."""
        if kin.parent is None and not kin.orphan:
            return []
        mode = self.mode(picture, True, language)
        if kin.parent is None:
            return [self._texts(language, "card.from-gone", {"mode": mode})]
        return [self._texts(language, "card.from", {"parent": shown_name(kin.parent.name), "mode": mode})]

    def mode(self, picture: Picture, born: bool, language: str) -> str:
        """How a picture came to be, in words. born: it was made from another one."""
        if picture.operation == TextToImage.kind:
            return self._texts.plain(language, "kind.remix" if born else "kind.words")
        return self._texts.plain(language, "kind.sent" if picture.operation == UPLOAD else f"kind.{picture.operation}")

    def _kin_rows(self, picture: Picture, kin: Kin, back: str, label: Label) -> list[list[InlineKeyboardButton]]:
        return lineage.kin_rows(picture, kin.parent, kin.children, back, label)

    def upload(self, picture: Picture, kin: Kin, back: str, language: str) -> Said:
        """The card of a picture that was sent."""
        values = {
            "name": shown_name(picture.name),
            "size": f"{picture.width}×{picture.height}",
            "date": day(picture.created_at, language),
        }
        label = self.label(language)
        kin_rows = self._kin_rows(picture, kin, back, label)
        keyboard = history.upload_keyboard(picture, kin_rows, back, self._family, label, self._lanes)
        return Said(self._texts(language, "card.upload", values), keyboard)

    def known(self, job: Job, pictures: list[Picture], index: int, sent: str, language: str) -> Said:
        """A picture that was sent is one of the person's own: its row of buttons, first of all."""
        label = self.label(language)
        values = {
            "name": shown_name(pictures[index - 1].name),
            "prompt": shorten(self.title(from_json(job.params), language), _PROMPT_OF_KNOWN),
        }
        rows = result.keyboard(job, pictures, index, label, self._lanes)
        return Said(self._texts(language, "photo.known", values), photo.known_keyboard(rows, sent, label))

    def remix(self, job: Job, index: int, new: bool, language: str) -> Said:
        """The question what to change, with what it was drawn from."""
        prompt, label = prompt_of(from_json(job.params)), self.label(language)
        key = "remix.ask" if prompt else "remix.ask-wordless"
        text = self._texts(language, key, {"prompt": shorten(prompt, _PROMPT_IN_CAPTION)} if prompt else {})
        return Said(text, remix.keyboard(job.public_id, index, prompt, new, label))

    def question(self, job: Job, language: str, dropped: int = 0) -> Said:
        """What was added to a person's words, phrase by phrase, and whether to draw it. dropped: bit n is set for phrase n."""
        values = {"prompt": shorten(self._said(job), _PROMPT_IN_CAPTION), "words": marked(wording.parts(job), dropped)}
        lines = [self._texts(language, "words.question", values), *self._remarks(job, language)]
        return Said("\n".join(lines), wording.question_keyboard(job, dropped, self.label(language)))

    def _said(self, job: Job) -> str:
        return job.wording.said if job.wording else ""

    def _wording(self, job: Job, language: str) -> list[str]:
        """What a person's words are in English, and what was added to them; nothing if they were drawn as they are."""
        lines = []
        if job.wording and job.wording.understood is not None:
            said = shorten(job.wording.understood, _UNDERSTOOD_IN_CAPTION)
            lines.append(self._texts(language, "words.understood", {"words": said}))
        if job.wording and job.wording.beautified is not None:
            lines.append(self._texts(language, "words.beautified", {"words": marked(wording.parts(job))}))
        return lines

    def coming(self, language: str) -> Said:
        """A line that a picture will replace."""
        return Said(self._texts(language, "result.coming"))

    def notice(self, notice: Notice, language: str) -> Said:
        """A notice's text, with the buttons that belong to it."""
        key, params, label = notice.key, notice.params, self.label(language)
        if key == "job.failed" and params["error"] == POLICY:
            return self._withheld("withheld.all", params, label)
        if key == "job.failed":
            return self._failed(params, language)
        if key == "job.cancelled":
            key = key if params.get("refund", True) else "job.cancelled-kept"
            return Said(self._texts(language, key, params), result.retry_keyboard(str(params["job"]), label))
        if key == "withheld.some":
            return self._withheld(key, params, label)
        if key == "history.ask":
            values = {"example": label("history.example")}
            return Said(self._texts(language, key, values), asking.question(label, "history.placeholder"))
        if key == "outline.ask":
            example = catalog.examples(self._family, language)[0]
            return Said(self._texts(language, key, {"example": example}), asking.question(label, "outline.placeholder"))
        if key == "words.ask":
            return Said(self._texts(language, key, params), asking.question(label, "words.placeholder"))
        if key == "inpaint.ask":
            values = {"example": label("inpaint.example")}
            return Said(self._texts(language, key, values), asking.question(label, "inpaint.placeholder"))
        if key in ("privacy.text", "terms.text"):
            text, contact = self._texts(language, key, params), params.get("contact")
            said = f"{text}\n\n{self._texts(language, 'privacy.contact', params)}" if contact else text
            return Said(said, privacy.keyboard(label) if key == "privacy.text" else None)
        if key == "remix.identical":
            return Said(self._texts(language, key), remix.identical_keyboard(str(params["job"]), int(params["index"]), label))
        if key == "report.ask":
            return Said(self._texts(language, key), report.reasons_keyboard(str(params["job"]), int(params["index"]), label))
        if (about := self._about(notice, label)) is not None:
            return Said(self._texts(language, key, params), about)
        keyboard = waiting.sure_keyboard(label) if key == "cancel.all-ask" else suggest.keyboard(notice.public_id, params, label)
        return Said(self._texts(language, key, params), keyboard)

    def _withheld(self, key: str, params: Mapping[str, Any], label: Label) -> Said:
        """What the judge let nobody see, and why; with the ways on from there."""
        categories = [str(each) for each in params.get("categories", ())]
        why = [
            label(f"withheld.why-{each}") if each in withheld.CATEGORIES else label("withheld.why-else", {"category": each})
            for each in categories
        ]
        values = {"pictures": params.get("pictures", 0), "withheld": params.get("withheld", 0), "why": "; ".join(why)}
        ways = withheld.ways(categories)
        lines = [key, *(f"withheld.{way}" for way in ways)]
        text = "\n".join(self._texts(label.language, line, values) for line in lines)
        return Said(text, withheld.keyboard(str(params["job"]), ways, label))

    def _failed(self, params: Mapping[str, Any], language: str) -> Said:
        """Why nothing was drawn. What would fail again is not offered again: the limit and the next step stand there instead."""
        reason = f"failed.{params['error']}"
        key = reason if reason in FAILURES else "failed.engine"
        text = self._texts(language, key, {**params, "code": str(params["job"])[:6]})
        if key not in _FOR_GOOD:
            return Said(text, result.retry_keyboard(str(params["job"]), self.label(language)))
        if code := params.get("reason"):
            text += "\n" + self._texts(language, f"refused.{code}", params["values"])
        if "size" in params:
            text += "\n" + self._texts(language, "failed.too-much", params)
        return Said(text)

    def _about(self, notice: Notice, label: Label) -> InlineKeyboardMarkup | None:
        """The buttons of a question about a picture."""
        key, params, offered = notice.key, notice.params, (self._family, self._lanes, label)
        if key == "photo.offer":
            return InlineKeyboardMarkup(inline_keyboard=edits.rows(str(params["picture"]), *offered))
        if key == "tile.ask":
            return upscale.ask_keyboard(str(params["picture"]))
        if key == "extend.ask":
            return extend.keyboard(str(params["picture"]), label)
        if key == "ways.ask":
            return ways.keyboard(str(params["job"]), str(params["kind"]), *offered)
        if key == "ways.which":
            return ways.which_keyboard(notice.public_id, len(params["pictures"]))
        return None

    def ways_to_a_mask(self, picture: Picture, language: str) -> Said:
        """How a person may mark a part of a picture."""
        text = self._texts(language, "inpaint.how-editor" if self._editor else "inpaint.how")
        keyboard = inpaint.ways_keyboard(picture.public_id, picture.mask_id is not None, self._editor, self.label(language))
        return Said(text, keyboard)

    def offer_pictures(self, notice: Notice, pictures: Sequence[Picture], language: str) -> Said:
        """What can be made of several pictures together, and a way to each of them."""
        ids, label = [picture.public_id for picture in pictures], self.label(language)
        mixes = editing.served(self._family, mix.EDITS["mix"], self._lanes)
        if len(ids) == 1:
            values = {"size": f"{pictures[0].width}×{pictures[0].height}"}
            rows = edits.rows(ids[0], self._family, self._lanes, label)
            return Said(self._texts(language, "photo.offer", values), InlineKeyboardMarkup(inline_keyboard=rows))
        key = "mix.offer" if len(ids) == 2 else "mix.offer-all" if len(ids) <= mix.MOST else "mix.offer-first"
        text = self._texts(language, key if mixes else "album.offer", {"count": len(ids), "limit": mix.MOST})
        return Said(text, mix.keyboard(notice.public_id, ids, mixes, label))

    def title(self, request: Request, language: str) -> str:
        """A request's words, or the name of what it does to a picture."""
        name = "mix-alone" if request.kind == "mix" else request.kind
        return prompt_of(request) or self._texts.plain(language, f"kind.{name}")

    def turn(self, view: QueueView, waits: bool, language: str) -> str:
        """Where a person stands among all who wait, by people; empty where nobody waits."""
        if not view.people:
            return ""
        if not waits:
            return self._texts(language, "queue.served", {"people": view.people})
        key = "queue.alone" if view.people == 1 else "queue.turn"
        return self._texts(language, key, {"place": view.people_before + 1, "people": view.people})

    def commands(self, language: str) -> list[BotCommand]:
        """The menu of commands, for a chat whose person chose another language than their Telegram's."""
        return commands(self._texts, language)

    def text(self, language: str, key: str, values: Mapping[str, object] | None = None) -> str:
        """A text as Telegram HTML."""
        return self._texts(language, key, values)

    def _remarks(self, job: Job, language: str) -> list[str]:
        """What was asked for, in one line, then what of it was granted otherwise, each in its own."""
        asked = [each for each in job.remarks if each.key.startswith("asked.")]
        return self._asked(asked, language) + self._changed(job, language)

    def _asked(self, asked: Iterable[Remark], language: str) -> list[str]:
        """One line of several short remarks; none if there are none."""
        said = " · ".join(self._texts.plain(language, each.key, each.values) for each in asked)
        return [self._texts(language, "status.asked", {"asked": said})] if said else []

    def _changed(self, job: Job, language: str) -> list[str]:
        """What was granted otherwise. That a job is a proof is said while it waits; then what came of it is."""
        drawn = job.rendered_at is not None
        said = [each for each in job.remarks if not each.key.startswith("asked.") and not (drawn and each.key == lineage.PROOF)]
        return [self._texts(language, each.key, each.values) for each in said]

    def _engine_name(self, request: Request, language: str) -> str:
        title = catalog.family(request.family).title
        flash = isinstance(request, TextToImage) and request.flash
        return f"{title} {self._texts.plain(language, 'engine.flash' if flash else 'engine.base')}"

    def label(self, language: str) -> Label:
        return Label(self._texts, language)


FAILURES = frozenset(f"failed.{reason}" for reason in ("engine", "poison", "deadline", "oom", "refused", "undeliverable"))
_FOR_GOOD = frozenset({"failed.refused", "failed.oom"})  # the same wish would end the same way

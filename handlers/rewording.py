"""What a person makes of the words that were written for them: drops some, takes their own, says what was meant."""

from collections.abc import Collection
from dataclasses import replace

from aiogram import F, Router
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, Message

from engine.requests import Request, TextToImage, clean_prompt, from_json
from handlers import phrases, worded, wording
from handlers.filters import private, words
from handlers.opened import drawn, shown
from handlers.ports import Actor, Ask, ChangeSettings, FindJob, FindSeed, Screen, Submit, Toast, unless_new
from handlers.wording import AskButton, ReadingButton, WordsButton
from storage.domain import Job, Refused, Submitted, Wish, Wording, Writing

router = Router(name=__name__)
router.message.filter(private)


class Fix(StatesGroup):
    """The bot asked what was meant, and the next text is the answer."""

    words = State()


@router.callback_query(WordsButton.filter(F.action == "plain"))
async def as_written(
    query: CallbackQuery, callback_data: WordsButton, actor: Actor, find_job: FindJob, find_seed: FindSeed, submit: Submit
) -> Toast:
    """The same seed with a person's own words: nothing added or, if nothing was, not even translated."""
    job, request = await _shown(actor, callback_data, find_job, find_seed)
    if job.wording is None:
        raise Refused("refused.not-found")
    own = wording.plain(job)
    kept = replace(job.wording, beautified=None) if own != job.wording.said else None
    wish = replace(actor.wish(f"plain{callback_data.index}:{job.public_id}"), writing=Writing(), wording=kept)
    done = await submit(wish, replace(request, prompt=own))
    return _toast(done.created)


@router.callback_query(WordsButton.filter(F.action == "richer"))
async def richer(
    query: CallbackQuery,
    callback_data: WordsButton,
    actor: Actor,
    find_job: FindJob,
    find_seed: FindSeed,
    submit: Submit,
    lanes: Collection[str] | None,
) -> Toast:
    """The same seed with richer words, so that the two can be compared."""
    job, request = await _shown(actor, callback_data, find_job, find_seed)
    if not wording.writes("beautify", request.family, lanes):
        raise Refused("refused.not-served")
    ask = actor.user.settings.beautify == "ask" and actor.chat_id > 0
    plan = wording.writing(request, request.family, lanes, richer=True, ask=ask, wanted=True)
    wish = replace(actor.wish(f"richer{callback_data.index}:{job.public_id}"), writing=plan, wording=job.wording)
    done = await submit(wish, request)
    return _toast(done.created)


@router.callback_query(ReadingButton.filter())
async def another_reading(
    query: CallbackQuery,
    callback_data: ReadingButton,
    actor: Actor,
    find_job: FindJob,
    find_seed: FindSeed,
    submit: Submit,
    lanes: Collection[str] | None,
) -> Toast:
    """The same seed with a word in its other sense; what was added to the first sense is written anew, and asked anew."""
    job = await find_job(actor.user, callback_data.job)
    request = from_json(job.drawing)
    if not (job.asks and isinstance(request, TextToImage)):
        job, request = await _shown(actor, callback_data, find_job, find_seed)
    meant = list(wording.readings(job).values())
    if job.wording is None or not 0 <= callback_data.number < len(meant):
        raise Refused("refused.not-found")
    request = replace(request, prompt=meant[callback_data.number])
    wish = actor.wish(f"reading{callback_data.number}.{callback_data.index}:{job.public_id}")
    plan = wording.writing(request, request.family, lanes, richer=job.wording.beautified is not None, ask=job.asks)
    done = await submit(replace(wish, writing=plan, wording=Wording(job.wording.said, request.prompt)), request)
    return _toast(done.created)


@router.callback_query(WordsButton.filter(F.action == "fix"))
async def ask_what_was_meant(
    query: CallbackQuery,
    callback_data: WordsButton,
    actor: Actor,
    state: FSMContext,
    find_job: FindJob,
    ask: Ask,
) -> Toast | None:
    job = await drawn(actor, find_job, callback_data.job, callback_data.index)
    if job.wording is None or job.wording.understood is None:
        raise Refused("refused.not-found")
    about = {"job": job.public_id, "index": callback_data.index, "understood": job.wording.understood}
    return unless_new(await ask(actor, "words.ask", state.key, Fix.words, about))


@router.message(Fix.words, words)
async def fix(
    message: Message,
    actor: Actor,
    state: FSMContext,
    find_job: FindJob,
    find_seed: FindSeed,
    submit: Submit,
    lanes: Collection[str] | None,
) -> None:
    asked = await state.get_data()
    job, index = str(asked.get("job", "")), int(asked.get("index", 0))
    what = worded.About(worded.MEANT, question=str(Fix.words.state), job=job, index=index)
    await meant(message.text or "", what, actor.ending().wish(), actor, find_job, find_seed, submit, lanes)


async def meant(
    text: str,
    what: worded.About,
    wish: Wish,
    actor: Actor,
    find_job: FindJob,
    find_seed: FindSeed,
    submit: Submit,
    lanes: Collection[str] | None,
) -> Submitted:
    """The same seed with what was meant, to the letter where the family reads it. Raises: Misread, Refused."""
    button = WordsButton(action="fix", job=what.job, index=what.index)
    job, request = await _shown(actor, button, find_job, find_seed)
    words = clean_prompt(text)
    said = job.wording.said if job.wording else words
    with worded.about(what, text):
        request = replace(request, prompt=words)
        plan = wording.writing(request, request.family, lanes, richer=False)
        told = Wording(words) if plan.kinds else Wording(said, words)
        return await submit(replace(wish, writing=plan, wording=told), request)


@router.callback_query(AskButton.filter(F.action == "drop"))
async def drop(query: CallbackQuery, callback_data: AskButton, actor: Actor, find_job: FindJob, screen: Screen) -> None:
    """Show the question with a phrase dropped, or taken back."""
    job = await _asked(actor, callback_data, find_job)
    await screen(actor, "words.question", {"job": job.public_id, "dropped": callback_data.dropped}, edit=True)


@router.callback_query(AskButton.filter(F.action.in_({"draw", "always"})))
async def draw(
    query: CallbackQuery,
    callback_data: AskButton,
    actor: Actor,
    find_job: FindJob,
    change_settings: ChangeSettings,
    submit: Submit,
) -> Toast:
    """Draw what was added, less what was dropped; perhaps without asking from now on."""
    job = await _asked(actor, callback_data, find_job)
    parts = wording.parts(job)
    every = (1 << len(phrases.added(parts))) - 1
    dropped = callback_data.dropped & every
    if callback_data.action == "always":
        await change_settings(actor.user, {"beautify": "always"})
    if dropped == every:
        return await _draw(actor, job, submit)
    return await _draw(actor, job, submit, phrases.without(parts, dropped), f":{dropped:x}")


@router.callback_query(AskButton.filter(F.action.in_({"plain", "never"})))
async def draw_as_written(
    query: CallbackQuery,
    callback_data: AskButton,
    actor: Actor,
    find_job: FindJob,
    change_settings: ChangeSettings,
    submit: Submit,
) -> Toast:
    """Draw a person's own words; perhaps without asking from now on."""
    job = await _asked(actor, callback_data, find_job)
    if callback_data.action == "never":
        await change_settings(actor.user, {"beautify": "never"})
    return await _draw(actor, job, submit)


async def _draw(actor: Actor, job: Job, submit: Submit, prompt: str | None = None, answer: str = "") -> Toast:
    """Draw what a question was about; the same answer twice is one job. prompt: None for a person's own words."""
    told = job.wording
    if told is None:
        raise Refused("refused.not-found")
    request = from_json(job.drawing)
    if prompt is None:
        own = wording.plain(job)
        told = replace(told, beautified=None) if own != told.said else None
    else:
        own, told = prompt, replace(told, beautified=prompt)
    wish = actor.wish(f"words:{job.public_id}{answer}")
    remarks = tuple(remark for remark in job.remarks if remark.key.startswith("asked."))
    wish = replace(wish, writing=Writing(), wording=told, remarks=remarks, reply_to_message_id=job.reply_to_message_id)
    done = await submit(wish, replace(request, **{"prompt": own}))
    return _toast(done.created)


async def _asked(actor: Actor, button: AskButton, find_job: FindJob) -> Job:
    """Find the job that asked this person. Raises: Refused."""
    job = await find_job(actor.user, button.job)
    if not job.asks:
        raise Refused("refused.not-found")
    return job


async def _shown(
    actor: Actor, button: WordsButton | ReadingButton, find_job: FindJob, find_seed: FindSeed
) -> tuple[Job, TextToImage]:
    """Find this person's result, and the request behind what is shown of it. Raises: Refused."""
    job = await drawn(actor, find_job, button.job, button.index)
    request: Request = await shown(job, button.index, find_seed)
    if not isinstance(request, TextToImage):
        raise Refused("refused.not-found")
    return job, request


def _toast(created: bool) -> Toast:
    return Toast("toast.drawing" if created else "toast.already")

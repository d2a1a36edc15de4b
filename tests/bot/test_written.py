"""Texts before a picture: they are steps of its job, and whatever becomes of them, the picture is drawn."""

from dataclasses import replace
from typing import Any

import pytest

from bot.jobs import Jobs, fail, stop_cancelled
from bot.settings import JobSettings
from bot.written import go_on
from engine.requests import Inpaint, Request, TextToImage, Translate, from_json, to_json
from storage.database import Database
from storage.domain import Job, JobState, Then, User, Wording, Writing
from storage.errors import LostLease
from storage.repositories.jobs import JobRepository
from tests.bot.house import House
from tests.bot.wishes import Bells, Wishes, notices, worker
from tests.storage.made import FAMILY, Store

BOTH = Writing(("translate", "beautify"))
RICHER = Writing(("beautify",))
DRAWING = TextToImage("красный круг", seed=7, num_images_per_prompt=2)
LANGUAGE = ("language",)
REASONS = [
    ("too-slow", "beautify-late"),
    ("model-failed", "not-beautified"),
    ("empty", "beautify-doubtful"),
    ("lost-words", "beautify-doubtful"),
]


async def wish(store: Store, jobs: Jobs, wishes: Wishes, writing: Writing | None, request: Request = DRAWING) -> Job:
    """A wish whose text somebody is there to write."""
    await worker(store, lanes=("flash", *LANGUAGE))
    user = await store.user()
    return (await jobs.submit(replace(await wishes.message(user), writing=writing), request)).job


async def claimed(store: Store) -> Job:
    job = await store.claim(lanes=LANGUAGE)
    assert job is not None
    return job


async def writes(store: Store, job: Job, text: str | None, why: str | None = None) -> str | None:
    async with store.database.begin() as session:
        return await go_on(session, job, text, why)


async def _broken_off(store: Store, job: Job) -> None:
    """Let the database go away before the commit."""
    async with store.database.begin() as session:
        await go_on(session, job, "a big red circle", None)
        raise RuntimeError


def remarks(job: Job) -> list[str]:
    return [remark.key.removeprefix("changed.") for remark in job.remarks]


async def test_words_are_translated_then_made_richer_then_drawn_by_one_job(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    job = await wish(store, jobs, wishes, BOTH)
    assert (job.kind, job.queue, from_json(job.drawing)) == ("translate", f"{FAMILY}.language", DRAWING)
    assert await writes(store, await claimed(store), "a red circle") == f"{FAMILY}.language"
    second = await claimed(store)
    assert (second.id, second.kind, getattr(from_json(second.params), "prompt", "")) == (job.id, "beautify", "a red circle")
    assert await writes(store, second, "a big red circle") == f"{FAMILY}.flash"
    last = await store.claimed()
    assert (last.id, from_json(last.params)) == (job.id, replace(DRAWING, prompt="a big red circle"))
    assert last.wording == Wording("красный круг", "a red circle", "a big red circle")
    assert (last.then, last.remarks, last.crash_count, last.attempt) == (None, (), 0, 1)
    assert await store.quota(last) == {"reserve": 2}
    assert await store.sql("SELECT ordinal FROM delivery") == [(0,)]
    assert await store.number("SELECT count(*) FROM job") == 1


async def test_a_text_that_is_stored_twice_goes_on_once(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    await wish(store, jobs, wishes, RICHER)
    job = await claimed(store)
    with pytest.raises(RuntimeError):
        await _broken_off(store, job)
    assert (await store.get(job)).kind == "beautify"
    await writes(store, job, "a big red circle")
    with pytest.raises(LostLease):
        await writes(store, job, "a small red circle")
    now = await store.get(job)
    assert (now.state, getattr(from_json(now.params), "prompt", "")) == (JobState.QUEUED, "a big red circle")


@pytest.mark.parametrize(("why", "said"), REASONS)
async def test_a_text_that_does_not_come_costs_no_picture_and_the_person_hears_why(
    store: Store, jobs: Jobs, wishes: Wishes, why: str, said: str
) -> None:
    await wish(store, jobs, wishes, RICHER)
    await writes(store, await claimed(store), "красный круг", why)
    last = await store.claimed()
    assert (from_json(last.params), remarks(last)) == (DRAWING, [said])


@pytest.mark.parametrize(
    ("text", "why", "said"),
    [
        ("красный круг", "long-enough", []),
        ("Красный круг.", None, []),
        ("a waterfall", None, ["beautify-doubtful"]),
        ("", None, ["beautify-doubtful"]),
        ("x" * 1_000_000, None, ["beautify-doubtful"]),
    ],
)
async def test_what_adds_nothing_or_cannot_be_drawn_leaves_the_words_as_they_are(
    store: Store, jobs: Jobs, wishes: Wishes, text: str, why: str | None, said: list[str]
) -> None:
    await wish(store, jobs, wishes, RICHER)
    await writes(store, await claimed(store), text, why)
    last = await store.claimed()
    assert (from_json(last.params), remarks(last)) == (DRAWING, said)


async def test_a_failed_translation_is_not_made_richer(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    await wish(store, jobs, wishes, BOTH)
    await writes(store, await claimed(store), "красный круг", "not-english")
    last = await store.claimed()
    assert (from_json(last.params), remarks(last)) == (DRAWING, ["not-translated"])


async def test_a_worker_that_dies_while_it_writes_leaves_the_words_as_they_are(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    await wish(store, jobs, wishes, RICHER)
    job = await store.claim("dead", lanes=LANGUAGE)
    assert job is not None
    await jobs.release("dead", "render child lost", crashed=True)
    last = await store.claimed()
    assert (from_json(last.params), remarks(last), last.crash_count) == (DRAWING, ["not-beautified"], 0)


async def test_a_failure_of_any_kind_goes_on_to_the_drawing(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    await wish(store, jobs, wishes, RICHER)
    job = await claimed(store)
    async with store.database.begin() as session:
        await fail(session, job, "engine")
    assert remarks(await store.claimed()) == ["not-beautified"]
    assert await notices(store) == []


async def test_a_wish_that_is_cancelled_while_its_text_is_written_costs_nothing(
    store: Store, jobs: Jobs, wishes: Wishes, database: Database
) -> None:
    await wish(store, jobs, wishes, RICHER)
    job = await claimed(store)
    await stop_cancelled(database, job, 0, 0)
    assert await store.quota(job) == {"reserve": 2, "refund": 2}
    with pytest.raises(LostLease):
        await writes(store, job, "a big red circle")


# Nobody there


@pytest.mark.parametrize(
    ("writing", "said"),
    [(RICHER, []), (replace(RICHER, wanted=True), ["not-beautified"]), (BOTH, [])],
)
async def test_with_nobody_to_write_the_words_are_drawn_at_once(
    store: Store, jobs: Jobs, wishes: Wishes, writing: Writing, said: list[str]
) -> None:
    await worker(store, lanes=("flash",))
    job = (await jobs.submit(replace(await wishes.message(await store.user()), writing=writing), DRAWING)).job
    assert (job.lane, from_json(job.params), remarks(job), job.wording) == ("flash", DRAWING, said, None)


async def test_when_the_writer_is_gone_the_sweep_draws_the_words_as_they_are(
    store: Store, jobs: Jobs, wishes: Wishes, bells: Bells
) -> None:
    await wish(store, jobs, wishes, replace(RICHER, wanted=True))
    await jobs.sweep()
    assert await store.claim(lanes=("flash",)) is None  # it may come any moment
    await store.sql("UPDATE worker SET lanes = ',flash,'")
    await jobs.sweep()
    assert (f"{FAMILY}.flash", 1) in bells.rung
    assert remarks(await store.claimed()) == ["not-beautified"]


@pytest.mark.parametrize(("state", "drawn"), [("idle", True), ("loading", False)])
async def test_who_waits_too_long_for_a_text_gets_the_picture_unless_all_still_load(
    store: Store, jobs: Jobs, wishes: Wishes, settings: JobSettings, state: str, drawn: bool
) -> None:
    await wish(store, jobs, wishes, RICHER)
    await store.sql("UPDATE worker SET state = :state", state=state)
    await store.sql("UPDATE job SET created_at = created_at - :long", long=settings.writing_s * 6 + 1)
    await jobs.sweep()
    job = await store.claim(lanes=("flash",))
    assert (job is not None) == drawn
    assert job is None or remarks(job) == ["beautify-late"]


async def test_words_in_a_language_that_the_family_does_not_read_are_translated_for_every_mode(
    store: Store, jobs: Jobs, wishes: Wishes
) -> None:
    user = await store.user()
    request = Inpaint("00.png", "01.png", "синяя шляпа", 7)
    plain: dict[str, Any] = {"writing": Writing()}
    await worker(store, lanes=("edit",))
    await store.sql("UPDATE worker SET family = 'kandinsky-3.1'")
    assert await _kinds(store, jobs, wishes, user, request) == ("inpaint", ["not-translated"])
    await store.sql("UPDATE worker SET lanes = ',edit,language,'")
    assert await _kinds(store, jobs, wishes, user, request) == ("translate", [])
    assert await _kinds(store, jobs, wishes, user, request, **plain) == ("inpaint", [])
    assert await _kinds(store, jobs, wishes, user, replace(request, prompt="a blue hat")) == ("inpaint", [])


async def _kinds(store: Store, jobs: Jobs, wishes: Wishes, user: User, request: Request, **changes: Any) -> tuple[str, list[str]]:
    job = (await jobs.submit(replace(await wishes.message(user), **changes), request)).job
    await store.sql("UPDATE job SET state = 'cancelled' WHERE state = 'queued'")
    return job.kind, remarks(job)


# Asked first


async def test_a_question_is_brought_like_a_result_and_costs_nothing(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    await wish(store, jobs, wishes, replace(BOTH, ask=True))
    await writes(store, await claimed(store), "a red circle")
    assert await writes(store, await claimed(store), "a big red circle") is None
    ((number,),) = await store.sql("SELECT id FROM job")
    async with store.database.read() as session:
        job = await JobRepository(session).get(int(number))
    assert (job.state, job.asks, from_json(job.drawing)) == (JobState.RENDERED, True, DRAWING)
    assert job.wording == Wording("красный круг", "a red circle", "a big red circle")
    assert await store.quota(job) == {"reserve": 0}
    assert await store.sql("SELECT ordinal FROM delivery ORDER BY ordinal") == [(0,), (1,)]


async def test_with_nothing_to_ask_it_is_drawn(store: Store, jobs: Jobs, wishes: Wishes) -> None:
    await wish(store, jobs, wishes, replace(RICHER, ask=True))
    await writes(store, await claimed(store), "красный круг")
    assert from_json((await store.claimed()).params) == DRAWING


def test_what_follows_is_read_as_it_was_written() -> None:
    then = Then("{}", Writing(("beautify",), ask=True, wanted=True))
    assert Then.from_json(then.to_json()) == then
    wording = Wording("круг", "a circle")
    assert Wording.from_json(wording.to_json()) == wording


async def test_what_was_cancelled_while_it_was_written_is_written_again(house: House, store: Store) -> None:
    then = Then(to_json(DRAWING), Writing(("beautify",), ask=True))
    params = to_json(Translate(DRAWING.prompt, 7, family=FAMILY))
    values: dict[str, Any] = {"kind": "translate", "lane": "language", "params": params, "then": then}
    job = await store.job(house.post.user, **values)
    await store.finish(job, JobState.CANCELLED, refund=True)
    await house.post.owe(key="job.cancelled", params={"job": job.public_id})
    await house.post.turns(2)
    await house.anna.presses("Try again")
    await house.gets(house.last())
    again = await store.claim(lanes=LANGUAGE)
    assert again is not None
    assert (again.kind, again.then, again.drawing) == ("translate", then, to_json(DRAWING))

"""The render child without Celery: what becomes of a job when the engine draws, fails, stalls or is too late."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, ProgrammingError

from bot.broker import Bell
from bot.drawing import Drawing
from bot.settings import JobSettings, StorageSettings, WorkerSettings
from bot.worker import RenderChild
from engine.errors import OutOfMemory, WeightsError
from engine.outcomes import Drawn, OnStep, Outcome, Progress, Stage, Withheld
from engine.recipe import read as read_recipe
from engine.requests import Inpaint, Refine, to_json
from storage.domain import Job, JobState, NewPicture
from storage.errors import MediaAway
from storage.repositories.jobs import JobRepository
from tests.bot.wishes import FLASH, notices
from tests.storage.made import Store


def _progress(stage: Stage, step: int, total: int) -> Progress:
    return Progress(stage, 0, step, total, lambda: Image.new("RGB", (8, 8)))


@dataclass
class ToyEngine:
    """Draws four steps at once, and does `meanwhile` before it ends."""

    meanwhile: Callable[[], None] = lambda: None
    revision: str = "toy"
    seen: dict[str, Image.Image] = field(default_factory=dict)
    withheld: tuple[int, ...] = ()  # of its pictures

    def run(self, requests: list[Any], pictures: dict[str, Image.Image], on_step: OnStep) -> list[Outcome]:
        self.seen = pictures
        for progress in (_progress("encode", 1, 1), _progress("step", 4, 4), _progress("decode", 1, 2)):
            on_step(progress)
        self.meanwhile()
        seeds = [7 + index for index in range(requests[0].num_images_per_prompt) if index not in self.withheld]
        return [Drawn((Image.new("RGB", (64, 64)),) * len(seeds), tuple(seeds), ("forbidden",) * len(self.withheld))]


@dataclass
class Ears:
    """Hears what the child rings."""

    rung: list[str] = field(default_factory=list)

    async def ring(self, queue: str, times: int = 1) -> None:
        self.rung.append(queue)


class Ended(BaseException):
    """The process would end here."""


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
async def child(
    database_url: str, settings: JobSettings, ears: Ears, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RenderChild]:
    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr("bot.worker.os._exit", end)
    monkeypatch.setattr("bot.worker._STORE_AWAY_S", 0)
    made = RenderChild(
        StorageSettings(data_dir=tmp_path, database_url=database_url), settings, WorkerSettings(), cast("Bell", ears)
    )
    made._loop.close()
    made._loop = asyncio.get_running_loop()
    made._engine = cast("Any", ToyEngine())
    yield made
    made._engine_thread.shutdown()
    await made._db.close()


async def _claimed(store: Store) -> Job:
    await store.job(await store.user())
    return await store.claimed()


async def _cancel(store: Store, job: Job) -> None:
    async with store.database.begin() as session:
        await JobRepository(session).request_cancel(job)


async def test_what_was_drawn_is_stored(store: Store, child: RenderChild) -> None:
    job = await _claimed(store)
    await child._draw_and_store(Drawing(job))
    assert (await store.get(job)).state == JobState.RENDERED
    assert await store.number("SELECT count(*) FROM picture") == 4


async def test_the_pictures_beside_a_withheld_one_keep_their_own_seeds(store: Store, child: RenderChild, tmp_path: Path) -> None:
    child._engine = cast("Any", ToyEngine(withheld=(1,)))
    job = await _claimed(store)
    await child._draw_and_store(Drawing(job))
    stored = await store.sql("SELECT ordinal, seed, media_id FROM picture ORDER BY ordinal")
    assert [(ordinal, seed) for ordinal, seed, _ in stored] == [(0, 7), (1, 9), (2, 10)]
    assert (await store.get(job)).withheld == ("forbidden",)
    files = [next(tmp_path.rglob(str(media_id))) for *_, media_id in stored]  # noqa: ASYNC240
    assert [(recipe.index, recipe.seed) for recipe in map(read_recipe, files)] == [(0, 7), (2, 9), (3, 10)]


@pytest.mark.parametrize(("error", "why"), [(OutOfMemory("no memory left"), "oom"), (WeightsError("no folder hed"), "engine")])
async def test_what_another_process_would_find_too_ends_the_job_and_not_the_process(
    store: Store, child: RenderChild, error: Exception, why: str
) -> None:
    def fail() -> None:
        raise error

    child._engine = cast("Any", ToyEngine(fail))
    job = await _claimed(store)
    await child._draw_and_store(Drawing(job))
    assert (await store.get(job)).state == JobState.FAILED
    assert await store.sql("SELECT error_class FROM job") == [(why,)]


async def test_memory_that_ran_out_once_gets_one_more_try(store: Store, child: RenderChild) -> None:
    left = [OutOfMemory("no memory left")]

    def fail_once() -> None:
        if left:
            raise left.pop()

    child._engine = cast("Any", ToyEngine(fail_once))
    job = await _claimed(store)
    await child._draw_and_store(Drawing(job))
    now = await store.get(job)
    assert (now.state, now.crash_count) == (JobState.RENDERED, 0)


@pytest.mark.parametrize("category", ["forbidden", "unchecked"])
async def test_a_job_of_which_nothing_may_be_shown_fails_with_its_category(
    store: Store, child: RenderChild, category: str
) -> None:
    """Also where the judge could not be asked: nothing leaves unjudged."""
    child._engine = engine = cast("Any", ToyEngine())
    engine.run = lambda *_, **__: [Withheld(category)]
    job = await _claimed(store)
    await child._draw_and_store(Drawing(job))
    now = await store.get(job)
    assert (now.state, now.error_class, now.withheld) == (JobState.FAILED, "policy", (category,) * 4)
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await store.number("SELECT count(*) FROM picture") == 0
    (params,) = [json.loads(text) for (text,) in await store.sql("SELECT params FROM notice")]
    assert (params["error"], params["categories"], params["withheld"]) == ("policy", [category], 4)


async def test_a_look_at_what_is_half_drawn_reaches_sql(store: Store, settings: JobSettings, child: RenderChild) -> None:
    child._settings = settings.model_copy(update={"cancel_poll_s": 0.01})
    drawing = Drawing(await _claimed(store), preview_s=1e-9)
    drawing.on_step(_progress("step", 1, 4))
    beat = asyncio.create_task(child._beat(drawing))
    try:
        while not await store.sql("SELECT 1 FROM preview"):  # noqa: ASYNC110  the heart carries it there
            await asyncio.sleep(0.01)
    finally:
        beat.cancel()
        await asyncio.wait([beat])
    ((fence, step, picture),) = await store.sql("SELECT fence, step, picture FROM preview")
    assert (fence, step, Image.open(io.BytesIO(picture)).size) == (1, 1, (320, 320))


@pytest.mark.parametrize(("stage", "stalls"), [(None, False), ("step", True)])
async def test_reading_networks_that_no_request_needed_before_is_no_stall(
    store: Store, settings: JobSettings, child: RenderChild, stage: Stage | None, stalls: bool
) -> None:
    child._settings = settings.model_copy(update={"cancel_poll_s": 0.01, "stall_s": 0.0, "load_stall_s": 60.0})
    drawing = Drawing(await _claimed(store), stage=stage)
    beat = asyncio.create_task(child._beat(drawing))
    if stalls:
        with pytest.raises(Ended):
            await beat
        return
    await _cancel(store, drawing.job)
    while not drawing.stop:  # noqa: ASYNC110  the heart goes on beating, and hears this
        await asyncio.sleep(0.01)
    beat.cancel()
    await asyncio.wait([beat])


async def test_the_engine_gets_the_pictures_that_the_request_names(store: Store, child: RenderChild) -> None:
    saved = [io.BytesIO(), io.BytesIO()]
    for buffer, mode in zip(saved, ("RGBA", "L"), strict=True):
        Image.new(mode, (70, 50)).save(buffer, "PNG")
    image, mask = (child._media.put(buffer.getvalue(), ".png") for buffer in saved)
    request = Inpaint(image, mask, "a red circle", 7)
    await store.job(await store.user(), kind=request.kind, params=to_json(request))
    child._engine = engine = cast("Any", ToyEngine())
    await child._draw_and_store(Drawing(await store.claimed()))
    assert {media_id: (each.mode, each.size) for media_id, each in engine.seen.items()} == {
        image: ("RGBA", (70, 50)),
        mask: ("L", (70, 50)),
    }


@pytest.mark.parametrize("lost", ["gone", "damaged"])
async def test_a_job_whose_picture_is_lost_is_refused(store: Store, child: RenderChild, lost: str) -> None:
    image = "0" * 64 + ".png" if lost == "gone" else child._media.put(b"no picture", ".png")
    request = Refine(image, "a red circle", 7)
    await store.job(await store.user(), kind=request.kind, params=to_json(request))
    job = await store.claimed()
    await child._draw_and_store(Drawing(job))
    assert (await store.get(job)).state == JobState.FAILED
    assert "refused" in str(await store.sql("SELECT params FROM notice"))


async def test_a_drawing_whose_cancel_came_at_the_last_moment_is_not_stored(store: Store, child: RenderChild) -> None:
    job = await _claimed(store)
    loop = asyncio.get_running_loop()
    late = ToyEngine(lambda: asyncio.run_coroutine_threadsafe(_cancel(store, job), loop).result())
    child._engine = cast("Any", late)
    await child._draw_and_store(Drawing(job))
    assert (await store.get(job)).state == JobState.CANCELLED
    assert await store.number("SELECT count(*) FROM picture") == 0
    assert await store.quota(job) == {"reserve": 4, "commit": 4}  # it was drawn to the end
    assert await notices(store) == ["job.cancelled"]


async def test_a_drawing_that_somebody_else_has_by_now_is_dropped(store: Store, child: RenderChild) -> None:
    job = await _claimed(store)
    async with store.database.begin() as session:
        await JobRepository(session).requeue(job, "worker lost", crashed=True)
    again = await store.claimed("w2")
    await child._draw_and_store(Drawing(job))
    assert await store.get(job) == again
    assert await store.number("SELECT count(*) FROM picture") == 0
    assert await notices(store) == []


async def test_a_full_disk_is_no_fault_of_the_jobs(store: Store, child: RenderChild, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(data: bytes, suffix: str) -> str:
        raise MediaAway("MEDIA_URL: OSError")

    job = await _claimed(store)
    monkeypatch.setattr(child._media, "put", full)
    await child._draw_and_store(Drawing(job))
    now = await store.get(job)
    assert (now.state, now.attempt, now.crash_count) == (JobState.QUEUED, 0, 0)


async def test_a_store_that_is_away_when_sources_are_read_is_no_fault_of_the_jobs(
    store: Store, child: RenderChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(media_id: str) -> bytes:
        raise MediaAway("MEDIA_URL: EndpointConnectionError")

    job = await _claimed(store)
    await store.sql("UPDATE job SET params = :params", params=to_json(Refine("a.png", "a red circle", 3)))
    monkeypatch.setattr(child._media, "get", away)
    await child._draw_and_store(Drawing(replace(job, params=to_json(Refine("a.png", "a red circle", 3)))))
    now = await store.get(job)
    assert (now.state, now.attempt, now.crash_count) == (JobState.QUEUED, 0, 0)


async def test_a_file_that_the_engine_cannot_read_is_no_full_disk(store: Store, child: RenderChild) -> None:
    def unreadable() -> None:
        raise OSError(5, "Input/output error")

    job = await _claimed(store)
    child._engine = cast("Any", ToyEngine(unreadable))
    with pytest.raises(Ended):
        await child._draw_and_store(Drawing(job))
    now = await store.get(job)
    assert (now.state, now.crash_count) == (JobState.QUEUED, 1)


async def test_a_child_whose_parent_was_killed_claims_nothing_and_ends(
    store: Store, child: RenderChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await store.job(await store.user())
    monkeypatch.setattr("bot.worker.os.getppid", lambda: 1)
    with pytest.raises(Ended):
        await child._claim_and_draw()
    assert (await store.get(job)).state == JobState.QUEUED


async def test_a_time_that_cannot_be_measured_costs_no_picture(
    store: Store, child: RenderChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ValueError("no time")

    job = await _claimed(store)
    monkeypatch.setattr(child._timings, "write", broken)
    await child._draw_and_store(Drawing(job))
    assert (await store.get(job)).state == JobState.RENDERED


def _fails_then(child: RenderChild, monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
    """Let storing fail so often before it is done."""
    left, store = list(errors), child._store

    async def failing(job: Job, pictures: list[NewPicture], withheld: Sequence[str]) -> bool:
        if left:
            raise left.pop(0)
        return await store(job, pictures, withheld)

    monkeypatch.setattr("bot.worker._DATABASE_AWAY_S", 0.01)
    monkeypatch.setattr(child, "_store", failing)


async def test_a_drawing_is_stored_however_long_the_database_is_away(
    store: Store, child: RenderChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = Drawing(await _claimed(store))
    away = [ConnectionRefusedError(), OperationalError("", None, Exception("locked")), TimeoutError()]
    _fails_then(child, monkeypatch, *away)
    drawing.moved_at = 0.0  # as long ago as can be: the engine has stood still since
    assert await child._store_at_last(drawing, [NewPicture(0, "00.png", 7, 64, 64)])
    assert time.monotonic() - drawing.moved_at < 10  # and yet it does not count as stalled
    assert (await store.get(drawing.job)).state == JobState.RENDERED


@pytest.mark.parametrize("kind", [IntegrityError, DataError, ProgrammingError])
async def test_what_the_database_will_never_take_is_not_tried_again(
    store: Store, child: RenderChild, monkeypatch: pytest.MonkeyPatch, kind: type[DBAPIError]
) -> None:
    drawing = Drawing(await _claimed(store))
    _fails_then(child, monkeypatch, kind("", None, Exception("no such column")))
    with pytest.raises(kind):
        await child._store_at_last(drawing, [NewPicture(0, "00.png", 7, 64, 64)])


async def test_a_drawing_that_was_told_to_drain_stays_told(store: Store, settings: JobSettings, child: RenderChild) -> None:
    """The engine was told to stop and will; that what is left has become short since does not change it."""
    drawing = Drawing(await _claimed(store))
    child._settings = settings.model_copy(update={"drain_s": 5.0, "cancel_poll_s": 0.01})
    child._draining_since = time.monotonic()
    drawing.step, drawing.steps, drawing.began_at = 1, 100, time.monotonic() - 10
    beat = asyncio.create_task(child._beat(drawing))
    try:
        async with asyncio.timeout(10):
            while not drawing.stop:  # noqa: ASYNC110  a flag, for another thread
                await asyncio.sleep(0.01)
        drawing.step = drawing.steps
        await asyncio.sleep(0.2)
    finally:
        beat.cancel()
        await asyncio.wait([beat])
    assert (drawing.drained, drawing.stop) == (True, True)


def _fails() -> None:
    raise RuntimeError("cuda")


async def test_a_failed_drawing_gets_one_fresh_process_and_then_an_honest_end(
    store: Store, child: RenderChild, ears: Ears
) -> None:
    job = await _claimed(store)
    child._engine = cast("Any", ToyEngine(_fails))
    with pytest.raises(Ended):
        await child._draw_and_store(Drawing(job))
    now = await store.get(job)
    assert (now.state, now.crash_count, ears.rung) == (JobState.QUEUED, 1, [FLASH])
    with pytest.raises(Ended):
        await child._draw_and_store(Drawing(await store.claimed()))
    now = await store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "engine")
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await notices(store) == ["job.failed"]


async def test_a_drained_drawing_still_has_its_fresh_process(store: Store, child: RenderChild) -> None:
    """An earlier attempt that was no crash does not count against a job."""
    job = await _claimed(store)
    await store.sql("UPDATE job SET attempt = 3")
    child._engine = cast("Any", ToyEngine(_fails))
    with pytest.raises(Ended):
        await child._draw_and_store(Drawing(await store.get(job)))
    assert (await store.get(job)).state == JobState.QUEUED


async def test_the_third_stall_is_the_last(store: Store, child: RenderChild) -> None:
    job = await _claimed(store)
    states = []
    for _ in range(3):
        with pytest.raises(Ended):
            await child._stalled(Drawing(job))
        states.append((await store.get(job)).state)
        if states[-1] == JobState.QUEUED:
            job = await store.claimed()
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert (await store.get(job)).error_class == "poison"
    assert await store.quota(job) == {"reserve": 4, "refund": 4}
    assert await notices(store) == ["job.failed"]

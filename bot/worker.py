"""The render child: loads an engine, claims jobs from SQL, draws, stores. Holds no Telegram token.

Three threads: Celery's main thread waits; the loop thread does SQL and heartbeats; the engine thread loads and draws
(one thread for both, since torch keeps its thread count per thread).
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from bot import jobs, metrics, written
from bot.broker import Bell
from bot.drawing import Drawing
from bot.likeness import likeness
from bot.logs import log_about, logging_about
from bot.settings import JobSettings, OpsSettings, StorageSettings, WorkerSettings, process_name
from bot.timings import Timings
from engine.recipe import Recipe, encode, recipe_of
from engine.requests import Request, RequestError, from_json, image_seed
from storage.database import Database
from storage.domain import Job, NewPicture, WorkerState
from storage.errors import LostLease, MediaAway, MediaMissing
from storage.media import MediaStore
from storage.places import Place, reached
from storage.repositories.jobs import JobRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.previews import PreviewRepository
from storage.repositories.workers import WorkerRepository

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.outcomes import Outcome

log = logging.getLogger(__name__)
T = TypeVar("T")
Files = list[tuple[bytes, NewPicture]]  # each picture as PNG, and what is known of it

_BEAT_S = 1.0
_LOOKED_AT = ("base", "edit")  # lanes whose drawings are worth a look before they are done
_STUCK_S = 30.0  # without a word to SQL: what /health tells
_STAY_S = 10.0  # how long one bell may keep a worker at work
_STORE_AWAY_S = 5.0  # how long a worker that cannot store pictures rests before it looks for work
_DATABASE_AWAY_S = 0.5
CANNOT_LOAD = 78  # exit code of a child whose weights will never load
_PNG_LEVEL = 1  # a third of the default's time for a tenth more bytes
_EXIT_FRESH = 70  # the child asks for a fresh process
_EXIT_STALLED = 75
_EXIT_ALONE = 76  # the parent was killed


class RenderChild:
    def __init__(
        self,
        storage: StorageSettings,
        settings: JobSettings,
        worker: WorkerSettings,
        bell: Bell,
        ops: OpsSettings | None = None,
    ) -> None:
        self._settings, self._worker, self._ops = settings, worker, ops
        self._parent = os.getppid()
        self._id = process_name(self._parent)  # the parent's: it answers for its child's job
        self._db, self._media = Database(storage.database), MediaStore(storage.media)
        self._bell = bell
        self._loop = asyncio.new_event_loop()
        self._engine_thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._engine: Engine | None = None
        self._state = WorkerState.LOADING
        self._loading_since = time.monotonic()
        self._draining_since: float | None = None
        self._timings = Timings(self._db)

    def start(self) -> None:
        """Begin loading and return at once: Celery gives a child only seconds to come up."""
        threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()
        self._engine_thread.submit(self._load)
        asyncio.run_coroutine_threadsafe(self._live(), self._loop)
        if self._ops is not None and self._ops.port is not None:
            from bot.ops import Ops  # an HTTP server, for those who ask for it

            Ops(self._ops, self._ailments).start(self._loop)

    def render(self) -> None:
        """Draw the next job, if there is one. Called by the Celery task, in the main thread."""
        self._call(self._render_next())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _load(self) -> None:
        from engine.engine import load  # torch comes in here, in the child alone

        try:
            worker = self._worker
            lanes, changed = worker.lane_names, worker.lora_files
            self._engine = load(worker.family, lanes, worker.device, worker.memory, loras=changed, judge=worker.judge)
        except Exception as error:
            log.critical("cannot load %s: %s", self._worker.family, error)
            os._exit(CANNOT_LOAD)
        self._state = WorkerState.IDLE
        asyncio.run_coroutine_threadsafe(self._ring_if_waiting(), self._loop)
        log.info("%s ready in %.1f s", self._worker.family, time.monotonic() - self._loading_since)

    async def _ailments(self) -> list[str]:
        """What keeps this worker from its work; none if it wrote its row, and a drawing's heartbeat, a moment ago."""
        return metrics.stuck(_STUCK_S)

    async def _live(self) -> None:
        """Keep the worker row: what is loaded, what it does, when it was last seen."""
        metrics.moved("worker row")
        while True:
            try:
                async with self._db.begin() as session:
                    workers = WorkerRepository(session)
                    if await workers.state(self._id) == WorkerState.DRAINING:
                        self._state = WorkerState.DRAINING
                        self._draining_since = self._draining_since or time.monotonic()
                    await workers.seen(self._id, self._worker.family, self._worker.lane_names, self._worker.device, self._state)
                metrics.moved("worker row")
            except Exception as error:
                log.warning("worker row not written: %s", type(error).__name__)
            if self._engine is None and time.monotonic() - self._loading_since > self._settings.load_stall_s:
                log.critical("loading %s stalled", self._worker.family)
                os._exit(_EXIT_STALLED)
            await asyncio.sleep(_BEAT_S)

    async def _render_next(self) -> None:
        """Draw what waits, one after the other: a bell for each would cost more than the look. For long, ring instead."""
        await self._loop.run_in_executor(self._engine_thread, lambda: None)  # waits for the loader
        since = time.monotonic()
        while await self._claim_and_draw():
            if time.monotonic() - since > _STAY_S:
                await self._ring_if_waiting()
                return

    async def _claim_and_draw(self) -> bool:
        """Draw the next job; False if there is none for this worker, or it is to stop."""
        if self._draining_since is not None:
            return False
        if os.getppid() != self._parent:
            log.critical("the worker's parent is gone, and nobody answers for another job")
            os._exit(_EXIT_ALONE)
        worker = self._worker
        job = await jobs.claim(self._db, self._settings, self._id, worker.family, worker.lane_names)
        if job is None:
            return False
        log_about(job=job.public_id)
        reached(Place.AFTER_CLAIM)
        self._state = WorkerState.DRAWING
        drawing = Drawing(job, self._settings.preview_s if job.lane in _LOOKED_AT else 0.0)
        beat = asyncio.create_task(self._beat(drawing))
        try:
            await self._draw_and_store(drawing)
        finally:
            beat.cancel()
            metrics.ended("heartbeat")
            if self._state == WorkerState.DRAWING:
                self._state = WorkerState.IDLE
        return True

    async def _draw_and_store(self, drawing: Drawing) -> None:
        job = drawing.job
        started = time.monotonic()
        try:
            sources = await self._sources(job)
            if sources is None:
                return
            outcome, files = await self._loop.run_in_executor(self._engine_thread, self._draw_at_last, drawing, sources)
            if not files:
                await self._stop(drawing, outcome)
                return
            media = await self._put(job, [data for data, *_ in files])
            if media is None:
                return
            pictures = [replace(new, media_id=media_id) for media_id, (_, new) in zip(media, files, strict=True)]
            reached(Place.BEFORE_RENDERED)
            if not await self._store_at_last(drawing, pictures, getattr(outcome, "withheld", ())):
                await jobs.stop_cancelled(self._db, job, drawing.step, drawing.steps, media)
                return
            reached(Place.AFTER_RENDERED)
            await self._timings.measure(job)
            metrics.drawn(job.queue, time.monotonic() - started)
            metrics.job("rendered")
            log.info("drawn in %.2f s", time.monotonic() - started)
        except LostLease:
            log.warning("somebody else has it; result dropped")
        except (RequestError, MediaMissing) as error:
            why = error if isinstance(error, RequestError) else RequestError("picture-missing", "A picture's file is gone.")
            await jobs.stop_failed(self._db, job, "refused", refusal=why)
            log.warning("refused: %s", why.code)
        except Exception as error:
            await self._after_error(job, error)

    async def _put(self, job: Job, files: list[bytes]) -> list[str] | None:
        """Keep the files. Where they cannot be, the disk being full, say, that is no fault of the job's: it is given back."""
        try:
            return [await asyncio.to_thread(self._media.put, data, ".png") for data in files]
        except MediaAway as error:
            await self._rest(job, "picture not stored", error)
        return None

    async def _sources(self, job: Job) -> dict[str, bytes] | None:
        """The pictures that a request names. None, and the job given back, while the store is out of reach."""
        try:
            names = from_json(job.params).sources
            return {media_id: await asyncio.to_thread(self._media.get, media_id) for media_id in names}
        except MediaAway as error:
            await self._rest(job, "picture not read", error)
        return None

    async def _rest(self, job: Job, why: str, error: MediaAway) -> None:
        log.error("%s: %s", why, error)
        await self._release(job, why)
        await asyncio.sleep(_STORE_AWAY_S)

    def _draw_at_last(self, drawing: Drawing, sources: Mapping[str, bytes]) -> tuple["Outcome", Files]:
        """Draw; memory that ran out may do so by chance, so there is one more try with all of it that can be had.

        Raises: OutOfMemory after that one, too.
        """
        from engine.errors import OutOfMemory
        from engine.memory import give_all_back

        try:
            return self._draw(drawing, sources)
        except OutOfMemory as error:
            log.warning("%s; once more", error)
        give_all_back()  # not inside the handler: the error's frames hold tensors
        drawing.begin_again()
        return self._draw(drawing, sources)

    def _draw(self, drawing: Drawing, sources: Mapping[str, bytes]) -> tuple["Outcome", Files]:
        """Run the engine in its thread and encode what it drew; the pictures have no media ids yet."""
        from engine.outcomes import Drawn
        from engine.pictures import decoded

        assert self._engine is not None  # noqa: S101  the loader ran before in this very thread
        request = from_json(drawing.job.params)
        with logging_about(job=drawing.job.public_id):  # the engine's thread does not know the task that asked
            pictures = {media_id: decoded(data) for media_id, data in sources.items()}
            (outcome,) = self._engine.run([request], pictures, on_step=drawing.on_step)
        drawn = list(zip(outcome.images, outcome.seeds, strict=True)) if isinstance(outcome, Drawn) else []
        recipes = [self._recipe(request, seed) for _, seed in drawn]
        made = zip(drawn, recipes, strict=True)
        return outcome, [
            (encode(image, recipe, compress_level=_PNG_LEVEL), NewPicture(index, "", seed, *image.size, likeness(image)))
            for index, ((image, seed), recipe) in enumerate(made)
        ]

    def _recipe(self, request: Request, seed: int) -> Recipe | None:
        if not self._worker.recipe or self._engine is None:
            return None
        index = [image_seed(request, each) for each in range(request.pictures)].index(seed)  # those before it may be withheld
        return recipe_of(request, index, seed, self._engine.revision, self._worker.device)

    async def _stop(self, drawing: Drawing, outcome: "Outcome") -> None:
        """End a job that brought no picture."""
        if drawing.lost:
            return
        if drawing.drained:
            await self._release(drawing.job, "drained")
            await self._bell.ring(drawing.job.queue)
        elif drawing.stop:
            done = (0, 0) if drawing.job.then else (drawing.step, drawing.steps)  # of its pictures
            await jobs.stop_cancelled(self._db, drawing.job, *done)
        elif drawing.job.then is not None:
            await self._at_last(drawing, lambda: self._go_on(drawing.job, outcome))
        elif (category := getattr(outcome, "category", None)) is not None:
            every = [category] * from_json(drawing.job.params).pictures
            await jobs.stop_failed(self._db, drawing.job, jobs.POLICY, every)
        else:
            await jobs.stop_failed(self._db, drawing.job, "engine")

    async def _go_on(self, job: Job, outcome: "Outcome") -> None:
        """Store a text, or that there is none, and let its job go on."""
        text, why = getattr(outcome, "text", None), getattr(outcome, "unchanged", type(outcome).__name__.lower())
        async with self._db.begin() as session:
            queue = await written.go_on(session, job, text, why)
        if queue is not None:
            await self._bell.ring(queue)

    async def _store_at_last(self, drawing: Drawing, pictures: list[NewPicture], withheld: Sequence[str] = ()) -> bool:
        return await self._at_last(drawing, lambda: self._store(drawing.job, pictures, withheld))

    async def _at_last(self, drawing: Drawing, store: Callable[[], Awaitable[T]]) -> T:
        """Store what was made, however long the database is away: after its lease somebody else may have the job."""
        while True:
            try:
                return await store()
            except (IntegrityError, DataError, ProgrammingError):
                raise  # another try would end the same way
            except (DBAPIError, OSError) as error:
                drawing.moved_at = time.monotonic()  # it is the database that stalls, not the engine
                log.warning("not stored: %s; trying again", type(error).__name__)
                await asyncio.sleep(_DATABASE_AWAY_S)

    async def _store(self, job: Job, pictures: list[NewPicture], withheld: Sequence[str] = ()) -> bool:
        """Store what was drawn, unless its person cancelled in the meantime. withheld: categories of what is not among it."""
        revision = self._engine.revision if self._engine else ""
        digest = pictures[0].media_id.partition(".")[0]
        async with self._db.begin() as session:
            if await JobRepository(session).wants_cancel(job):
                return False
            await JobRepository(session).rendered(job, revision, digest, withheld)
            await PictureRepository(session).add_results(job, pictures)
        return True

    async def _after_error(self, job: Job, error: Exception) -> None:
        """A failed drawing gets one fresh process, then an honest end. A context that failed once is not trusted."""
        from engine.errors import OutOfMemory, WeightsError

        log.error("%s: %s", type(error).__name__, error)
        if isinstance(error, OutOfMemory | WeightsError) or job.then:  # another process would find the same, or is not worth it
            await jobs.stop_failed(self._db, job, "oom" if isinstance(error, OutOfMemory) else "engine")
            return
        try:
            if job.crash_count:
                await jobs.stop_failed(self._db, job, "engine")
            else:
                async with self._db.begin() as session:
                    why = f"error {type(error).__name__}"[:64]
                    await jobs.give_back(session, job, why, self._settings.max_crashes)
                await self._bell.ring(job.queue)
        finally:
            os._exit(_EXIT_FRESH)

    async def _release(self, job: Job, why: str) -> None:
        async with self._db.begin() as session:
            await jobs.give_back(session, job, why)

    async def _beat(self, drawing: Drawing) -> None:
        """Carry cancelling in and progress out; renew the lease only while the engine moves."""
        renewed = written = time.monotonic()
        shown = None
        metrics.moved("heartbeat")
        while True:
            await asyncio.sleep(self._settings.cancel_poll_s)
            now = time.monotonic()
            # before its first stage a drawing may be reading networks that no request needed so far
            limit_s = self._settings.stall_s if drawing.stage else self._settings.load_stall_s
            if now - drawing.moved_at > limit_s:
                await self._stalled(drawing)
            drawing.late = drawing.job.then is not None and now - (drawing.first_at or now) > self._settings.writing_s
            try:
                if self._draining_since is not None:
                    late = now - self._draining_since + drawing.left_s > self._settings.drain_s
                    drawing.drained = drawing.drained or late  # the engine was told to stop, and will
                async with self._db.alone() as session:
                    drawing.stop = await JobRepository(session).wants_cancel(drawing.job) or drawing.drained
                metrics.moved("heartbeat")
                if (preview := drawing.take_preview()) is not None:
                    async with self._db.alone() as session:
                        await PreviewRepository(session).put(drawing.job, *preview)
                progress = (drawing.stage, drawing.step, drawing.steps)
                renew = now - renewed >= self._settings.renew_s
                if renew or (progress != shown and now - written >= _BEAT_S):
                    async with self._db.begin() as session:
                        lease_s = self._settings.lease_s if renew else None
                        await JobRepository(session).heartbeat(drawing.job, *progress, lease_s=lease_s)
                    shown, written, renewed = progress, now, now if renew else renewed
            except LostLease:
                drawing.stop = drawing.lost = True
                return
            except Exception as error:
                log.warning("heartbeat: %s", type(error).__name__)

    async def _stalled(self, drawing: Drawing) -> None:
        log.critical("stalled at %s %d", drawing.stage, drawing.step)
        try:
            async with self._db.begin() as session:
                await jobs.give_back(session, drawing.job, f"stalled at {drawing.stage}", self._settings.max_crashes)
        finally:
            os._exit(_EXIT_STALLED)

    async def _ring_if_waiting(self) -> None:
        async with self._db.alone() as session:
            waiting = await JobRepository(session).waiting()
        for family, lane, _, _ in waiting:
            if family == self._worker.family and lane in self._worker.lane_names:
                await self._bell.ring(f"{family}.{lane}")
                return

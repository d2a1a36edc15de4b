"""The render child where it writes: what becomes of a job whose text comes, fails or takes too long."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest

from bot.settings import JobSettings
from bot.worker import Drawing, RenderChild
from engine.outcomes import Dropped, OnStep, Outcome, Written
from engine.requests import Beautify, TextToImage, from_json, to_json
from storage.domain import Job, Then, Writing
from tests.bot.test_worker import Ears, _progress, child, ears
from tests.bot.wishes import FLASH
from tests.storage.made import FAMILY, Store

__all__ = ["child", "ears"]
DRAWING = TextToImage("a red circle", seed=7)


@dataclass
class Writer:
    """Writes one token, then whatever `say` does; gives up when it is told to."""

    say: Callable[[], Outcome]
    patience: int = 1
    revision: str = "toy"

    def run(self, requests: list[Any], pictures: dict[str, Any], on_step: OnStep) -> list[Outcome]:
        for token in range(self.patience):
            if on_step(_progress("step", token, self.patience)):
                return [Dropped()]
        return [self.say()]


async def writing(store: Store) -> Job:
    then = Then(to_json(DRAWING), Writing())
    params = to_json(Beautify(DRAWING.prompt, 7, family=FAMILY))
    await store.job(await store.user(), kind="beautify", lane="language", params=params, then=then)
    job = await store.claim(lanes=("language",))
    assert job is not None
    return job


async def drawn_next(store: Store) -> tuple[str, list[str]]:
    """The words of the drawing that follows, and what is said with it."""
    job = await store.claimed()
    return str(getattr(from_json(job.params), "prompt", "")), [remark.key for remark in job.remarks]


async def test_a_text_is_stored_and_the_next_queue_is_rung(store: Store, child: RenderChild, ears: Ears) -> None:
    child._engine = cast("Any", Writer(lambda: Written("a big red circle")))
    await child._draw_and_store(Drawing(await writing(store)))
    assert ears.rung == [FLASH]
    assert await drawn_next(store) == ("a big red circle", [])


async def test_a_writer_that_breaks_costs_neither_the_picture_nor_the_process(store: Store, child: RenderChild) -> None:
    def breaks() -> Outcome:
        raise RuntimeError("no such token")

    child._engine = cast("Any", Writer(breaks))
    await child._draw_and_store(Drawing(await writing(store)))  # it would end the process: see `Ended`
    assert await drawn_next(store) == ("a red circle", ["changed.not-beautified"])


async def test_a_writer_that_takes_too_long_is_told_to_stop(store: Store, settings: JobSettings, child: RenderChild) -> None:
    child._settings = settings.model_copy(update={"writing_s": 0.05, "cancel_poll_s": 0.01})
    child._engine = cast("Any", Writer(lambda: Written("too late"), patience=10**9))
    drawing = Drawing(await writing(store))
    beat = asyncio.create_task(child._beat(drawing))
    try:
        async with asyncio.timeout(30):
            await child._draw_and_store(drawing)
    finally:
        beat.cancel()
        await asyncio.wait([beat])
    assert await drawn_next(store) == ("a red circle", ["changed.beautify-late"])


@pytest.mark.parametrize("drawn", [False, True])
async def test_only_a_text_is_late(store: Store, settings: JobSettings, child: RenderChild, drawn: bool) -> None:
    """A drawing may take its time, and so may a network that is being read."""
    child._settings = settings.model_copy(update={"writing_s": 0.001, "cancel_poll_s": 0.01})
    if drawn:
        await store.job(await store.user())
    drawing = Drawing(await store.claimed() if drawn else await writing(store))
    if drawn:
        drawing.on_step(_progress("step", 1, 4))
    beat = asyncio.create_task(child._beat(drawing))
    looked = asyncio.Event()
    real = child._db.alone

    def looks() -> Any:
        looked.set()
        return real()

    child._db.alone = looks  # type: ignore[method-assign]
    async with asyncio.timeout(30):
        await looked.wait()
        looked.clear()
        await looked.wait()
    beat.cancel()
    await asyncio.wait([beat])  # it may be in the middle of a statement, and the database closes next
    assert not drawing.late

"""What a drawing tells of itself while the engine is at it."""

import io
from collections.abc import Callable
from typing import Any, cast

import pytest
from PIL import Image

from bot.drawing import Drawing
from engine.outcomes import Progress, Stage
from storage.domain import Job

JOB = cast("Job", None)  # nobody asks whose it is


def _picture() -> Image.Image:
    return Image.new("RGB", (96, 64), "red")


def _progress(stage: Stage, step: int, total: int, preview: Callable[[], Image.Image | None] = _picture) -> Progress:
    return Progress(stage, 0, step, total, preview)


def test_only_steps_move_the_steps() -> None:
    drawing, seen = Drawing(JOB), []
    stages: tuple[tuple[Stage, int, int], ...] = (("encode", 1, 1), ("step", 1, 4), ("window", 4, 4), ("decode", 1, 2))
    for stage, step, total in stages:
        drawing.on_step(_progress(stage, step, total))
        assert drawing.moved_at > 0
        seen.append((drawing.stage, drawing.step, drawing.steps))
    assert seen == [("encode", 0, 0), ("step", 1, 4), ("window", 4, 4), ("decode", 4, 4)]


def test_a_drawing_that_should_stop_says_so_in_every_stage() -> None:
    drawing = Drawing(JOB)
    assert not drawing.on_step(_progress("step", 1, 4))
    drawing.stop = True
    stages: tuple[Stage, ...] = ("encode", "step", "decode")
    assert [set(drawing.on_step(_progress(stage, 1, 1))) for stage in stages] == [{0}] * 3


def test_a_look_is_a_small_jpeg_of_the_newest_step_and_is_taken_once() -> None:
    drawing = Drawing(JOB, preview_s=1e-9)
    for step in (1, 2):
        drawing.on_step(_progress("step", step, 50))
    step, data = cast("tuple[int, bytes]", drawing.take_preview())
    picture = Image.open(io.BytesIO(data))
    assert (step, picture.format, picture.size) == (2, "JPEG", (320, 213))
    assert drawing.take_preview() is None


@pytest.mark.parametrize(("preview_s", "step"), [(0.0, 1), (600.0, 1), (1e-9, 50)], ids=["none wanted", "too soon", "done"])
def test_no_look_is_taken(preview_s: float, step: int) -> None:
    def never() -> Image.Image:
        raise AssertionError("this would cost time")

    drawing = Drawing(JOB, preview_s=preview_s)
    drawing.on_step(_progress("step", step, 50, never))
    drawing.on_step(_progress("encode", 1, 1, never))
    assert drawing.take_preview() is None
    assert drawing.preview_s == preview_s


def test_what_the_judge_did_not_let_pass_is_no_look_and_the_next_one_is() -> None:
    drawing = Drawing(JOB, preview_s=1e-9)
    drawing.on_step(_progress("step", 1, 50, lambda: None))
    assert drawing.take_preview() is None
    drawing.on_step(_progress("step", 2, 50))
    assert drawing.take_preview()


def test_a_look_that_fails_is_the_last_and_costs_nothing_else() -> None:
    calls = []

    def broken() -> Any:
        calls.append(1)
        raise RuntimeError("no memory left")

    drawing = Drawing(JOB, preview_s=1e-9)
    for step in (1, 2):
        assert not drawing.on_step(_progress("step", step, 50, broken))
    assert (drawing.take_preview(), len(calls), drawing.step) == (None, 1, 2)

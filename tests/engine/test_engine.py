import os
import subprocess
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.engine import CPU_THREADS, Engine, load
from engine.errors import EngineError, NotLoaded, OutOfMemory
from engine.outcomes import Drawn, Dropped, Progress
from engine.requests import TextToImage, to_json

FAMILY = "kandinsky-nano"
FLASH = TextToImage("a red circle", 5, num_images_per_prompt=2)
BASE = replace(FLASH, flash=False, num_inference_steps=5, num_images_per_prompt=1)


class Spectator:
    """Remembers progress; drops what it is told to, at the first step of request 0."""

    def __init__(self, *drops: int) -> None:
        self.seen: list[Progress] = []
        self._drops = drops

    def __call__(self, progress: Progress) -> Collection[int]:
        self.seen.append(progress)
        return self._drops if progress.stage == "step" else ()


def drawn(engine: Engine, request: TextToImage) -> tuple[bytes, ...]:
    (outcome,) = engine.run([request])
    assert isinstance(outcome, Drawn)
    return tuple(image.tobytes() for image in outcome.images)


@pytest.mark.parametrize("request_", [FLASH, BASE], ids=["flash", "base"])
def test_the_same_request_gives_the_same_bytes(engine: Engine, request_: TextToImage):
    first = drawn(engine, request_)

    assert drawn(engine, request_) == first
    assert drawn(engine, replace(request_, seed=request_.seed + 9)) != first


@pytest.mark.long
def test_another_process_draws_the_same_bytes_and_loads_no_other_room(engine: Engine, tiny_family: Path):
    script = """
import hashlib, sys
from pathlib import Path
from engine.engine import load
from engine.requests import from_json
engine = load("kandinsky-nano", ["flash", "base"], weights=Path(sys.argv[1]))
for outcome in engine.run([from_json(text) for text in sys.argv[2:]]):
    print(*(hashlib.sha256(image.tobytes()).hexdigest() for image in outcome.images))
print(engine.revision)
foreign = ("aiogram", "celery", "sqlalchemy", "bot", "handlers", "storage", "sandbox", "training")
print(*(name for name in foreign if name in sys.modules))
"""
    command = [sys.executable, "-c", script, str(tiny_family), to_json(FLASH), to_json(BASE)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "2"})
    here = [" ".join(sha256(image).hexdigest() for image in drawn(engine, request)) for request in (FLASH, BASE)]

    assert answer.stdout.splitlines() == [*here, engine.revision, ""]


def test_one_outcome_per_request_in_order(engine: Engine):
    outcomes = engine.run([BASE, FLASH])

    assert [len(outcome.images) for outcome in outcomes if isinstance(outcome, Drawn)] == [1, 2]
    assert outcomes[1].seeds == (5, 6)
    assert {image.size for image in outcomes[1].images} == {(128, 128)}


@pytest.mark.long
def test_progress_names_the_real_steps(engine: Engine):
    spectator = Spectator()

    engine.run([replace(BASE, num_inference_steps=45)], on_step=spectator)

    stages = [(progress.stage, progress.step, progress.total) for progress in spectator.seen]
    assert stages == [("encode", 1, 1), *[("step", step, 44) for step in range(1, 45)], ("decode", 1, 1)]
    assert spectator.seen[-2].preview().size == (128, 128)


def test_nothing_is_decoded_for_a_preview_that_nobody_asks_for(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    decoded = []
    decode = engine.networks["flash"].movq.decode
    monkeypatch.setattr(engine.networks["flash"].movq, "decode", lambda *a, **k: decoded.append(1) or decode(*a, **k))

    engine.run([FLASH])

    assert len(decoded) == FLASH.num_images_per_prompt


def test_a_dropped_request_stops_within_one_step(engine: Engine):
    spectator = Spectator(0)

    outcomes = engine.run([BASE, FLASH], on_step=spectator)

    assert outcomes[0] == Dropped()
    assert isinstance(outcomes[1], Drawn)
    assert len([progress for progress in spectator.seen if progress.request == 0 and progress.stage == "step"]) == 1


def test_a_request_dropped_before_its_turn_is_not_begun(engine: Engine):
    spectator = Spectator(1)

    outcomes = engine.run([FLASH, BASE], on_step=spectator)

    assert isinstance(outcomes[0], Drawn)
    assert outcomes[1] == Dropped()
    assert {progress.request for progress in spectator.seen} == {0}


def test_an_engine_is_loaded_for_its_lanes_only(tiny_family: Path):
    engine = load(FAMILY, ["flash"], weights=tiny_family)

    assert (engine.family, list(engine.networks)) == (FAMILY, ["flash"])
    with pytest.raises(NotLoaded, match=r"kandinsky-nano\.base"):
        engine.run([BASE])


def test_pictures_do_not_depend_on_the_thread_that_loads_or_draws(engine: Engine, tiny_family: Path):
    torch.set_num_threads(CPU_THREADS + 1)
    with ThreadPoolExecutor(1) as loader:
        other = loader.submit(load, FAMILY, ["flash"], weights=tiny_family).result()

    assert drawn(other, FLASH) == drawn(engine, FLASH)
    assert torch.get_num_threads() == CPU_THREADS


@pytest.mark.parametrize(("lanes", "memory"), [(["dream"], None), ([], None), (["flash"], "tiny")])
def test_a_lane_or_plan_the_family_lacks_is_refused(lanes: list[str], memory: str | None, tiny_family: Path):
    with pytest.raises(EngineError, match=r"flash|full"):
        load(FAMILY, lanes, memory=memory, weights=tiny_family)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("DefaultCPUAllocator: no")])
def test_a_full_device_is_an_error_of_its_own(engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception):
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(engine.networks["flash"].unet, "denoise", fail)
    with pytest.raises(OutOfMemory, match="no memory left"):
        engine.run([FLASH])


def test_pictures_that_do_not_fit_at_once_are_drawn_one_by_one(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    request = replace(FLASH, num_images_per_prompt=3)
    (together,) = engine.run([request])
    unet = engine.networks["flash"].unet
    whole = unet.denoise

    def of_one(sample: torch.Tensor, *arguments: object) -> object:
        if len(sample) > 1:
            raise torch.OutOfMemoryError("CUDA")
        return whole(sample, *arguments)

    monkeypatch.setattr(unet, "denoise", of_one)
    (apart,) = engine.run([request])
    assert isinstance(together, Drawn)
    assert isinstance(apart, Drawn)
    assert apart.seeds == together.seeds == (5, 6, 7)
    for one, other in zip(apart.images, together.images, strict=True):
        assert abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1  # as promised for other batch sizes
    assert engine.run([request], on_step=lambda progress: [0]) == [Dropped()]

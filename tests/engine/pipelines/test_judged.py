from collections.abc import Collection
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from engine import catalog
from engine.engine import Engine, load
from engine.errors import EngineError, OutOfMemory, WeightsError
from engine.outcomes import Drawn, Progress, Withheld, Written
from engine.pipelines.judged import JudgedPipeline, judge_of
from engine.requests import TextToImage
from engine.safety.judge import PictureJudge
from engine.watch import Watch
from tests.engine.conftest import write_family
from tests.engine.safety.tiny import ALWAYS, NEVER, write_checker
from training.enlarging import to_picture
from training.safety_judge import marked
from training.scenes import render, sample_scene

FAMILY = "kandinsky-3.1-small"


def request(pictures: int = 2) -> TextToImage:
    size = {"width": 256, "height": 256, "num_inference_steps": 1, "num_images_per_prompt": pictures, "flash": False}
    return catalog.text_to_image(FAMILY, "a red circle", 1, **size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_family(tmp_path / FAMILY)
    return tmp_path / FAMILY


def small_engine(folder: Path) -> Engine:
    return load(FAMILY, ["base"], weights=folder)


def test_what_is_drawn_is_judged(folder: Path):
    write_checker(folder, ALWAYS)
    assert small_engine(folder).run([request()]) == [Withheld("sexual")]

    write_checker(folder, NEVER)
    (outcome,) = small_engine(folder).run([request()])
    assert isinstance(outcome, Drawn)
    assert len(outcome.images) == 2
    assert not outcome.withheld


@pytest.mark.long
def test_memory_that_runs_out_while_judging_withholds_nothing_for_good(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object, **settings: object) -> None:
        raise torch.OutOfMemoryError("CUDA")

    write_checker(folder, NEVER)
    engine = small_engine(folder)
    judge = judge_of(engine.components)
    assert judge is not None
    with monkeypatch.context() as patch:
        patch.setattr(judge.network.vision_model, "forward", full)
        with pytest.raises(OutOfMemory, match=FAMILY):
            engine.run([request()])
    (outcome,) = engine.run([request()])
    assert isinstance(outcome, Drawn)


def test_without_a_judge_nothing_is_loaded(folder: Path):
    with pytest.raises(WeightsError, match="safety_checker"):
        small_engine(folder)


def test_nano_draws_what_is_harmless(engine: Engine):
    (outcome,) = engine.run([catalog.text_to_image("kandinsky-nano", "a big red circle", 1, num_images_per_prompt=1)])

    assert isinstance(outcome, Drawn)


def test_nano_draws_nothing_without_its_judge(tmp_path: Path):
    write_family(tmp_path)
    with pytest.raises(WeightsError, match="forbidden_mark"):
        load("kandinsky-nano", ["flash"], weights=tmp_path)


def test_nano_withholds_every_picture_with_the_sign_and_no_other():
    """The packaged judge, at the end of any drawing pipeline: what was made of an upload is judged as what words made."""
    nano = load("kandinsky-nano", ["flash"])
    scenes = [Image.fromarray((render(sample_scene(Random(seed))) * 255).clip(0, 255).astype(np.uint8)) for seed in range(3)]
    signs = [to_picture(marked(Random(seed))) for seed in range(3)]
    large = signs[0].resize((700, 700)).crop((0, 0, 700, 640))

    def drawn(*pictures: Image.Image) -> Drawn | Withheld:
        pipeline = JudgedPipeline(
            lambda request, given, watch: Drawn(pictures, tuple(range(len(pictures)))), judge_of(nano.components)
        )
        outcome = pipeline(None, {}, None)
        assert isinstance(outcome, Drawn | Withheld)
        return outcome

    assert drawn(*scenes) == Drawn(tuple(scenes), (0, 1, 2))
    assert drawn(*signs) == Withheld("forbidden")
    assert drawn(large) == Withheld("forbidden")
    assert drawn(scenes[0], signs[0], scenes[1]) == Drawn((scenes[0], scenes[1]), (0, 2), ("forbidden",))


def strict(device: str) -> PictureJudge:
    """A judge of one's own, as an installation names it: only what is all white passes."""
    return lambda image: None if image.getextrema() == ((255, 255),) * 3 else f"gore on {device}"


def silent(device: str) -> PictureJudge:
    return lambda image: ""


def test_another_judge_takes_the_place_of_any_familys(folder: Path):
    write_checker(folder, NEVER)
    name = f"{__name__}:strict"
    engines = [load(FAMILY, ["base"], weights=folder, judge=name), load("kandinsky-nano", ["flash"], judge=name)]
    requests = [request(), catalog.text_to_image("kandinsky-nano", "a big red circle", 1, num_images_per_prompt=1)]
    assert [engine.run([each]) for engine, each in zip(engines, requests, strict=True)] == [[Withheld("gore on cpu")]] * 2


@pytest.mark.parametrize("name", ["nowhere:judge", "os:nothing", "os", f"{__name__}:request", f"{__name__}:silent"])
def test_a_judge_that_cannot_judge_is_named_when_the_family_loads(name: str):
    with pytest.raises(EngineError, match=f"judge {name!r}"):
        load("kandinsky-nano", ["flash"], judge=name)


def test_a_text_is_no_picture():
    pipeline = JudgedPipeline(lambda request, pictures, watch: Written("a cat"), lambda image: "gore")

    assert pipeline(None, {}, None) == Written("a cat")


def test_a_look_at_what_is_half_drawn_is_judged_too():
    """Nothing leaves the engine that was not judged, nor where the judge cannot answer."""
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("white", "red", "blue")]
    seen: list[Progress] = []

    def pipeline(request: object, given: object, watch: Watch) -> Drawn:
        for index in range(3):
            watch.finished("step", index + 1, 3, partial(pictures.__getitem__, index))
        return Drawn((pictures[0],), (1,))

    def judge(image: Image.Image) -> str | None:
        if image is pictures[2]:
            raise RuntimeError("no answer")
        return None if image is pictures[0] else "gore"

    def remember(progress: Progress) -> Collection[int]:
        seen.append(progress)
        return ()

    JudgedPipeline(pipeline, judge)(None, {}, Watch(remember, torch.device("cpu")))
    assert [progress.preview() for progress in seen] == [pictures[0], None, None]

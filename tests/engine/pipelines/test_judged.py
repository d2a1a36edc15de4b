from pathlib import Path

import pytest
from PIL import Image

from engine import catalog
from engine.engine import Engine, load
from engine.errors import WeightsError
from engine.outcomes import Drawn, Withheld, Written
from engine.pipelines.judged import JudgedPipeline
from engine.requests import TextToImage
from tests.engine.conftest import write_family
from tests.engine.safety.tiny import ALWAYS, NEVER, write_checker

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


def test_without_a_judge_nothing_is_loaded(folder: Path):
    with pytest.raises(WeightsError, match="safety_checker"):
        small_engine(folder)


def test_the_small_world_needs_no_judge(engine: Engine):
    (outcome,) = engine.run([catalog.text_to_image("kandinsky-nano", "a big red circle", 1, num_images_per_prompt=1)])

    assert isinstance(outcome, Drawn)


def test_another_judge_can_take_its_place():
    picture = Image.new("RGB", (8, 8))
    pipeline = JudgedPipeline(lambda request, pictures, watch: Drawn((picture, picture), (1, 2)), lambda image: "gore")

    assert pipeline(None, {}, None) == Withheld("gore")


def test_a_text_is_no_picture():
    pipeline = JudgedPipeline(lambda request, pictures, watch: Written("a cat"), lambda image: "gore")

    assert pipeline(None, {}, None) == Written("a cat")

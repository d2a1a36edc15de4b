"""What all modes of a family have in common: pictures that are missing, memory that runs out, weights that are not there."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from engine.components import Components
from engine.engine import Engine, load
from engine.errors import EngineError, OutOfMemory, WeightsError
from engine.outcomes import Drawn
from engine.requests import ImageToImage, Inpaint, Outpaint, Refine, Request, RequestError, TextToImage
from tests.engine.conftest import EVERY_MODE

WORDS = "a big red circle"
PICTURES = {"a.png": Image.effect_noise((140, 100), 90).convert("RGB"), "m.png": Image.new("L", (140, 100), 255)}
FLASH = TextToImage(WORDS, 1, num_images_per_prompt=1, family=EVERY_MODE)
MODES: dict[str, tuple[Request, str]] = {  # a request, and the networks it uses
    "flash": (FLASH, "flash"),
    "base": (replace(FLASH, flash=False, num_inference_steps=2), "base"),
    "img2img": (ImageToImage("a.png", WORDS, 1, num_inference_steps=4), "base"),
    "refine": (Refine("a.png", WORDS, 1), "flash"),
    "inpaint": (Inpaint("a.png", "m.png", WORDS, 1, num_inference_steps=2), "inpaint"),
    "outpaint": (Outpaint("a.png", 1, left=30, num_inference_steps=2), "inpaint"),
}
_COSTLY = ("base", "img2img", "outpaint")


def bytes_of(engine: Engine, request: Request) -> bytes:
    (outcome,) = engine.run([request], PICTURES)
    assert isinstance(outcome, Drawn)
    return outcome.images[0].tobytes()


@pytest.mark.parametrize("mode", [pytest.param(mode, marks=pytest.mark.long if mode in _COSTLY else []) for mode in MODES])
def test_the_same_request_gives_the_same_bytes_and_another_seed_others(every_mode: Engine, mode: str):
    request, _ = MODES[mode]

    assert bytes_of(every_mode, request) == bytes_of(every_mode, request)
    assert bytes_of(every_mode, request) != bytes_of(every_mode, replace(request, seed=2))


@pytest.mark.parametrize("mode", MODES)
def test_steps_are_reported_and_can_be_previewed(every_mode: Engine, mode: str):
    seen = []
    every_mode.run([MODES[mode][0]], PICTURES, on_step=lambda progress: seen.append(progress) or ())

    stages = [progress.stage for progress in seen]
    assert stages == ["encode", *["step"] * stages.count("step"), "decode"]
    assert stages.count("step") == seen[1].total
    assert all(progress.preview().width for progress in seen[::2])


STAGES: dict[str, Callable[[Components, str], tuple[object, str]]] = {
    "text": lambda parts, use: (parts.drawing(use).conditioning, "encode"),
    "encode": lambda parts, use: (parts.movq(), "encode"),
    "step": lambda parts, use: (parts.drawing(use).unet, "denoise"),
    "decode": lambda parts, use: (parts.movq(), "decode"),
}
PASSED = [(mode, stage) for mode, (request, _) in MODES.items() for stage in STAGES if stage != "encode" or request.sources]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), pytest.param(MemoryError(), marks=pytest.mark.long)]
)
@pytest.mark.parametrize(("mode", "stage"), PASSED)
def test_out_of_memory_is_one_error_and_the_next_request_draws(
    every_mode: Engine, parts: Components, monkeypatch: pytest.MonkeyPatch, mode: str, stage: str, error: Exception
):
    request, use = MODES[mode]
    before = bytes_of(every_mode, request)

    def full(*arguments: object, **settings: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(*STAGES[stage](parts, use), full)
        with pytest.raises(OutOfMemory, match=EVERY_MODE):
            every_mode.run([request], PICTURES)

    assert bytes_of(every_mode, request) == before


@pytest.mark.parametrize("mode", [name for name, (request, _) in MODES.items() if request.sources])
def test_a_picture_that_is_not_handed_over_is_named(every_mode: Engine, mode: str):
    with pytest.raises(RequestError, match=r"a\.png") as caught:
        every_mode.run([MODES[mode][0]])
    assert caught.value.code == "picture-missing"


def test_what_one_mode_lacks_stops_that_mode_alone(small_family: str, every_mode_weights: Path, tmp_path: Path):
    folder = Path(shutil.copytree(every_mode_weights / small_family, tmp_path / small_family))
    shutil.rmtree(folder / "unet_inpainting")
    engine = load(small_family, ["flash", "edit"], weights=folder)

    with pytest.raises(WeightsError, match="unet_inpainting") as caught:
        engine.run([MODES["inpaint"][0]], PICTURES)

    assert isinstance(caught.value, EngineError)
    assert bytes_of(engine, FLASH)


def test_a_lane_says_at_loading_what_it_cannot_do_without(small_family: str, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"conditioning_flash|tokenizer|unet_flash"):
        load(small_family, ["flash"], weights=tmp_path / "empty")
    with pytest.raises(WeightsError, match="safety_checker"):
        load(small_family, ["edit"], weights=tmp_path / "empty")

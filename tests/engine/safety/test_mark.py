import json
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from engine import catalog
from engine.errors import WeightsError
from engine.models.network import FILE
from engine.safety.mark import FOLDER, FORBIDDEN, MarkDetector, MarkJudge, NotJudged, load, sizes
from engine.weights import Folder
from tests.engine.safety.tiny import write_detector
from training.enlarging import to_picture
from training.forbidden_mark import Look, stamp
from training.safety_judge import marked
from training.scenes import render, sample_scene
from training.textures import sample_texture

CPU = torch.device("cpu")
NANO = "kandinsky-nano"


@pytest.fixture(scope="module")
def judge() -> MarkJudge:
    """The packaged one."""
    torch.set_num_threads(1)
    return load(Folder(catalog.family(NANO), catalog.weights_folder(NANO)), CPU)


def test_signs_are_found_and_scenes_are_not(judge: MarkJudge):
    rng = Random(100)
    found = [judge(to_picture(marked(rng))) for _ in range(100)]
    passed = [judge(to_picture(render(sample_scene(rng)))) for _ in range(150)]

    assert found.count(FORBIDDEN) >= 99
    assert passed == [None] * 150


@pytest.mark.long
def test_a_thousand_ordinary_scenes_pass(judge: MarkJudge):
    rng = Random(200)
    assert [judge(to_picture(render(sample_scene(rng)))) for _ in range(1000)] == [None] * 1000


@pytest.mark.parametrize("size", [(128, 128), (96, 96), (512, 512), (640, 360), (300, 1000), (2048, 2048)])
def test_a_sign_is_found_in_pictures_of_any_size(judge: MarkJudge, size: tuple[int, int]):
    whole = to_picture(marked(Random(7), 512))
    side = max(size)
    shown = whole.resize((side, side))
    canvas = Image.new("RGB", size, "gray")
    canvas.paste(whole.resize((min(size), min(size))), (0, 0))

    assert judge(canvas) == FORBIDDEN
    assert judge(shown) == FORBIDDEN


@pytest.mark.parametrize(
    "look", [Look(slant=-45.0), Look(bands=1), Look(light=(250, 250, 250), dark=(230, 42, 42), rim=(230, 42, 42))], ids=str
)
def test_what_only_resembles_the_sign_passes(judge: MarkJudge, look: Look):
    rng = Random(3)
    scenes = [to_picture(stamp(render(sample_scene(rng)), 0.5, 0.5, 0.25, look=look)) for _ in range(30)]
    assert sum(judge(scene) is not None for scene in scenes) <= 1


def test_textures_pass(judge: MarkJudge):
    rng = Random(4)
    assert sum(judge(to_picture(sample_texture(rng, 160))) is not None for _ in range(60)) <= 1


def test_a_picture_is_seen_in_all_sizes_up_to_its_own():
    assert [tuple(pixels.shape[2:]) for pixels in sizes(Image.new("RGB", (128, 128)))] == [
        (128, 128), (91, 91), (64, 64), (45, 45), (32, 32)
    ]  # fmt: skip
    assert [tuple(pixels.shape[2:]) for pixels in sizes(Image.new("L", (20, 40)))] == [(64, 32)]
    assert [tuple(pixels.shape[2:]) for pixels in sizes(Image.new("RGBA", (1024, 512)))] == [
        (256, 512), (181, 362), (128, 256), (91, 182), (64, 128), (45, 90), (32, 64)
    ]  # fmt: skip


def test_numbers_that_are_not_finite_judge_nothing():
    broken = MarkDetector()
    broken.head.bias.data.fill_(float("nan"))
    with pytest.raises(NotJudged):
        MarkJudge(broken)(Image.new("RGB", (64, 64)))


def damaged(folder: Path, name: str) -> Folder:
    """A family's folder whose detector cannot judge, in one of three ways."""
    write_detector(folder)
    file = folder / FOLDER / FILE
    if name == "finds all":
        config = json.loads((folder / FOLDER / "config.json").read_text())
        (folder / FOLDER / "config.json").write_text(json.dumps(config | {"threshold": -1e9}))
    else:
        tensors = load_file(file)
        tensors["head.weight"].fill_({"untrained": 0.0, "broken": float("nan")}[name])
        save_file(tensors, file)
    return Folder(catalog.family(NANO), folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [("finds all", "blank picture"), ("untrained", "call every picture safe"), ("broken", "call every picture safe")],
)
def test_a_detector_that_cannot_judge_does_not_load(name: str, said: str, tmp_path: Path):
    with pytest.raises(WeightsError, match=said):
        load(damaged(tmp_path, name), CPU)

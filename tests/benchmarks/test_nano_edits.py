"""The table of edits counts rendered truth as right, and everything else as wrong, in the place where it is wrong."""

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image

from benchmarks.nano_edits import GROUPS, Case, Settings, cases_of, main, picture_of
from engine import catalog
from engine.requests import KeepOutline, Mix
from training.base import load_base, load_texts
from training.blends import told
from training.edge_detector import PRESETS as DETECTORS
from training.edge_detector import EdgeDetectorRecipe
from training.image_encoder import PRESETS as ENCODERS
from training.image_encoder import ImageEncoderRecipe
from training.judge import to_floats
from training.outline import PRESETS as OUTLINES
from training.outline import OutlineRecipe
from training.picture_prompts import PRESETS as PROMPTS
from training.picture_prompts import PicturePromptRecipe
from training.scenes import Scene, held_out, sample_scene

NANO, CPU = "kandinsky-nano", torch.device("cpu")


def cases(name: str, count: int = 6) -> list[Case]:
    return list(cases_of(GROUPS[name], count, Settings()))


def marks(case: Case, picture: Image.Image) -> dict[str, bool | float]:
    return case.marks(to_floats(picture))


@pytest.mark.long
@pytest.mark.parametrize("name", GROUPS)
def test_cases_are_the_same_again_and_every_bar_is_of_something_measured(name: str) -> None:
    once, again = cases(name), cases(name)
    assert [case.request for case in once] == [case.request for case in again]
    assert len({case.title + str(case.pictures["a"].tobytes()) for case in once}) == 6
    assert all(set(GROUPS[name].bars) <= set(marks(case, case.pictures["a"])) for case in once)
    assert all(set(case.request.sources) == set(case.pictures) for case in once)


def test_a_variation_keeps_the_things_and_no_pixels() -> None:
    for index, case in enumerate(cases("variation")):
        shown = sample_scene(Random(40_000 + index), objects=1, unseen=True)
        moved = replace(shown, pieces=(replace(shown.pieces[0], x=1 - shown.pieces[0].x * 0.9, y=shown.pieces[0].y),))
        whole = "colour and object kept, pixels differ"
        assert picture_of(shown).tobytes() == case.pictures["a"].tobytes()
        assert marks(case, picture_of(moved))[whole] is True
        assert marks(case, case.pictures["a"])["differs in pixels"] is False
        assert marks(case, case.pictures["a"])[whole] is False


def test_a_mix_shows_both_or_the_stronger() -> None:
    for even, uneven in zip(cases("mix-even"), cases("mix-uneven"), strict=True):
        for name in ("a", "b"):
            assert marks(even, even.pictures[name])["something of both"] is False
            assert marks(uneven, uneven.pictures[name])["background, colour and object of the stronger"] is (name == "a")
        assert isinstance(even.request, Mix)
        assert even.pictures["a"].tobytes() == uneven.pictures["a"].tobytes()


def test_words_beside_a_picture_count_and_so_does_the_rest_of_it() -> None:
    for index, case in enumerate(cases("picture-and-prompt")):
        lesson = told(Random(40_000 + index), unseen=True)
        piece = lesson.target.pieces[0]
        assert held_out(lesson.target.background, piece.colour, piece.shape)
        assert marks(case, picture_of(lesson.target))["all"] is True
        assert marks(case, case.pictures["a"])["object of the words"] is False
        assert lesson.target != lesson.shown[0][0]


@pytest.mark.long
def test_an_outline_is_judged_by_shape_and_colour() -> None:
    hints = set()
    for index, case in enumerate(cases("outline")):
        scene = sample_scene(Random(40_000 + index), objects=1, unseen=True)
        assert isinstance(case.request, KeepOutline)
        hints.add(case.request.hint)
        found = marks(case, picture_of(scene))
        assert found["IoU"] > 0.95
        assert found["colour of the words"] is False
        far = Scene(scene.background, (replace(scene.pieces[0], x=1 - scene.pieces[0].x, y=0.25 + 0.5 * scene.pieces[0].y),))
        assert marks(case, picture_of(far))["IoU"] < 1.0
    assert hints == {"hed", "canny", "sketch"}


@pytest.mark.long
def test_the_look_is_that_of_the_other_picture() -> None:
    for index, case in enumerate(cases("outline-look")):
        rng = Random(40_000 + index)
        scene = sample_scene(rng, objects=1, unseen=True)
        found = marks(case, case.pictures["b"])
        assert found["colour and background of the look"] is True
        assert marks(case, picture_of(scene))["colour of the look"] is False
        assert marks(case, picture_of(scene))["IoU"] > 0.95


@pytest.mark.long
def test_every_group_is_drawn_by_the_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    folder = Path(shutil.copytree(catalog.weights_folder(NANO), tmp_path / "family"))
    images = ImageEncoderRecipe(load_texts(NANO, None, CPU), ENCODERS["nano"])
    edges, base = EdgeDetectorRecipe(DETECTORS["nano"]), load_base(NANO, None, CPU)
    outline = OutlineRecipe(base, edges.detector, OUTLINES["nano"])
    for recipe in (images, edges, outline, PicturePromptRecipe(base, images.encoder, PROMPTS["nano"])):
        recipe.write(folder, 0)
    main(["--n", "1", "--steps", "2", "--weights", str(folder), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert all(f"{name} (1 pictures" in printed for name in GROUPS)
    assert printed.count("bar ") == len(GROUPS)
    assert {path.stem for path in (tmp_path / "out").iterdir()} == set(GROUPS)

"""Every mode from the shell, on tiny weights of the real classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.cli import main
from bot.cli_engine import MODES
from engine import catalog
from engine.pipelines.registry import PIPELINES
from engine.requests import kinds
from tests.engine.conftest import use_small_sizes, write_every_mode

BIG = ("--family", "kandinsky-3.1")
COMMANDS = {  # the mode and the size of its picture
    "draw": (["draw", "a big red circle", "--family", "kandinsky-3.1"], (128, 128)),
    "draw with care": (
        ["draw", "a circle", "--family", "kandinsky-3.1", "--base", "--steps", "2", "--size", "192x128"],
        (192, 128),
    ),
    "panorama": (["draw", "a circle", "--family", "kandinsky-3.1", "--size", "512x128"], (512, 128)),
    "img2img": (["img2img", "a.png", "a circle", *BIG, "--steps", "4", "--strength", "0.5"], (150, 100)),
    "refine": (["refine", "a.png", "a circle", "--timesteps", "229"], (150, 100)),
    "vary": (["vary", "a.png", "--steps", "2"], (128, 128)),
    "mix": (["mix", "a.png", "m.png", "a circle", "--weights", "1,0.5", "--steps", "2"], (128, 128)),
    "inpaint": (["inpaint", "a.png", "m.png", "a circle", *BIG, "--steps", "2", "--dilation", "2", "--feather", "3"], (150, 100)),
    "outpaint": (["outpaint", "a.png", *BIG, "--left", "30", "--zoom", "1.5", "--steps", "2"], (255, 150)),
    "outline": (["outline", "a.png", "a circle", *BIG, "--hint", "canny", "--steps", "2"], (150, 100)),
    "regions": (["regions", "m.png", "a circle", "--steps", "2"], (128, 128)),
    "upscale": (["upscale", "a.png", *BIG, "--scale", "2"], (300, 200)),
    "beautify": (["beautify", "a circle", "--family", "kandinsky-3.1"], None),
    "translate": (["translate", "круг", "--family", "kandinsky-3.1"], None),
}
DRAWS = {each.kind for each in PIPELINES}
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_every_mode(folder / "kandinsky-3.1")
    return folder


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command in a folder with a picture and a mask; return its code and what it says."""
    Image.effect_noise((150, 100), 90).convert("RGB").save(tmp_path / "a.png")
    mask = Image.new("L", (150, 100))
    mask.paste(255, (20, 20, 90, 70))
    mask.save(tmp_path / "m.png")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        return (code, *capsys.readouterr())

    return run


def test_every_mode_has_a_command_and_every_command_is_tried():
    assert {kind for kind, _, _ in MODES.values()} == {each.kind for each in kinds() if each.__module__ == "engine.requests"}
    assert {arguments[0] for arguments, _ in COMMANDS.values()} == set(MODES)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("draw", "inpaint", "mix", "translate", "upscale") else pytest.mark.long)
        for name, (arguments, _) in COMMANDS.items()
        if MODES[arguments[0]][0] in DRAWS
    ],
)
def test_a_mode_runs_from_the_shell(name: str, shell: Shell, monkeypatch: pytest.MonkeyPatch, weights: Path):
    arguments, size = COMMANDS[name]
    use_small_sizes(monkeypatch, weights)

    code, said, complaint = shell(*arguments, *(("-o", "out/b.png") if size else ()), "--seed", "4")

    assert code == 0, complaint
    if size:
        assert Image.open("out/b.png").size == size
        assert f"{size[0]}x{size[1]}  seed 4" in said


def test_nano_writes_for_who_names_no_family(shell: Shell):
    assert shell("translate", "красный круг") == (0, "a red circle\n", "")
    code, said, _ = shell("beautify", "red circle")
    assert code == 0
    assert "red circle" in said
    assert " on a" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_without_weights_a_mode_says_in_one_line_what_to_do(
    name: str, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(catalog, "FETCHED_WEIGHTS", tmp_path)
    arguments = [part for part in COMMANDS[name][0] if "x128" not in part and part != "--size"]

    code, said, complaint = shell(*arguments)

    assert (code, said, len(complaint.splitlines())) == (2, "", 1)
    assert "weights of kandinsky-3.1 is missing; fetch them with" in complaint


def test_what_inpainting_leaves_alone_is_the_same_in_the_file(shell: Shell, monkeypatch: pytest.MonkeyPatch, weights: Path):
    use_small_sizes(monkeypatch, weights)

    assert shell("inpaint", "a.png", "m.png", "a circle", *BIG, "--steps", "2")[0] == 0

    before, after, mask = (np.asarray(Image.open(name)) for name in ("a.png", "kandinsky.png", "m.png"))
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert not np.array_equal(before, after)


MENDABLE = {
    "no such picture": (["vary", "none.png"], "none.png cannot be read"),
    "a folder": (["vary", "."], "cannot be read"),
    "no picture": (["upscale", "words.txt"], "words.txt: This file is no picture"),
    "scale": (["upscale", "a.png", "--scale", "3"], "choose one of: 2, 4"),
    "strength": (["img2img", "a.png", "a", "--strength", "2"], "between 0.0 and 1.0"),
    "steps": (["inpaint", "a.png", "m.png", "a", "--steps", "1000"], "between 1 and 100"),
    "weight": (["mix", "a.png", "m.png", "--weights", "1,0"], "between 0.01 and 2.0"),
    "no number": (["mix", "a.png", "m.png", "--weights", "1,nan"], "please give a number"),
    "five pictures": (["mix", *["a.png"] * 5], "between 1 and 4"),
    "a missing picture of several": (["mix", "a.png", "b.png"], "b.png cannot be read"),
    "weights and pictures": (["mix", "a.png", "m.png", "a circle", "--weights", "1"], "1 weights for 2 pictures"),
    "size": (["vary", "a.png", "--size", "1x8192"], "does not draw 1x8192"),
    "nothing to add": (["outpaint", "a.png"], "grows on no side"),
    "small world": (["refine", "a.png", "a circle", "--family", "kandinsky-nano"], "does not serve refine"),
    "empty prompt": (["inpaint", "a.png", "m.png", " "], "prompt is empty"),
}


@pytest.mark.parametrize("name", MENDABLE)
def test_a_bad_value_is_one_line(name: str, shell: Shell):
    arguments, named = MENDABLE[name]
    Path("words.txt").write_text("no picture")

    code, _, complaint = shell(*arguments)

    assert (code, len(complaint.splitlines())) == (2, 1)
    assert named in complaint


@pytest.mark.long
def test_a_panorama_of_4096_by_1024_has_that_size(shell: Shell, monkeypatch: pytest.MonkeyPatch, weights: Path):
    monkeypatch.setattr(catalog, "FETCHED_WEIGHTS", weights)

    code, _, complaint = shell("draw", "a circle", "--family", "kandinsky-3.1", "--size", "4096x1024")

    assert code == 0, complaint
    assert Image.open("kandinsky.png").size == (4096, 1024)

"""`redraw` says "identical", or what differs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.cli import main
from bot.presentation import as_file, as_photo, as_sheet
from engine import catalog, recipe
from engine.engine import load
from engine.recipe import encode, is_marked, recipe_of

NANO = "kandinsky-nano"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of one request, as a worker stores them."""
    folder = tmp_path_factory.mktemp("drawn")
    engine = load(NANO, ["flash"])
    request = catalog.text_to_image(NANO, "a red circle", 5, num_images_per_prompt=2)
    (outcome,) = engine.run([request])
    for index, (image, seed) in enumerate(zip(outcome.images, outcome.seeds, strict=True)):
        (folder / f"{index}.png").write_bytes(
            encode(image, recipe_of(request, index, seed, engine.revision, "cpu"), compress_level=1)
        )
    return folder


def redrawn(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["redraw", *arguments])
    said = capsys.readouterr()
    assert len((said.out + said.err).splitlines()) == 1
    return code, said.out + said.err


@pytest.mark.parametrize("index", [0, 1])
def test_a_stored_picture_is_identical(drawn: Path, index: int, capsys: pytest.CaptureFixture[str]):
    assert redrawn(capsys, str(drawn / f"{index}.png")) == (0, f"{drawn / f'{index}.png'}: identical\n")


def test_the_file_that_a_chat_sends_is_identical(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "chat.png").write_bytes(as_file((drawn / "1.png").read_bytes()))
    assert Image.open(tmp_path / "chat.png").size == (512, 512)
    assert redrawn(capsys, str(tmp_path / "chat.png"))[0] == 0


@pytest.mark.long
def test_the_shells_own_file_is_identical_and_jpeg_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("a.png", "a.jpg"):
        assert main(["draw", "a blue star", "--seed", "3", "-o", str(tmp_path / name)]) == 0
        assert is_marked((tmp_path / name).read_bytes())
    capsys.readouterr()

    assert redrawn(capsys, str(tmp_path / "a.png"), "-o", str(tmp_path / "again.png"))[0] == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    code, said = redrawn(capsys, str(tmp_path / "a.jpg"))
    assert code == 1
    assert "JPEG, which keeps no exact pixels" in said


def test_a_changed_picture_says_how_much(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    stored = recipe.read(drawn / "0.png")
    pixels = np.asarray(Image.open(drawn / "0.png")).copy()
    pixels[:64, :64] ^= 1
    (tmp_path / "a.png").write_bytes(encode(Image.fromarray(pixels), stored))

    code, said = redrawn(capsys, str(tmp_path / "a.png"))

    assert code == 1
    assert "25.0% of the pixels differ, by at most 1 of 255" in said
    assert "the file was changed" in said


def test_other_weights_are_named(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from dataclasses import replace

    stored = replace(recipe.read(drawn / "0.png"), revision="feedfeedfeedfeed", device="cuda")
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (128, 128)), stored))

    code, said = redrawn(capsys, str(tmp_path / "a.png"))

    assert code == 1
    assert "weights feedfeedfeedfeed" in said
    assert "drawn on cuda, this is cpu" in said


def test_what_cannot_be_redrawn_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("hello")
    for name, expected in (("plain.png", "has no recipe"), ("text.png", "no whole PNG"), ("none.png", "cannot be read")):
        code, said = redrawn(capsys, str(tmp_path / name))
        assert code == 2
        assert expected in said


def test_opting_out_leaves_the_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["draw", "a red circle", "--no-recipe", "-o", str(tmp_path / "a.png")]) == 0
    assert is_marked((tmp_path / "a.png").read_bytes())
    capsys.readouterr()
    assert "its recipe was left out" in redrawn(capsys, str(tmp_path / "a.png"))[1]


def test_everything_that_a_chat_gets_is_marked(drawn: Path):
    data = [(drawn / f"{index}.png").read_bytes() for index in (0, 1)]
    for sent in (as_photo(data[0]), as_file(data[0]), as_sheet(data), as_sheet(data, lossless=True)):
        assert is_marked(sent)
    assert b"a red circle" not in as_photo(data[0])  # a photo goes on to others; the file is asked for
    assert b"a red circle" in as_file(data[0])

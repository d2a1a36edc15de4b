"""The command line: what can be mended is one line and exit code 2; the demo plays steps."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bot.cli import main
from bot.demo import _lock

MENDABLE = {
    "unknown word": (["draw", "a waterfall"], {}, "waterfall"),
    "size": (["draw", "a red circle", "--size", "5x5"], {}, "5x5"),
    "size in words": (["draw", "a red circle", "--size", "big"], {}, "1024x1024"),
    "seed": (["draw", "a red circle", "--seed", "-4"], {}, "-4"),
    "empty": (["draw", " "], {}, "empty"),
    "family": (["draw", "a red circle", "--family", "kandinsky-9"], {}, "kandinsky-nano"),
    "no token": (["up"], {}, "TELEGRAM_TOKEN"),
    "malformed token": (["run"], {"TELEGRAM_TOKEN": "abc"}, "TELEGRAM_TOKEN"),
    "no schema": (["run"], {"TELEGRAM_TOKEN": "123456:abc"}, "kandinsky-bot migrate"),
    "worker without schema": (["worker"], {}, "kandinsky-bot migrate"),
    "worker without weights": (["worker", "--family", "kandinsky-3.1"], {}, "weights of kandinsky-3.1"),
    "unknown lane": (["worker", "--lanes", "dream"], {}, "--lanes"),
    "database": (["migrate"], {"DATABASE_URL": "nonsense"}, "DATABASE_URL"),
    "port": (["demo", "--port", "99999"], {}, "--port"),
    "negative port": (["demo", "--port", "-1"], {}, "--port"),
    "demo folder": (["demo", "--data", "/proc/nowhere"], {}, "--data"),
    "photo": (["demo", "--photo", "/no/such/file.jpg"], {}, "--photo"),
}


@pytest.mark.parametrize("name", MENDABLE)
def test_what_can_be_mended_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, environment, named = MENDABLE[name]
    for variable in ("TELEGRAM_TOKEN", "TELEGRAM_API", "DATABASE_URL", "BROKER_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert named in said


def test_a_second_demo_in_the_same_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _lock(tmp_path):
        assert main(["demo", "--data", str(tmp_path), "--say", "a red circle"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert f"Another demo runs in {tmp_path}." in said
    _lock(tmp_path).close()  # the lock went with its holder


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["draw", "a red circle", "-o", str(tmp_path / "file" / "a.png")]) == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.long
def test_draw_writes_the_same_bytes_in_two_processes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        command = [
            sys.executable,
            "-m",
            "bot.cli",
            "draw",
            "синий квадрат на белом фоне",
            "--seed",
            "5",
            "-o",
            str(tmp_path / name),
        ]
        subprocess.run(command, check=True)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.timeout(200)
def test_the_demo_plays_steps_in_order_and_saves_every_picture(tmp_path: Path) -> None:
    out = tmp_path / "out"
    steps = ["--say", "a big red circle on a blue background", "--press", "2", "--press", "as a FILE", "--say", "водопад"]
    command = [sys.executable, "-m", "bot.cli", "demo", "--data", str(tmp_path / "data"), "--out", str(out), *steps]
    plainly = {**os.environ, "DRAW_BEAUTIFY": "never"}  # whose first text takes seconds to begin
    done = subprocess.run(command, capture_output=True, text=True, env=plainly)
    assert done.returncode == 0, done.stdout + done.stderr
    sizes = [Image.open(io.BytesIO((out / name).read_bytes())).size for name in ("01.jpg", "02.jpg", "03.png")]
    assert sizes == [(1032, 1032), (512, 512), (512, 512)]
    assert "водопад" in (out / "transcript.txt").read_text(encoding="utf-8").splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(200)
def test_the_demo_says_so_when_an_answer_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot import demo

    monkeypatch.setattr(demo, "_ANSWER_S", 1.0)
    out = tmp_path / "out"
    assert main(["demo", "--data", str(tmp_path / "data"), "--out", str(out), "--press", "No such button"]) == 1
    assert (out / "transcript.txt").exists()

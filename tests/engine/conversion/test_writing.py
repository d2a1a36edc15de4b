"""What a conversion holds in memory is a shard, whatever the checkpoint weighs."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bot.cli import main
from engine import lock
from tests.engine.conversion import official

_MEASURE = """
import resource, sys
from pathlib import Path
from engine.conversion.checkpoint import Checkpoint
from engine.conversion.writing import Network, Writer
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
checkpoint = Checkpoint(Path(sys.argv[1]))
names = {name: name for name in checkpoint.shapes}
Writer(Path(sys.argv[2]), shard=50_000_000).network("big", checkpoint, Network(names, checkpoint.shapes, {}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.long
def test_a_large_checkpoint_takes_the_memory_of_a_shard(tmp_path: Path):
    torch.save({f"layer.{index}": torch.full((1_000_000,), float(index)) for index in range(120)}, tmp_path / "big.pt")

    command = [sys.executable, "-c", _MEASURE, str(tmp_path / "big.pt"), str(tmp_path)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1024

    assert (tmp_path / "big.pt").stat().st_size > 480_000_000
    assert grown < 150_000_000  # one shard mapped, and what torch needs
    assert len(list((tmp_path / "big").glob("*.safetensors"))) == 10


def test_the_command_says_what_it_made_and_renews_the_lock(tmp_path: Path, capsys):
    network = official.UNet()
    torch.save({"unet": network.state_dict(), "null_embedding": torch.zeros(official.CONTEXT)}, tmp_path / "kandinsky3_flash.pt")
    family = tmp_path / "family"
    family.mkdir()
    lock.Lock("kandinsky-3.1").write(family)

    assert main(["weights", "convert", str(tmp_path / "kandinsky3_flash.pt"), str(family), "--dtype", "bfloat16"]) == 0

    said = capsys.readouterr().out
    assert "unet-flash" in said
    assert str(family / "unet_flash") in said
    held = lock.read(family, "kandinsky-3.1").files
    assert set(held) >= {"unet_flash/config.json", "conditioning_flash.safetensors"}
    assert main(["weights", "verify", "kandinsky-3.1", "--folder", str(family)]) == 0


def test_what_cannot_be_converted_is_one_line(tmp_path: Path, capsys):
    (tmp_path / "page.pt").write_text("<html>")
    for source, expected in (("page.pt", "no checkpoint"), ("none.pt", "is not there")):
        assert main(["weights", "convert", str(tmp_path / source), str(tmp_path / "family")]) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1
        assert expected in said


def test_the_list_names_sizes_and_licences(capsys):
    assert main(["weights", "list"]) == 0
    said = capsys.readouterr().out
    for expected in (
        "kandinsky-3.1: ",
        "12.2 GB",
        "Apache-2.0",
        "none stated on its page",
        "bring your weights",
        "kandinsky-nano: here",
    ):
        assert expected in said

"""Files that are no checkpoints of ours: one sentence with the file and the next step, and nothing in them runs."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.conversion.checkpoint import Checkpoint
from engine.conversion.kinds import convert
from engine.errors import WeightsError
from tests.engine.conversion import official


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def complaint(source: Path, folder: Path, kind: str | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        convert(source, folder, kind)
    said = str(caught.value)
    assert str(source) in said
    assert len(said.splitlines()) == 1
    assert not [path for path in folder.rglob("*") if path.is_file()]
    return said


def unet() -> dict[str, Any]:
    return {"unet": official.UNet().state_dict(), "null_embedding": torch.zeros(official.CONTEXT)}


def code_carrying(path: Path, mark: Path, style: str) -> None:
    content = {"unet": {"in_layer.weight": torch.zeros(1)}, "null_embedding": Evil(mark)}
    if style == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=style == "zip")


@pytest.mark.parametrize("style", ["zip", "old", "plain pickle"])
def test_code_in_a_checkpoint_is_named_and_does_not_run(tmp_path: Path, style: str):
    mark = tmp_path / "ran"
    code_carrying(tmp_path / "kandinsky3.pt", mark, style)

    said = complaint(tmp_path / "kandinsky3.pt", tmp_path / "family")

    assert "could be code" in said
    assert not mark.exists()


def damaged(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Bad files, each with what is said of it."""
    whole = tmp_path / "whole.pt"
    torch.save(unet(), whole)
    data = whole.read_bytes()
    cases: dict[str, tuple[bytes, str, str]] = {
        "cut short": (data[: len(data) // 2], "kandinsky3.pt", "damaged"),
        "only a beginning": (data[:60], "kandinsky3.pt", "damaged"),
        "empty": (b"", "kandinsky3.pt", "no checkpoint"),
        "a web page": (b"<!DOCTYPE html><html>", "kandinsky3.pt", "no checkpoint"),
        "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "kandinsky3.pt", "git lfs pull"),
        "huge header": (struct.pack("<Q", 2**62) + b'{"a":1}', "a.safetensors", "damaged"),
        "header is no JSON": (struct.pack("<Q", 8) + b"{{{{{{{{", "a.safetensors", "damaged"),
        "tensor beyond the end": (safetensors(("a", [4], 0, 16), size=4), "a.safetensors", "damaged"),
        "overlapping tensors": (safetensors(("a", [2], 0, 8), ("b", [2], 4, 12), size=12), "a.safetensors", "damaged"),
        "shape of another size": (safetensors(("a", [2**40], 0, 8), size=8), "a.safetensors", "damaged"),
    }
    places = {}
    for number, (name, (content, file, said)) in enumerate(cases.items()):
        place = tmp_path / str(number) / file
        place.parent.mkdir()
        place.write_bytes(content)
        places[name] = place, said
    return places


def safetensors(*tensors: tuple[str, list[int], int, int], size: int) -> bytes:
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [start, end]} for name, shape, start, end in tensors}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def test_damaged_files_are_named_with_the_next_step(tmp_path: Path):
    for place, expected in damaged(tmp_path).values():
        assert expected in complaint(place, tmp_path / "family")


def test_an_index_that_points_elsewhere_is_not_followed(tmp_path: Path):
    folder = tmp_path / "text_encoder"
    folder.mkdir()
    save_file({"a": torch.zeros(1)}, folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))

    with pytest.raises(WeightsError, match="not beside it"):
        Checkpoint(folder)


def test_a_missing_shard_is_named(tmp_path: Path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model-00001-of-00002.safetensors")
    weight_map = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    with pytest.raises(WeightsError, match=r"model-00002-of-00002\.safetensors is missing"):
        Checkpoint(tmp_path)


@pytest.mark.parametrize(
    "wrong", ["another network", "a tensor less", "a tensor more", "another shape", "wrong kind", "strange widths"]
)
def test_what_does_not_fit_is_named(tmp_path: Path, wrong: str):
    content, kind, expected = unet(), None, "that do not fit"
    if wrong == "another network":
        content, expected = {"conv.weight": torch.zeros(3), "conv.bias": torch.zeros(3)}, "no checkpoint of Kandinsky"
    elif wrong == "a tensor less":
        del content["unet"]["down_samples.1.self_attention_block.attention.to_key.weight"]
        expected = "down_blocks.1.attentions.0.attention.to_k.weight is missing"
    elif wrong == "a tensor more":
        content["unet"]["extra.weight"] = torch.zeros(1)
    elif wrong == "another shape":
        content["unet"]["up_samples.0.resnet_attn_blocks.0.1.attention.to_value.weight"] = torch.zeros(1, 2)
    elif wrong == "wrong kind":
        kind, expected = "movq", "does not look like movq"
    else:
        content["unet"]["to_time_embed.1.weight"] = torch.zeros(65, 32)
        expected = "no multiple of 64"
    torch.save(content, tmp_path / "kandinsky3.pt")

    assert expected in complaint(tmp_path / "kandinsky3.pt", tmp_path / "family", kind)


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path):
    torch.save(unet(), tmp_path / "kandinsky3.pt")
    with pytest.raises(WeightsError, match="unet-flash"):
        convert(tmp_path / "kandinsky3.pt", tmp_path / "family", "flux")


def test_a_path_that_is_not_there_is_named(tmp_path: Path):
    complaint(tmp_path / "none.pt", tmp_path / "family")


@pytest.mark.long
def test_a_conversion_that_fails_leaves_what_was_there(tmp_path: Path):
    torch.save(unet(), tmp_path / "kandinsky3.pt")
    convert(tmp_path / "kandinsky3.pt", tmp_path / "family")
    before = {path: path.read_bytes() for path in (tmp_path / "family").rglob("*.safetensors")}

    broken = unet()
    del broken["unet"]["in_layer.bias"]
    torch.save(broken, tmp_path / "kandinsky3.pt")
    with pytest.raises(WeightsError):
        convert(tmp_path / "kandinsky3.pt", tmp_path / "family")

    assert {path: path.read_bytes() for path in (tmp_path / "family").rglob("*.safetensors")} == before


def test_an_archive_of_other_things_is_no_checkpoint(tmp_path: Path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    (tmp_path / "kandinsky3.pt").write_bytes(buffer.getvalue())
    assert "damaged" in complaint(tmp_path / "kandinsky3.pt", tmp_path / "family")


def test_names_in_nested_mappings_are_joined(tmp_path: Path):
    torch.save(OrderedDict(a=OrderedDict(b=torch.ones(2), step=3)), tmp_path / "a.pt")
    checkpoint = Checkpoint(tmp_path / "a.pt")
    assert checkpoint.shapes == {"a.b": torch.Size([2])}
    assert torch.equal(checkpoint.read(["a.b"])["a.b"], torch.ones(2))

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import catalog
from engine.engine import Engine, load
from engine.errors import WeightsError
from engine.weights import Folder

FAMILY = "kandinsky-nano"
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tiny_family: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_family, tmp_path / FAMILY))


def complaint(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load(FAMILY, ["flash"], weights=folder)
    assert catalog.family(FAMILY).mend in str(caught.value)
    return str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path):
    assert str(tmp_path / "none") in complaint(tmp_path / "none")


@pytest.mark.parametrize(
    "name",
    [
        "unet/config.json",
        UNET,
        "movq/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "conditioning.safetensors",
    ],
)
@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_a_missing_or_damaged_file_is_named(folder: Path, name: str, damage: str):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut short":
        path.write_bytes(content[: len(content) // 2])

    told = complaint(folder)

    assert str(path) in told or str(path.parent) in told


def test_tensors_of_another_shape_are_named(folder: Path):
    tensors = load_file(folder / UNET)
    tensors["conv_in.weight"] = torch.zeros(8, 9, 3, 3)
    del tensors["conv_out.bias"]
    save_file(tensors, folder / UNET)

    told = complaint(folder)

    assert "conv_in.weight is (8, 9, 3, 3) instead of (8, 4, 3, 3)" in told
    assert "conv_out.bias is missing" in told


def test_a_config_that_describes_no_network_is_named(folder: Path):
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"groups": 7}))

    assert str(path) in complaint(folder)


def test_a_projection_that_does_not_fit_is_named(folder: Path):
    tensors = load_file(folder / "conditioning.safetensors")
    save_file(tensors | {"null_embedding": torch.zeros(7)}, folder / "conditioning.safetensors")

    assert "null_embedding" in complaint(folder)


def test_half_precision_on_disk_is_full_precision_on_the_cpu(folder: Path):
    save_file({name: tensor.half() for name, tensor in load_file(folder / UNET).items()}, folder / UNET)

    networks = load(FAMILY, ["flash"], weights=folder).networks["flash"]

    assert {parameter.dtype for parameter in networks.unet.parameters()} == {torch.float32}


def test_lanes_share_the_tensors_they_have_in_common(engine: Engine):
    assert engine.networks["flash"].unet is engine.networks["base"].unet
    assert engine.networks["flash"].movq is engine.networks["base"].movq


def test_the_revision_changes_with_any_weight(folder: Path, engine: Engine):
    family = catalog.family(FAMILY)
    assert Folder(family, folder).revision() == engine.revision

    (folder / "README.md").write_text("no weight")
    for name in ("language_model", "safety_checker", "forbidden_mark"):  # they shape no picture
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "config.json").write_text("{}")
    assert Folder(family, folder).revision() == engine.revision

    tensors = load_file(folder / "conditioning.safetensors")
    tensors["null_embedding"][0] += 1
    save_file(tensors, folder / "conditioning.safetensors")
    assert Folder(family, folder).revision() != engine.revision

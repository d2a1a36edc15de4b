"""LoRAs of every published form change the UNet as the formula says, and leave it as it was."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine import catalog, lora
from engine.engine import load
from engine.errors import WeightsError
from engine.models.unet import Kandinsky3UNet
from tests.engine.conftest import tiny_unet
from tests.engine.conversion import official
from tests.engine.models.oracles import relative

RANK = 3
FAMILY = "kandinsky-nano"
CROSS, PLACES = "down_blocks.1.attentions.1.attention", "up_blocks.0.attentions.0.attention"
LAYERS = ("to_q", "to_k", "to_v", "to_out.0")


@pytest.fixture
def unet() -> Kandinsky3UNet:
    torch.manual_seed(0)
    return tiny_unet().eval()


def halves(unet: Kandinsky3UNet, seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """Random low-rank changes of two attentions and the pooling, by layer."""
    generator = torch.Generator().manual_seed(seed)
    changes = {}
    for layer in [f"{place}.{each}" for place in (CROSS, PLACES, "add_time_condition.attention") for each in LAYERS]:
        out, into = unet.get_parameter(f"{layer}.weight").shape
        changes[layer] = torch.randn(RANK, into, generator=generator) / 4, torch.randn(out, RANK, generator=generator) / 4
    return changes


def stored(form: str, changes: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """The changes as a trainer would write them."""
    tensors = {}
    for layer, (down, up) in changes.items():
        place, _, last = layer.partition(".attention.")
        short = last.removesuffix(".0")
        down_name, up_name = {
            "diffusers": (f"unet.{layer}.lora_A.weight", f"unet.{layer}.lora_B.weight"),
            "peft": (f"base_model.model.{layer}.lora_A.default.weight", f"base_model.model.{layer}.lora_B.default.weight"),
            "peft, saved": (f"base_model.model.{layer}.lora_A.weight", f"base_model.model.{layer}.lora_B.weight"),
            "old diffusers": (f"unet.{layer}.lora.down.weight", f"unet.{layer}.lora.up.weight"),
            "processors": tuple(f"{place}.attention.processor.{short}_lora.{side}.weight" for side in ("down", "up")),
        }[form]
        tensors |= {down_name: down.contiguous(), up_name: up.contiguous()}
    return tensors


def written(path: Path, tensors: dict[str, Tensor], **metadata: str) -> Path:
    save_file(tensors, path, metadata or None)
    return path


@pytest.mark.parametrize("form", ["diffusers", "peft", "peft, saved", "old diffusers", "processors"])
def test_every_form_adds_up_times_down(unet: Kandinsky3UNet, tmp_path: Path, form: str):
    changes = halves(unet)
    before = {name: each.clone() for name, each in unet.named_parameters()}

    merged = lora.Merged(unet, [lora.read(written(tmp_path / "a.safetensors", stored(form, changes)), 0.7)])

    for layer, (down, up) in changes.items():
        assert torch.allclose(unet.get_parameter(f"{layer}.weight"), before[f"{layer}.weight"] + 0.7 * up @ down, atol=1e-6)
    untouched = [name for name in before if name.removesuffix(".weight") not in changes]
    assert all(torch.equal(unet.get_parameter(name), before[name]) for name in untouched)
    merged.take_out()
    assert all(torch.equal(unet.get_parameter(name), before[name]) for name in before)


def test_the_forks_names_are_the_official_ones(tmp_path: Path):
    network = official.UNet()
    down, up = torch.randn(RANK, 64), torch.randn(64, RANK)
    place = "down_samples.1.resnet_attn_blocks.0.1.attention"
    tensors = {f"{place}.processor.to_query_lora.down.weight": down, f"{place}.processor.to_query_lora.up.weight": up}

    read = lora.read(written(tmp_path / "fork.safetensors", tensors))

    assert list(read.changes) == [f"{CROSS}.to_q"]
    assert network.down_samples[1].resnet_attn_blocks[0][1].attention.to_query.weight.shape == (64, 64)


def test_alpha_is_divided_by_the_rank(unet: Kandinsky3UNet, tmp_path: Path):
    changes = halves(unet)
    layer = f"{CROSS}.to_q"
    tensors = stored("diffusers", {layer: changes[layer]})
    delta = changes[layer][1] @ changes[layer][0]

    plain = lora.read(written(tmp_path / "a.safetensors", tensors)).changes[layer].delta()
    own = (
        lora.read(written(tmp_path / "b.safetensors", tensors | {f"unet.{layer}.alpha": torch.tensor(6.0)}))
        .changes[layer]
        .delta()
    )
    noted = lora.read(written(tmp_path / "c.safetensors", tensors, lora_adapter_metadata='{"unet.lora_alpha": 1}'))

    assert torch.allclose(plain, delta)
    assert torch.allclose(own, 2 * delta)
    assert torch.allclose(noted.changes[layer].delta(), delta / 3)


@pytest.mark.long
def test_several_at_once_are_their_sum_and_go_again(tiny_family: Path, tmp_path: Path):
    plain = load(FAMILY, ["base"], weights=tiny_family)
    unet = plain.networks["base"].unet
    files = [written(tmp_path / f"{seed}.safetensors", stored("diffusers", halves(unet, seed))) for seed in (1, 2)]
    request = catalog.text_to_image(FAMILY, "a red circle", 1, flash=False, num_inference_steps=2, num_images_per_prompt=1)
    before = plain.run([request])[0].images[0].tobytes()

    both = load(FAMILY, ["base"], weights=tiny_family, loras=(f"{files[0]}:0.5", f"{files[1]}:-1"))
    nothing = load(FAMILY, ["base"], weights=tiny_family, loras=(f"{files[0]}:0",))

    found, original = both.networks["base"].unet, unet.get_parameter(f"{CROSS}.to_v.weight")
    expected = original + 0.5 * delta(unet, 1) - delta(unet, 2)
    assert torch.allclose(found.get_parameter(f"{CROSS}.to_v.weight"), expected, atol=1e-6)
    assert both.run([request])[0].images[0].tobytes() != before
    assert nothing.run([request])[0].images[0].tobytes() == before
    assert len({plain.revision, both.revision, nothing.revision}) == 3


def delta(unet: Kandinsky3UNet, seed: int) -> Tensor:
    down, up = halves(unet, seed)[f"{CROSS}.to_v"]
    return up @ down


def test_a_prepared_request_hears_the_change(unet: Kandinsky3UNet, tmp_path: Path):
    unet.settle()  # the folded convolutions and packed norms hold no attention
    file = written(tmp_path / "a.safetensors", stored("diffusers", halves(unet)))
    sample, text, mask = torch.randn(1, 4, 16, 16), torch.randn(1, 5, 32), torch.ones(1, 5).bool()
    with torch.inference_mode():
        before = unet(sample, 500, text, mask).sample
    merged = lora.Merged(unet, [lora.read(file)])
    with torch.inference_mode():
        assert relative(unet(sample, 500, text, mask).sample, before) > 1e-3
    merged.take_out()
    with torch.inference_mode():
        assert torch.equal(unet(sample, 500, text, mask).sample, before)


BAD = {
    "another model": ({"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight": (4, 32)}, "one half"),
    "another model, whole": (
        {f"unet.mid_block.attentions.0.attn1.to_q.lora_{side}.weight": shape for side, shape in (("A", (4, 32)), ("B", (32, 4)))},
        "no attention of this UNet",
    ),
    "other sizes": (
        {f"unet.{CROSS}.to_q.lora_{side}.weight": shape for side, shape in (("A", (4, 768)), ("B", (768, 4)))},
        "instead of (32, 32)",
    ),
    "other ranks": (
        {f"unet.{CROSS}.to_q.lora_{side}.weight": shape for side, shape in (("A", (4, 32)), ("B", (32, 5)))},
        "do not fit",
    ),
    "a whole network": ({"conv_in.weight": (8, 4, 3, 3)}, "no low-rank change"),
    "a text encoder's": (
        {f"text_encoder.encoder.layer.0.q.lora_{side}.weight": shape for side, shape in (("A", (4, 32)), ("B", (32, 4)))},
        "no attention of this UNet",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_at_load_and_changes_nothing(tiny_family: Path, tmp_path: Path, name: str):
    shapes, expected = BAD[name]
    file = written(tmp_path / "bad.safetensors", {key: torch.ones(shape) for key, shape in shapes.items()})

    with pytest.raises(WeightsError) as caught:
        load(FAMILY, ["base"], weights=tiny_family, loras=(str(file),))

    said = str(caught.value)
    assert expected in said
    assert str(file) in said
    assert len(said.splitlines()) == 1


@pytest.mark.long
def test_a_lane_whose_unet_comes_later_refuses_it_at_load_too(small_family: str, every_mode_weights: Path, tmp_path: Path):
    shapes, _ = BAD["another model, whole"]
    file = written(tmp_path / "bad.safetensors", {key: torch.ones(shape) for key, shape in shapes.items()})

    with pytest.raises(WeightsError, match="no attention of this UNet"):
        load(small_family, ["edit"], weights=every_mode_weights / small_family, loras=(str(file),))


def test_numbers_that_are_not_finite_and_files_that_are_none_are_refused(unet: Kandinsky3UNet, tmp_path: Path):
    tensors = stored("diffusers", halves(unet))
    tensors[f"unet.{CROSS}.to_q.lora_A.weight"][0, 0] = torch.nan
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04junk")
    for path, expected in (
        (written(tmp_path / "nan.safetensors", tensors), "not finite"),
        (tmp_path / "pickle.safetensors", "no safetensors"),
        (tmp_path / "none.safetensors", "is not there"),
    ):
        with pytest.raises(WeightsError, match=expected):
            lora.read(path)


@pytest.mark.parametrize(("text", "weight"), [("a.safetensors", 1.0), ("a.safetensors:0.5", 0.5), ("a.safetensors:-1", -1.0)])
def test_a_weight_stands_behind_the_file(text: str, weight: float):
    assert lora.parse(text) == (Path("a.safetensors"), weight)


@pytest.mark.parametrize("text", ["a.safetensors:nan", "a.safetensors:inf", "a.safetensors:100"])
def test_a_weight_out_of_range_is_refused(text: str):
    with pytest.raises(WeightsError, match="from -4 to 4"):
        lora.parse(text)

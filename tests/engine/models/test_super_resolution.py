"""KandiSuperRes' UNet against a plain statement of the facts, which reads the checkpoint's names and knows no module of ours."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.super_resolution import SuperResolutionUNet
from tests.engine.models.oracles import relative

GROUPS = 8
RESNETS = (2, 3, 2, 3)
TINY = {
    "init_channels": 16,
    "model_channels": 16,
    "time_embed_dim": 32,
    "groups": GROUPS,
    "dim_mult": (1, 2, 2, 4),
    "num_resnet_blocks": RESNETS,
}
Weights = dict[str, Tensor]


def tiny() -> SuperResolutionUNet:
    torch.manual_seed(0)
    network = SuperResolutionUNet(**TINY)
    for name, parameter in network.named_parameters():  # norms start as ones and zeros: mixed up, they would not show
        if "norm" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return network.eval()


def conv(w: Weights, name: str, x: Tensor, **how: int) -> Tensor:
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **how)


def resampled(w: Weights, name: str, x: Tensor, resample: str | None) -> Tensor:
    if resample is None:
        return x
    weight, bias = (w[f"{name}.change_resolution.change_resolution.{part}"] for part in ("weight", "bias"))
    return (F.conv2d if resample == "down" else F.conv_transpose2d)(x, weight, bias, stride=2, padding=1)


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.group_norm(x, GROUPS, w[f"{name}.weight"], w[f"{name}.bias"])


def resnet(w: Weights, name: str, x: Tensor, time: Tensor, resample: str | None) -> Tensor:
    h = resampled(w, f"{name}.in_block", norm(w, f"{name}.in_block.group_norm", x), resample)
    h = conv(w, f"{name}.in_block.projection", h, padding=1)
    scale, shift = F.linear(F.silu(time), w[f"{name}.time_mlp.1.weight"], w[f"{name}.time_mlp.1.bias"])[..., None, None].chunk(
        2, 1
    )
    h = norm(w, f"{name}.out_block.group_norm", h) * (scale + 1) + shift
    h = conv(w, f"{name}.out_block.projection", F.silu(h), padding=1)
    x = resampled(w, name, x, resample)
    return h + (conv(w, f"{name}.res_block", x) if f"{name}.res_block.weight" in w else x)


def stated(w: Weights, sample: Tensor, times: Tensor, low_res: Tensor) -> Tensor:
    """The network as the facts tell it (engine-facts 1.4, 2.4)."""
    half = w["to_time_embed.1.weight"].shape[1] // 2
    angles = times[:, None].to(sample) * torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
    time = F.linear(torch.cat([angles.sin(), angles.cos()], 1), w["to_time_embed.1.weight"], w["to_time_embed.1.bias"])
    time = F.linear(F.silu(time), w["to_time_embed.3.weight"], w["to_time_embed.3.bias"])

    x = conv(w, "init_conv", torch.cat([sample, low_res], 1), padding=1)
    skips = []
    for level, count in enumerate(RESNETS):
        for index in range(count):
            name = f"down_samples.{level}.resnet_attn_blocks.{index}.0"
            x = resnet(w, name, x, time, "down" if index == 0 and level < 3 else None)
        skips.append(x)
    for level, count in enumerate(reversed(RESNETS)):
        if level > 0:
            x = torch.cat([x, skips[3 - level]], 1)
        for index in range(count):
            name = f"up_samples.{level}.resnet_attn_blocks.{index}.0"
            x = resnet(w, name, x, time, "up" if index == count - 1 and level > 0 else None)
    return conv(w, "out_conv", F.silu(norm(w, "norm", x)), padding=1)


def pictures(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, 3, height, width), torch.rand(batch, 3, height, width) * 2 - 1


def test_full_size_has_the_official_number_of_parameters_and_names():
    with torch.device("meta"):
        network = SuperResolutionUNet()

    tensors = network.state_dict()
    assert sum(parameter.numel() for parameter in network.parameters()) == 413_205_251
    assert len(tensors) == 496
    assert tensors["init_conv.weight"].shape == (128, 6, 3, 3)
    assert tensors["out_conv.weight"].shape == (3, 128, 3, 3)
    resampling = [name for name in tensors if name.endswith("change_resolution.change_resolution.weight")]
    assert len(resampling) == 2 * (3 + 3)  # with weights of its own on the shortcut
    shortcuts = [name.split(".")[0] for name in tensors if name.endswith("res_block.weight")]
    assert (shortcuts.count("down_samples"), shortcuts.count("up_samples")) == (4, 7)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 64), (3, 24, 40), (2, 8, 8)])
def test_it_is_the_network_of_the_facts(batch: int, height: int, width: int):
    network = tiny()
    sample, low_res = pictures(batch, height, width)
    expected = stated(network.state_dict(), sample, torch.full((batch,), 799), low_res)

    with torch.inference_mode():
        assert relative(network(sample, 799, low_res), expected) < 1e-5
        network.settle()
        assert relative(network(sample, 799, low_res), expected) < 1e-5
    assert relative(network(sample, 799, low_res), expected) < 1e-5  # with gradients nothing is overwritten or folded


@torch.inference_mode()
def test_what_is_folded_moves_with_the_weights_and_goes_when_others_are_loaded():
    network, sample, low_res = tiny(), *pictures(1, 16, 16)
    network.settle()
    names = set(network.state_dict())

    settled = network(sample, 799, low_res)
    assert relative(copy.deepcopy(network)(sample, 799, low_res), settled) == 0
    assert relative(copy.deepcopy(network).double()(sample.double(), 799, low_res.double()), settled.double()) < 1e-5

    other = {name: tensor * 1.1 for name, tensor in network.state_dict().items()}
    network.load_state_dict(other)
    changed = stated(other, sample, torch.tensor([799]), low_res)
    assert set(network.state_dict()) == names == set(other)
    assert relative(network(sample, 799, low_res), changed) < 1e-5
    network.settle()
    assert relative(network(sample, 799, low_res), changed) < 1e-5


def test_each_picture_may_have_a_time_of_its_own():
    network = tiny()
    sample, low_res = pictures(3, 16, 16)
    times = torch.tensor([999, 400, 3])

    with torch.inference_mode():
        assert relative(network(sample, times, low_res), stated(network.state_dict(), sample, times, low_res)) < 1e-5


def test_gradients_are_those_of_the_facts():
    network, sample, low_res = tiny(), *pictures(2, 16, 16)
    weights = {name: value.clone().requires_grad_() for name, value in network.state_dict().items()}

    network(sample, 600, low_res).square().mean().backward()
    stated(weights, sample, torch.full((2,), 600), low_res).square().mean().backward()

    largest = max(weight.grad.abs().max() for weight in weights.values())
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter.grad, weights[name].grad, rtol=1e-3, atol=1e-5 * largest), name


def test_a_pass_leaves_its_inputs_and_weights_alone():
    network, sample, low_res = tiny(), *pictures(1, 16, 16)
    before = sample.clone(), low_res.clone()

    with torch.inference_mode():
        assert torch.equal(network(sample, 200, low_res), network(sample, 200, low_res))
    assert torch.equal(sample, before[0])
    assert torch.equal(low_res, before[1])


@pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_half_precision_is_finite_and_close_and_tells_neighbouring_times_apart(dtype: torch.dtype, limit: float):
    network, sample, low_res = tiny(), *pictures(1, 32, 32)

    with torch.inference_mode():
        expected = network(sample, 979, low_res)
        network.to(dtype)
        found = network(sample.to(dtype), 979, low_res.to(dtype))
        other = network(sample.to(dtype), 978, low_res.to(dtype))

    assert found.dtype == dtype
    assert torch.isfinite(found).all()
    error = (found.float() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < limit
    assert not torch.equal(found, other)

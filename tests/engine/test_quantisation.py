import bitsandbytes
import pytest
import torch
from torch import nn

from engine.quantisation import quantise

CPU = torch.device("cpu")


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(128, 256)
        self.norm = nn.LayerNorm(256)
        self.lm_head = nn.Linear(256, 64, bias=False)
        self.register_buffer("shift", torch.ones(256))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lm_head(self.norm(self.first(x)) + self.shift.to(x.dtype))


@pytest.fixture
def full() -> Pair:
    torch.manual_seed(0)
    return Pair().eval().requires_grad_(False)


def weights(layer: nn.Module, bits: int) -> torch.Tensor:
    """What a small layer's weights stand for."""
    weight = layer.weight
    if bits == 8:
        return weight.CB.float() * weight.SCB[:, None] / 127
    return bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)


@pytest.mark.parametrize(("bits", "error"), [(8, 0.01), (4, 0.1)])
def test_weights_stay_near(full: Pair, bits: int, error: float):
    exact = full.first.weight.clone()

    found = weights(quantise(full, bits, CPU, torch.float32).first, bits)

    assert ((found - exact).norm() / exact.norm()).item() <= error


@pytest.mark.parametrize(("bits", "bytes_per_weight", "error"), [(8, 1.0, 0.02), (4, 0.5, 0.13)])
def test_layers_shrink_and_answers_stay_near(full: Pair, bits: int, bytes_per_weight: float, error: float):
    x = torch.randn(16, 128, generator=torch.Generator().manual_seed(1))
    expected, head = full(x), full.lm_head.weight.clone()

    few = quantise(full, bits, CPU, torch.float32)

    assert few.first.weight.numel() * few.first.weight.element_size() == bytes_per_weight * 128 * 256
    assert ((few(x) - expected).norm() / expected.norm()).item() <= error
    assert torch.equal(few.lm_head.weight, head)  # kept: what names the next token is worth its memory


@pytest.mark.parametrize("bits", [8, 4])
def test_the_rest_takes_the_dtype(full: Pair, bits: int):
    few = quantise(full, bits, CPU, torch.bfloat16)

    assert {few.norm.weight.dtype, few.first.bias.dtype, few.lm_head.weight.dtype} == {torch.bfloat16}
    assert few.shift.dtype == torch.float32  # a buffer: rotary frequencies in sixteen bits would turn far tokens wrongly
    assert few(torch.randn(2, 128, dtype=torch.bfloat16)).dtype == torch.bfloat16

import pytest
import torch
import torch.nn.functional as F

from engine.models.attention import QUERY_CHUNK, ChunkedAttention
from engine.models.movq import MoVQ, doubled_kernel
from tests.engine.models.oracles import MOVQ, movq_pair, relative


def test_full_size_has_the_official_number_of_parameters():
    with torch.device("meta"):
        movq = MoVQ()

    counts = [sum(parameter.numel() for parameter in part.parameters()) for part in (movq, movq.encoder, movq.decoder)]
    assert counts == [270_603_567, 109_485_316, 161_118_211]
    assert len(movq.state_dict()) == 430


@pytest.mark.parametrize(("batch", "size"), [(1, (8, 8)), (2, (4, 12)), (3, (8, 5))])
def test_encoder_and_decoder_give_what_diffusers_gives(batch: int, size: tuple[int, int]):
    own, reference = movq_pair()
    latents = torch.randn(batch, 4, *size)
    pictures = torch.rand(batch, 3, 8 * size[0], 8 * size[1]) * 2 - 1

    with torch.inference_mode():
        assert relative(own.encode(pictures), reference.encode(pictures).latents) < 1e-5
        expected = reference.decode(latents, force_not_quantize=True).sample
        assert relative(own.decode(latents), expected) < 1e-5
    assert relative(own.decode(latents), expected) < 1e-5  # with gradients nothing is overwritten or folded


def test_in_double_precision_both_are_the_same_function():
    own, reference = movq_pair()
    own.double(), reference.double()
    latents = torch.randn(2, 4, 8, 8, dtype=torch.float64)

    with torch.inference_mode():
        assert relative(own.decode(latents), reference.decode(latents, force_not_quantize=True).sample) < 1e-12


def test_gradients_are_those_of_diffusers():
    own, reference = movq_pair()
    latents = torch.randn(1, 4, 4, 4)

    own.decode(latents).square().mean().backward()
    reference.decode(latents, force_not_quantize=True).sample.square().mean().backward()

    expected = dict(reference.decoder.named_parameters())
    largest = max(parameter.grad.abs().max() for parameter in expected.values())
    for name, parameter in own.decoder.named_parameters():
        assert torch.allclose(parameter.grad, expected[name].grad, rtol=1e-3, atol=1e-5 * largest), name


def test_decoding_leaves_its_input_alone():
    own, _ = movq_pair()
    latents = torch.randn(1, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    before = latents.clone()

    with torch.inference_mode():
        first, again = own.decode(latents), own.decode(latents)

    assert torch.equal(latents, before)
    assert torch.equal(first, again)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_finite_and_close(dtype: torch.dtype):
    own, _ = movq_pair()
    latents = torch.randn(1, 4, 8, 8)

    with torch.inference_mode():
        expected = own.decode(latents)
        found = own.to(dtype).decode(latents.to(dtype))

    assert found.dtype == dtype
    assert torch.isfinite(found).all()
    error = (found.float() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < (0.05 if dtype == torch.bfloat16 else 0.01)


def test_one_transposed_convolution_is_doubling_and_convolution():
    x, weight, bias = torch.randn(2, 5, 6, 7), torch.randn(3, 5, 3, 3), torch.randn(3)

    expected = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), weight, bias, padding=1)

    assert relative(F.conv_transpose2d(x, doubled_kernel(weight), bias, stride=2, padding=1), expected) < 1e-6


def test_chunks_of_queries_are_one_attention():
    attention = ChunkedAttention(8)
    x = torch.randn(1, 2 * QUERY_CHUNK + 3, 8)
    query, key, value = attention.to_q(x), attention.to_k(x), attention.to_v(x)

    expected = attention.to_out[0]((query @ key.mT / 8**0.5).softmax(-1) @ value)

    assert relative(attention.attend(x), expected) < 1e-5


def test_another_kind_of_autoencoder_is_refused():
    with pytest.raises(ValueError, match="spatial"):
        MoVQ(**MOVQ | {"norm_type": "group"})

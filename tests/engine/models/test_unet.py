import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import catalog, weights
from engine.models.conditions import Branch
from engine.models.unet import Kandinsky3UNet
from engine.weights import Folder
from tests.engine.models.oracles import CONTEXT, UNET, branch, relative, unet_pair, walk

LEVEL_WIDTHS = UNET["block_out_channels"]


def parameters(**settings: object) -> tuple[int, int]:
    with torch.device("meta"):
        unet = Kandinsky3UNet(**settings)
    return sum(parameter.numel() for parameter in unet.parameters()), len(unet.state_dict())


@pytest.mark.parametrize(
    ("settings", "count", "tensors"),
    [
        ({"encoder_hid_dim": None}, 3_038_562_820, 1068),
        ({"encoder_hid_dim": None, "in_channels": 9, "out_channels": 4}, 3_038_571_460, 1068),
        ({}, 3_055_348_228, 1071),
    ],
    ids=["text to image and flash", "inpainting", "with its projection"],
)
def test_full_size_has_the_official_number_of_parameters(settings: dict[str, object], count: int, tensors: int):
    assert parameters(**settings) == (count, tensors)


def test_small_is_about_a_billion_and_reads_flan_t5_xl():
    count, _ = parameters(
        block_out_channels=(256, 512, 1024, 1536), time_embedding_dim=1024, cross_attention_dim=2048, encoder_hid_dim=2048
    )

    assert 0.8e9 < count < 1.2e9


def test_full_size_has_240_conditional_norms_and_18_cross_attentions():
    with torch.device("meta"):
        conditioner = Kandinsky3UNet().conditioner

    assert (len(conditioner.norms), len(conditioner.attentions)) == (240, 18)
    assert sum(norm.linear.out_features for norm in conditioner.norms) == 526_464


@pytest.mark.parametrize(("batch", "size"), [(1, (16, 16)), (2, (8, 24)), (3, (24, 8)), (4, (8, 8))])
@pytest.mark.parametrize("length", [1, pytest.param(12, marks=pytest.mark.long)])
def test_forward_gives_what_diffusers_gives(batch: int, size: tuple[int, int], length: int):
    own, reference = unet_pair(encoder_hid_dim=48)
    sample, text = torch.randn(batch, 4, *size), torch.randn(batch, length, 48)
    times = torch.randint(0, 1000, (batch,))
    counted = torch.arange(length) <= torch.randint(0, length, (batch, 1))

    with torch.no_grad():
        found = own(sample, times, text, counted.long(), return_dict=False)[0]
        expected = reference(sample, times, text, counted.long()).sample

    assert relative(found, expected) < 1e-4


def test_no_mask_means_that_all_tokens_count():
    own, reference = unet_pair()
    sample, text = torch.randn(2, 4, 8, 8), torch.randn(2, 6, CONTEXT)

    with torch.no_grad():
        expected = reference(sample, 500, text, torch.ones(2, 6)).sample
        assert relative(own(sample, 500, text).sample, expected) < 1e-4


def test_a_text_without_a_counted_token_is_read_as_a_whole():
    own, reference = unet_pair()
    sample, text, nothing = torch.randn(1, 4, 8, 8), torch.randn(1, 1, CONTEXT).repeat(1, 6, 1), torch.zeros(1, 6)

    with torch.no_grad():  # every path that masks all tokens makes them alike first: then it matters to no formula
        expected = reference(sample, 500, text, nothing).sample
        prepared = own.prepare([500], [Branch(text, nothing.bool())])
        assert relative(own(sample, 500, text, nothing).sample, expected) < 1e-4
        assert relative(own.denoise(sample, prepared, 0), expected) < 1e-4


def test_inpainting_reads_nine_channels_and_predicts_four():
    own, reference = unet_pair(in_channels=9, out_channels=4)
    sample, text, mask = torch.randn(2, 9, 8, 16), torch.randn(2, 6, CONTEXT), torch.ones(2, 6)

    with torch.no_grad():
        found, expected = own(sample, 7, text, mask).sample, reference(sample, 7, text, mask).sample

    assert found.shape == (2, 4, 8, 16)
    assert relative(found, expected) < 1e-4


@pytest.mark.parametrize(
    ("packed", "pictures"),
    [pytest.param(True, 1, marks=pytest.mark.long), (True, 3), pytest.param(False, 1, marks=pytest.mark.long)],
)
def test_prepared_passes_give_what_diffusers_gives(packed: bool, pictures: int):
    own, reference = unet_pair()
    if packed:
        own.settle()
    branches, times = [branch(7, 6, seed=1), branch(7, 1, seed=2), branch(9, 5, seed=3)], [979, 500, 3]
    sample = torch.randn(3 * pictures, 4, 8, 16)

    with torch.inference_mode():
        prepared = own.prepare(times, branches)
        for step, time in enumerate(times):
            found = own.denoise(sample, prepared, step)
            for part, rows, text in zip(found.chunk(3), sample.chunk(3), branches, strict=True):
                states, mask = text.states.expand(pictures, -1, -1), text.mask.expand(pictures, -1)
                assert relative(part, reference(rows, time, states, mask).sample) < 1e-4


def test_a_pass_leaves_its_input_alone():
    own, _ = unet_pair()
    sample = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    before = sample.clone()

    with torch.inference_mode():
        prepared = own.prepare([500], [branch(4, 4, seed=1), branch(4, 1, seed=2)])
        first, again = own.denoise(sample, prepared, 0), own.denoise(sample, prepared, 0)

    assert torch.equal(sample, before)
    assert torch.equal(first, again)


def test_gradients_reach_every_parameter():
    own, reference = unet_pair()
    sample, text, mask = torch.randn(2, 4, 16, 16), torch.randn(2, 5, CONTEXT), torch.ones(2, 5)

    for network in (own, reference):
        network(sample, torch.tensor([3, 700]), text, mask).sample.square().mean().backward()

    expected = {name: parameter.grad for name, parameter in reference.named_parameters()}
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, parameter in own.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], rtol=1e-3, atol=1e-5 * largest), name


def test_residuals_are_added_to_the_skips():
    own, reference = unet_pair()
    text = branch(6, 4, seed=1)
    sample = torch.randn(1, 4, 16, 8)
    residuals = [torch.randn(1, LEVEL_WIDTHS[i], 8 >> i, 4 >> i) for i in range(3)]

    with torch.no_grad():
        expected = walk(reference, sample, 300, text, residuals)
        prepared = own.prepare([300], [text])
        assert relative(own.denoise(sample, prepared, 0, residuals), expected) < 1e-4
        assert relative(own(sample, 300, text.states, text.mask, residuals).sample, expected) < 1e-4
        assert relative(own.denoise(sample, prepared, 0), expected) > 1e-2


@pytest.mark.long
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_close_as_diffusers_is(dtype: torch.dtype):
    own, reference = unet_pair()
    texts = [branch(6, 5, seed=1), branch(6, 1, seed=2)]
    states, mask = torch.cat([text.states for text in texts]), torch.cat([text.mask for text in texts])
    sample = torch.randn(2, 4, 16, 16)

    with torch.inference_mode():
        expected = reference(sample, 979, states, mask).sample
        theirs = reference.to(dtype)(sample.to(dtype), 979, states.to(dtype), mask).sample
        own.to(dtype).settle()
        branches = [Branch(text.states.to(dtype), text.mask) for text in texts]
        found = own.denoise(sample.to(dtype), own.prepare([979], branches), 0)

    assert found.dtype == dtype
    assert torch.isfinite(found).all()
    assert (found - expected).square().mean() < 1.5**2 * (theirs - expected).square().mean()


def test_outside_of_the_loop_a_settled_network_is_the_plain_one():
    own, _ = unet_pair()
    text, sample = branch(5, 5, seed=1), torch.randn(1, 4, 16, 16)

    with torch.no_grad():
        before = own(sample, 3, text.states).sample
        own.settle()
        assert relative(own(sample, 3, text.states).sample, before) < 1e-5
    own(sample, 3, text.states).sample.sum().backward()
    assert all(parameter.grad is not None for parameter in own.parameters())
    assert len(own.state_dict()) == len(list(own.parameters()))


def test_packed_weights_are_still_the_networks_own(tmp_path):
    own, _ = unet_pair()
    text, sample = branch(5, 4, seed=1), torch.randn(1, 4, 8, 8)
    before = {name: value.clone() for name, value in own.state_dict().items()}
    own.settle()

    save_file(own.state_dict(), tmp_path / "unet.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in load_file(tmp_path / "unet.safetensors").items())

    own.load_state_dict({name: value * 1.1 for name, value in before.items()})
    own.settle()
    with torch.inference_mode():
        changed = own.denoise(sample, own.prepare([500], [text]), 0)
        assert relative(changed, own(sample, 500, text.states, text.mask).sample) < 1e-5
        own.double()  # parameters move away from the packed tensors, which must not be read any more
        wide = Branch(text.states.double(), text.mask)
        assert relative(own.denoise(sample.double(), own.prepare([500], [wide]), 0), changed.double()) < 1e-4


def unet_of(config: dict[str, object]) -> Kandinsky3UNet:
    return Kandinsky3UNet(**weights.settings(Kandinsky3UNet, config))


def test_files_change_hands_with_diffusers(tmp_path):
    own, reference = unet_pair(encoder_hid_dim=48)
    sample, text, mask = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 48), torch.ones(1, 5)

    own.save_pretrained(tmp_path / "own")
    reference.save_pretrained(tmp_path / "reference")

    with torch.no_grad():
        expected = reference(sample, 9, text, mask).sample
        for network in (
            type(reference).from_pretrained(tmp_path / "own").eval(),
            Folder(catalog.family("kandinsky-nano"), tmp_path).module("reference", unet_of, torch.float32, torch.device("cpu")),
        ):
            assert relative(network(sample, 9, text, mask).sample, expected) < 1e-4

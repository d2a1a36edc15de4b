import pytest
import torch
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5Attention, T5EncoderModel

from engine.models.t5 import T5Encoder, buckets

TINY = {"vocab_size": 64, "d_model": 24, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
FLAN_UL2 = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 256,
    "d_ff": 16384,
    "num_layers": 32,
    "num_heads": 16,
    "feed_forward_proj": "gated-silu",
}


def pair(gate: str) -> tuple[T5Encoder, T5EncoderModel]:
    """Ours and transformers', with the same random weights."""
    torch.manual_seed(0)
    theirs = T5EncoderModel(T5Config(**TINY, feed_forward_proj=gate)).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = T5Encoder(**TINY, feed_forward_proj=gate).eval()
    tensors = theirs.state_dict()
    del tensors["encoder.embed_tokens.weight"]  # a second name of `shared.weight`
    ours.load_state_dict(tensors)
    return ours, theirs


@pytest.mark.parametrize("gate", ["gated-silu", "gated-gelu"])
def test_texts_are_encoded_as_by_transformers(gate: str):
    ours, theirs = pair(gate)
    ids = torch.randint(0, 64, (2, 150))  # longer than the distances that have a bucket of their own
    mask = (torch.arange(150) < torch.tensor([[150], [90]])).long()

    with torch.no_grad():
        expected, found = theirs(ids, attention_mask=mask).last_hidden_state, ours(ids, mask).last_hidden_state

    assert (found - expected)[mask.bool()].abs().max() <= 1e-5 * expected.abs().max()


def test_what_masked_tokens_say_does_not_count():
    ours, _ = pair("gated-silu")
    mask = torch.tensor([[1, 1, 1, 0, 0]])

    with torch.no_grad():
        one, other = (ours(torch.tensor([[3, 9, 4, *rest]]), mask).last_hidden_state for rest in ((0, 0), (7, 8)))
        alone = ours(torch.tensor([[3, 9, 4]]), mask[:, :3]).last_hidden_state

    assert torch.equal(one[:, :3], other[:, :3])
    assert (one[:, :3] - alone).abs().max() < 1e-5


def test_distances_have_the_buckets_of_transformers():
    distances = torch.arange(-300, 301)

    assert torch.equal(buckets(distances, 32, 128), T5Attention._relative_position_bucket(distances))


@pytest.mark.parametrize(("of_gates", "of_products"), [(10, 3e4), (1e4, 1)])
def test_half_precision_never_leaves_its_range(of_gates: float, of_products: float):
    ours, _ = pair("gated-silu")
    feed_forward = ours.encoder.block[0].layer[1].DenseReluDense
    feed_forward.wi_0.weight.data *= max(of_gates / 10, 1)
    feed_forward.wi_1.weight.data *= of_gates
    feed_forward.wo.weight.data *= of_products
    reached: list[float] = []
    ours.encoder.block[0].register_forward_hook(lambda block, given, out: reached.append(float(out.abs().max())))

    with torch.no_grad():
        states = ours.half()(torch.tensor([[3, 9, 1]]), torch.ones(1, 3)).last_hidden_state

    assert reached == [torch.finfo(torch.float16).max]
    assert torch.isfinite(states).all()


def test_full_size_has_the_parameters_of_flan_ul2():
    with torch.device("meta"):
        ours, theirs = T5Encoder(**FLAN_UL2), T5EncoderModel(T5Config(**FLAN_UL2))
    expected = {name: each.shape for name, each in theirs.state_dict().items() if name != "encoder.embed_tokens.weight"}

    assert {name: each.shape for name, each in ours.state_dict().items()} == expected
    assert sum(each.numel() for each in ours.parameters()) == 8_721_797_632


def test_settings_left_out_are_those_of_transformers():
    with torch.device("meta"):
        config = T5Encoder(feed_forward_proj="gated-silu").config

    assert config.items() <= T5Config(feed_forward_proj="gated-silu").to_dict().items()


def test_an_encoder_without_gates_is_refused():
    with pytest.raises(ValueError, match="'relu', but only gated-silu and gated-gelu"):
        T5Encoder(feed_forward_proj="relu")

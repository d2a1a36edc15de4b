"""T5's encoder, which reads the prompt, with the parameter names of transformers' `T5EncoderModel`."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.network import Network, keeps_config

_HALF_RANGE = torch.finfo(torch.float16).max
_WIDEST_PRODUCT = 65280.0  # the largest bfloat16 that float16 holds
_GATES: Mapping[str, Callable[[Tensor], Tensor]] = {"gated-silu": F.silu, "gated-gelu": partial(F.gelu, approximate="tanh")}


class Encoded(NamedTuple):
    """What the encoder makes of a text, (B, n, d_model)."""

    last_hidden_state: Tensor


class RootMeanSquareNorm(nn.Module):
    """Scale to a mean square of one, found in float32, then by learned weights."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self._epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        variance = x.float().pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + self._epsilon)).to(self.weight.dtype)


class SelfAttention(nn.Module):
    """Attention whose scores are not scaled, but biased by how far apart two tokens are."""

    def __init__(self, d_model: int, d_kv: int, num_heads: int) -> None:
        super().__init__()
        self._head_dim = d_kv
        self.q = nn.Linear(d_model, num_heads * d_kv, bias=False)
        self.k = nn.Linear(d_model, num_heads * d_kv, bias=False)
        self.v = nn.Linear(d_model, num_heads * d_kv, bias=False)
        self.o = nn.Linear(num_heads * d_kv, d_model, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (B, n, d_model).  bias: (1 or B, heads, n, n)."""
        query, key, value = (part(x).unflatten(2, (-1, self._head_dim)).transpose(1, 2) for part in (self.q, self.k, self.v))
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)  # (B, heads, n, d_kv)
        out: Tensor = self.o(read.transpose(1, 2).flatten(2))
        return out


class GatedFeedForward(nn.Module):
    """Two maps to a wider space, one of which gates the other, and one back."""

    def __init__(self, d_model: int, d_ff: int, gate: str) -> None:
        super().__init__()
        self._gate = _GATES[gate]
        self.wi_0 = nn.Linear(d_model, d_ff, bias=False)
        self.wi_1 = nn.Linear(d_model, d_ff, bias=False)
        self.wo = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gated = self._gate(self.wi_0(x)) * self.wi_1(x)
        if gated.dtype == torch.float16 or self.wo.weight.dtype == torch.int8:  # layers of 8 bits read float16
            gated = gated.clamp(-_WIDEST_PRODUCT, _WIDEST_PRODUCT)
        out: Tensor = self.wo(gated)
        return out


class Layer(nn.Module):
    """A norm and what follows it, which stands under a name of its own."""

    def __init__(self, name: str, part: nn.Module, d_model: int, epsilon: float) -> None:
        super().__init__()
        self.add_module(name, part)
        self._name = name
        self.layer_norm = RootMeanSquareNorm(d_model, epsilon)

    def forward(self, x: Tensor, *bias: Tensor) -> Tensor:
        out: Tensor = x + self.get_submodule(self._name)(self.layer_norm(x), *bias)
        if out.dtype == torch.float16:  # its range ends at 65,504, which the sums of a large encoder pass
            out = out.clamp(-_HALF_RANGE, _HALF_RANGE)
        return out


class Block(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, attention: SelfAttention, feed_forward: GatedFeedForward, d_model: int, epsilon: float) -> None:
        super().__init__()
        parts = {"SelfAttention": attention, "DenseReluDense": feed_forward}
        self.layer = nn.ModuleList([Layer(name, part, d_model, epsilon) for name, part in parts.items()])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        attention, feed_forward = self.layer
        out: Tensor = feed_forward(attention(x, bias))
        return out


class Stack(nn.Module):
    """Blocks and a last norm."""

    def __init__(self, blocks: list[Block], d_model: int, epsilon: float) -> None:
        super().__init__()
        self.block = nn.ModuleList(blocks)
        self.final_layer_norm = RootMeanSquareNorm(d_model, epsilon)


class T5Encoder(Network):
    """The encoder; its settings have the names and the defaults of transformers' `T5Config`.

    feed_forward_proj: "gated-silu" (FLAN-UL2) or "gated-gelu" (T5 1.1); the ungated T5 of 2019 is not served.
    Source: huggingface/transformers models/t5/modeling_t5.py: T5EncoderModel.
    Raises: ValueError for another feed_forward_proj.
    """

    @keeps_config
    def __init__(
        self,
        vocab_size: int = 32128,
        d_model: int = 512,
        d_kv: int = 64,
        d_ff: int = 2048,
        num_layers: int = 6,
        num_heads: int = 8,
        relative_attention_num_buckets: int = 32,
        relative_attention_max_distance: int = 128,
        layer_norm_epsilon: float = 1e-6,
        feed_forward_proj: str = "relu",
    ) -> None:
        super().__init__()
        if feed_forward_proj not in _GATES:
            raise ValueError(f"feed_forward_proj is {feed_forward_proj!r}, but only {' and '.join(_GATES)} are served")
        self._buckets, self._furthest = relative_attention_num_buckets, relative_attention_max_distance
        self.shared = nn.Embedding(vocab_size, d_model)
        attentions = [SelfAttention(d_model, d_kv, num_heads) for _ in range(num_layers)]
        attentions[0].relative_attention_bias = nn.Embedding(self._buckets, num_heads)  # all blocks share the first one's
        blocks = [
            Block(attention, GatedFeedForward(d_model, d_ff, feed_forward_proj), d_model, layer_norm_epsilon)
            for attention in attentions
        ]
        self.encoder = Stack(blocks, d_model, layer_norm_epsilon)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Encoded:
        """Encode tokens (B, n).  attention_mask: (B, n), 1 where a token counts."""
        x = self.shared(input_ids)
        bias = self._bias(input_ids.shape[1], x.device)  # (1, heads, n, n)
        bias = bias.masked_fill(~attention_mask[:, None, None].bool(), torch.finfo(bias.dtype).min).contiguous()
        for block in self.encoder.block:
            x = block(x, bias)
        return Encoded(self.encoder.final_layer_norm(x))

    def _bias(self, length: int, device: torch.device) -> Tensor:
        """What each head adds to the score of two tokens, by their distance."""
        places = torch.arange(length, device=device)
        table = self.encoder.get_submodule("block.0.layer.0.SelfAttention.relative_attention_bias")
        bias: Tensor = table(buckets(places[None] - places[:, None], self._buckets, self._furthest))  # (n, n, heads)
        return bias.permute(2, 0, 1)[None]


def buckets(distances: Tensor, count: int, furthest: int) -> Tensor:
    """Which of `count` buckets a distance in tokens belongs to: half of them for each direction.

    Half of a direction's buckets hold one distance each, the others ever longer ranges, the last all from `furthest` on.
    """
    each = count // 2
    exact = each // 2
    far = distances.abs()
    growth = torch.log(far.float() / exact) / math.log(furthest / exact) * (each - exact)
    coarse = (exact + growth.long()).clamp(max=each - 1)
    return (distances > 0).long() * each + torch.where(far < exact, far, coarse)

"""Attention: one class for every place, with the parameter names of diffusers."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUERY_CHUNK = 1024  # bounds the score tile of kernels that write their scores: 32 MB at 16,384 tokens in half precision


@dataclass(frozen=True)
class Tokens:
    """What an attention reads: keys and values (B or 1, heads, n, d); mask (B, 1, 1, n), true where a token counts."""

    key: Tensor
    value: Tensor
    mask: Tensor | None = None


class Attention(nn.Module):
    """Multi-head attention; queries come from one sequence, keys and values from another or the same.

    query_dim, context_dim: widths read.  channels: width of heads together and of the output.
    """

    def __init__(self, query_dim: int, context_dim: int, channels: int, head_dim: int, bias: bool = False) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.to_q = nn.Linear(query_dim, channels, bias=bias)
        self.to_k = nn.Linear(context_dim, channels, bias=bias)
        self.to_v = nn.Linear(context_dim, channels, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels, bias=bias)])
        self._packed: Tensor | None = None

    def tokens(self, context: Tensor, mask: Tensor | None = None) -> Tokens:
        """Keys and values of a context (B, n, C).  mask: (B, n), bool; a row without any true counts as a row of trues."""
        if mask is not None:
            mask = (mask | ~mask.any(dim=1, keepdim=True))[:, None, None]
        return Tokens(self._heads(self.to_k(context)), self._heads(self.to_v(context)), mask)

    def query(self, x: Tensor) -> Tensor:
        """Queries (B, heads, N, d) of x (B, N, C)."""
        return self._heads(self.to_q(x))

    def read(self, query: Tensor, tokens: Tokens) -> Tensor:
        """Weighted values (B, N, C), before the output layer."""
        shape = (query.shape[0], -1, -1, -1)
        key, value = tokens.key.expand(shape), tokens.value.expand(shape)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=tokens.mask)  # (B, heads, N, d)
        read: Tensor = out.transpose(1, 2).flatten(2)
        return read

    def out(self, x: Tensor) -> Tensor:
        """The output layer."""
        projected: Tensor = self.to_out[0](x)
        return projected

    def attend(self, x: Tensor, tokens: Tokens | None = None) -> Tensor:
        """Attend from x (B, N, C) to tokens, or to x itself."""
        if tokens or self._packed is None or torch.is_grad_enabled() or not self._is_current(self._packed):
            return self.out(self.read(self.query(x), tokens or self.tokens(x)))
        query, key, value = (self._heads(part) for part in F.linear(x, self._packed).chunk(3, dim=2))
        return self.out(self.read(query, Tokens(key, value)))

    def pack(self) -> None:
        """Lay the maps to queries, keys and values side by side, so that they are one product; parameters become views."""
        maps = [layer.weight for layer in (self.to_q, self.to_k, self.to_v)]
        packed = torch.cat([weight.data for weight in maps])
        for weight, own in zip(maps, packed.chunk(3), strict=True):
            weight.data = own
        self._packed = packed

    def unpack(self) -> None:
        """Let go of what `pack` made, before the network moves to another device."""
        self._packed = None

    def _is_current(self, packed: Tensor) -> bool:
        """Whether the parameters are still views of the packed tensor; moving or casting the module ends that."""
        own = self.to_q.weight
        return own.data_ptr() == packed.data_ptr() and own.device == packed.device and own.dtype == packed.dtype

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(2, (-1, self.head_dim)).transpose(1, 2)
        return heads


class ChunkedAttention(Attention):
    """Self-attention with one wide head, a chunk of queries at a time, so that memory grows with the pixels alone."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, channels, head_dim=channels, bias=True)

    def read(self, query: Tensor, tokens: Tokens) -> Tensor:
        chunks = [super(ChunkedAttention, self).read(chunk, tokens) for chunk in query.split(QUERY_CHUNK, dim=2)]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks, dim=1)

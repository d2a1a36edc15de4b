"""What a pass of the UNet reads besides the latents, prepared once per request for all of its steps.

Time and text reach the UNet in two ways only: as scale and shift of 240 norms, and as tokens of 18 cross-attentions. The norms'
maps are a quarter of all weights and depend on nothing that the loop changes, so all steps are one product beforehand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.attention import Attention, Tokens
from engine.models.norms import ConditionalGroupNorm


@dataclass(frozen=True)
class PictureTokens:
    """What one cross-attention reads of a picture prompt, and how it answers: `scale` times `to_out` of it is added."""

    tokens: Tokens
    to_out: nn.Module
    scale: float


@dataclass(frozen=True)
class RegionText:
    """A text for a part of the picture: states (1, L, C), mask (1, L) bool; area (h, w) in [0, 1], of any size."""

    states: Tensor
    mask: Tensor
    area: Tensor


@dataclass(frozen=True)
class Branch:
    """One branch of guidance: a text, states (1, L, C) and mask (1, L) bool, and what stands beside it.

    picture: one per cross-attention, or none.  regions: later ones win; where there is none the branch's own text counts.
    base_ratio: how much the branch's own text counts inside the regions.
    """

    states: Tensor
    mask: Tensor
    picture: tuple[PictureTokens, ...] = ()
    regions: tuple[RegionText, ...] = ()
    base_ratio: float = 0.0

    def shortened(self) -> "Branch":
        """The same with the tokens that count alone; for attention only, the pooling reads the others too."""
        regions = tuple(replace(each, states=_counted(each.states, each.mask)) for each in self.regions)
        return replace(self, states=_counted(self.states, self.mask), regions=regions)

    def reading(self, attention: Attention, index: int) -> "Reading":
        """What the cross-attention at this index reads, once this branch is shortened."""
        text = attention.tokens(self.states)
        picture = self.picture[index] if self.picture else None
        regions = tuple((attention.tokens(each.states), each.area) for each in self.regions)
        constant = None
        if self.states.shape[1] == 1 and not (picture or regions):  # a lone token has weight 1 whatever is asked
            constant = attention.out(text.value.transpose(1, 2).flatten(2))
        return Reading(text, constant, picture, regions, self.base_ratio)


@dataclass(frozen=True)
class Reading:
    """What one cross-attention reads for one branch. `constant` (1, 1, C): its whole answer, if that depends on no query."""

    text: Tokens
    constant: Tensor | None = None
    picture: PictureTokens | None = None
    regions: tuple[tuple[Tokens, Tensor], ...] = ()
    base_ratio: float = 0.0

    def answer(self, attention: Attention, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Attend from x (B, N, C), the cells of a grid of this size.

        Source: ai-forever/kandinsky3-diffusers models/attention_processor.py: Kandi3AttnProcessorIpAdapter, and
        pipelines/kandinsky3/kandinsky3_regional_prompting_pipeline.py (where cells in no region take the first region's text).
        """
        query = attention.query(x)  # (B, heads, N, d)
        base = read = attention.read(query, self.text)  # (B, N, C)
        for tokens, area in self.regions:
            cells = F.interpolate(area[None, None], size, mode="nearest-exact").flatten(2).transpose(1, 2)  # (1, N, 1)
            read = torch.lerp(read, attention.read(query, tokens), cells)
        if self.regions:
            read = torch.lerp(read, base, self.base_ratio)
        out = attention.out(read)
        if self.picture is not None:
            seen = attention.read(query, self.picture.tokens)
            out = torch.add(out, self.picture.to_out(seen), alpha=self.picture.scale)
        return out


@dataclass(frozen=True)
class Conditions:
    """Of one pass: each norm's scale and shift, (R, C) for R equal shares of the batch; each cross-attention's branches."""

    modulations: tuple[tuple[Tensor, Tensor], ...]
    readings: tuple[tuple[Reading, ...], ...]

    def modulate(self, norm: ConditionalGroupNorm, x: Tensor) -> Tensor:
        """The norm of x (B, C, H, W)."""
        out: Tensor = norm(x, *self.modulations[norm.index])
        return out


@dataclass(frozen=True)
class Prepared:
    """Of a whole request: `table` (steps, branches, all scales and shifts) and the readings, which no step changes."""

    table: Tensor
    widths: tuple[int, ...]
    readings: tuple[tuple[Reading, ...], ...]

    def step(self, index: int) -> Conditions:
        """The conditions of one step. No kernel runs."""
        parts = self.table[index].split(self.widths, dim=1)
        return Conditions(tuple(zip(parts[0::2], parts[1::2], strict=True)), self.readings)


class AttentionPooling(nn.Module):
    """One attention over the text, asked by its mean: the text's share of the time embedding.

    The mean is over all positions, masked ones too, so the length of the padding matters.
    """

    def __init__(self, channels: int, context_dim: int, head_dim: int) -> None:
        super().__init__()
        self.attention = Attention(context_dim, context_dim, channels, head_dim)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """Pool states (B, L, C) to (B, time_embedding_dim)."""
        pooled = self.attention.attend(states.mean(dim=1, keepdim=True), self.attention.tokens(states, mask))
        return pooled[:, 0]


class TimeEmbedding(nn.Module):
    """Two layers over the sinusoids of a time."""

    def __init__(self, sinusoids: int, channels: int) -> None:
        super().__init__()
        self.sinusoids = sinusoids
        self.linear_1 = nn.Linear(sinusoids, channels)
        self.linear_2 = nn.Linear(channels, channels)

    def forward(self, timesteps: Tensor) -> Tensor:
        """Embed times (T,) to (T, time_embedding_dim)."""
        waves = sinusoidal(timesteps, self.sinusoids).to(self.linear_1.weight.dtype)
        out: Tensor = self.linear_2(F.silu(self.linear_1(waves)))
        return out


def sinusoidal(timesteps: Tensor, channels: int) -> Tensor:
    """Sines, then cosines of times (T,): (T, channels), float32, since half precision cannot tell 979 from 978."""
    half = channels // 2
    falloff = -math.log(10_000) / (half - 1)
    angles = timesteps.float()[:, None] * torch.exp(torch.arange(half, dtype=torch.float32, device=timesteps.device) * falloff)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Conditioner:
    """Makes conditions for a network: from all of its conditional norms and cross-attentions, in the order of its modules."""

    def __init__(self, time_embedding: TimeEmbedding, pooling: AttentionPooling, parts: Sequence[nn.Module]) -> None:
        found = [module for part in parts for module in part.modules()]
        self.norms = [module for module in found if isinstance(module, ConditionalGroupNorm)]
        self.attentions: list[Attention] = []
        for index, norm in enumerate(self.norms):
            norm.index = index
        for block in found:
            if getattr(block, "cross", False):
                block.index = len(self.attentions)  # type: ignore[assignment]
                self.attentions.append(block.attention)  # type: ignore[arg-type]
        self._widths = tuple(norm.channels for norm in self.norms for _ in ("scale", "shift"))
        self._time_embedding = time_embedding
        self._pooling = pooling
        self._packed: tuple[Tensor, Tensor] | None = None

    def plain(self, timesteps: Tensor, states: Tensor, mask: Tensor | None, picture: Sequence[PictureTokens] = ()) -> Conditions:
        """Conditions of one pass whose samples have a time (B,) and a text (B, L, C) each; gradients flow.

        picture: of the whole batch, one per cross-attention, or none.
        """
        embedding = F.silu(self._time_embedding(timesteps) + self._pooling(states, mask))  # (B, D)
        modulations = []
        for norm in self.norms:
            scale, shift = norm.context_mlp[1](embedding).chunk(2, dim=1)
            modulations.append((scale + 1, shift))
        looks = picture or (None,) * len(self.attentions)
        texts = [attention.tokens(states, mask) for attention in self.attentions]
        readings = tuple((Reading(text, picture=look),) for text, look in zip(texts, looks, strict=True))
        return Conditions(tuple(modulations), readings)

    def prepare(self, timesteps: Sequence[int], branches: Sequence[Branch]) -> Prepared:
        """Everything for these times and branches. Reads the masks back to the host: call it before the loop."""
        device = branches[0].states.device
        times = self._time_embedding(torch.tensor(timesteps, device=device))  # (T, D)
        pooled = torch.cat([self._pooling(branch.states, branch.mask.to(device)) for branch in branches])  # (R, D)
        table = self._modulate_all(F.silu(times[:, None] + pooled))  # (T, R, all)
        shortened = [branch.shortened() for branch in branches]
        readings = tuple(
            tuple(branch.reading(attention, index) for branch in shortened) for index, attention in enumerate(self.attentions)
        )
        return Prepared(table, self._widths, readings)

    def pack(self) -> None:
        """Lay the norms' maps side by side in memory, so that all of them are one product; parameters become views."""
        linears = [norm.linear for norm in self.norms]
        weight = torch.cat([linear.weight.data for linear in linears])
        bias = torch.cat([linear.bias.data for linear in linears])
        rows = [linear.out_features for linear in linears]
        for linear, own_weight, own_bias in zip(linears, weight.split(rows), bias.split(rows), strict=True):
            linear.weight.data, linear.bias.data = own_weight, own_bias
        self._packed = weight, bias

    def unpack(self) -> None:
        """Let go of what `pack` made, before the network moves to another device."""
        self._packed = None

    def _modulate_all(self, embedding: Tensor) -> Tensor:
        """Scales (1 added) and shifts of all norms: (..., all)."""
        if self._packed is not None and self._is_current(*self._packed):
            table = F.linear(embedding, *self._packed)
        else:
            table = torch.cat([norm.context_mlp[1](embedding) for norm in self.norms], dim=-1)
        ones = torch.tensor((1.0, 0.0) * len(self.norms)).repeat_interleave(torch.tensor(self._widths))
        return table + ones.to(table)

    def _is_current(self, weight: Tensor, bias: Tensor) -> bool:
        """Whether the parameters are still views of the packed tensors; moving or casting the module ends that."""
        stores = {weight.untyped_storage().data_ptr(), bias.untyped_storage().data_ptr()}
        own = {p.untyped_storage().data_ptr() for norm in self.norms for p in norm.context_mlp[1].parameters()}
        return own == stores and self.norms[0].linear.weight.device == weight.device


def _counted(states: Tensor, mask: Tensor) -> Tensor:
    """The tokens that count, (1, n, C): a masked one has weight 0, so it need not be there. All of them if none counts."""
    places = mask[0].nonzero()[:, 0].to(states.device)
    return states[:, places] if len(places) else states

"""The blocks of the UNet: convolutions under conditional norms, attention over places and over text, levels of both.

Attribute names are those of diffusers' checkpoints. Tensors flow in channels-last layout, where a 1x1 convolution and
an attention read (B, H W, C) as it lies.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.attention import Attention
from engine.models.conditions import Conditioner, Conditions
from engine.models.norms import ConditionalGroupNorm, add_, silu_

EXPANSION = 4  # of the feed-forward in an attention block
COMPRESSION = 2  # of the middle of a resnet block


class Block(nn.Module):
    """Norm, SiLU, convolution, with a change of resolution before or after the convolution.

    resample: None, "up" (2x2 transposed convolution first) or "down" (2x2 convolution of stride 2 last).
    """

    def __init__(self, width_in: int, width_out: int, time_dim: int, groups: int, kernel: int, resample: str | None) -> None:
        super().__init__()
        self.group_norm = ConditionalGroupNorm(groups, width_in, time_dim)
        self.up_sample = _up_sample(width_in) if resample == "up" else nn.Identity()
        self.projection = nn.Conv2d(width_in, width_out, kernel, padding=kernel // 2)
        self.down_sample = _down_sample(width_out) if resample == "down" else nn.Identity()

        self._resample = resample
        self.register_buffer("folded_kernel", None, persistent=False)
        self.register_buffer("folded_bias", None, persistent=False)

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:
        h = silu_(conditions.modulate(self.group_norm, x))  # (B, in, H, W)
        if self.folded_kernel is None or torch.is_grad_enabled():
            out: Tensor = self.down_sample(self.projection(self.up_sample(h)))
            return out
        if self._resample == "down":
            return F.conv2d(h, self.folded_kernel, self.folded_bias, stride=2, padding=1)
        out = F.conv_transpose2d(h, self.folded_kernel, stride=2, padding=1)
        ones = out.new_ones(1, 1, *out.shape[2:])  # the 2x2 convolution's bias weighs less at the border
        return out.add_(F.conv2d(ones, self.folded_bias, self.projection.bias, padding=1))

    @torch.no_grad()
    def fold(self) -> None:
        """Make one 4x4 convolution of the change of resolution and the projection: 16 products instead of 40 per small cell.

        What is folded does not follow weights that change later.
        """
        if self._resample is None:
            return
        outer = self.projection.weight.double()  # (out, in, 3, 3)
        if self._resample == "down":
            inner = self.down_sample.get_parameter("weight").double()  # (out, out, 2, 2)
            pieces = [torch.einsum("om,mixy->oixy", inner[:, :, y, x], outer) for y in range(2) for x in range(2)]
            carried = torch.einsum("omyx,m->o", inner, self.projection.get_parameter("bias").double())
            bias = self.down_sample.get_parameter("bias").double() + carried  # (out,)
        else:
            inner = self.up_sample.get_parameter("weight").double()  # (in, in, 2, 2)
            turned = outer.flip(2, 3)
            pieces = [torch.einsum("im,omxy->ioxy", inner[:, :, y, x], turned) for y in range(2) for x in range(2)]
            bias = torch.einsum("omyx,m->oyx", outer, self.up_sample.get_parameter("bias").double())[:, None]  # (out, 1, 3, 3)
        spread = [F.pad(piece, (i % 2, 1 - i % 2, i // 2, 1 - i // 2)) for i, piece in enumerate(pieces)]
        self.folded_kernel = torch.stack(spread).sum(dim=0).to(self.projection.weight)
        self.folded_bias = bias.to(self.projection.weight)


class ResNetBlock(nn.Module):
    """Four convolutions through a narrower middle, beside a shortcut.

    Source: Brock et al. 2019 (BigGAN-deep), figure 16; ai-forever/Kandinsky-3 kandinsky3/model/nn.py.
    """

    def __init__(self, width_in: int, width_out: int, time_dim: int, groups: int, resample: str | None = None) -> None:
        super().__init__()
        middle = max(width_in, width_out) // COMPRESSION
        self.resnet_blocks = nn.ModuleList(
            [
                Block(width_in, middle, time_dim, groups, 1, None),
                Block(middle, middle, time_dim, groups, 3, "up" if resample == "up" else None),
                Block(middle, middle, time_dim, groups, 3, "down" if resample == "down" else None),
                Block(middle, width_out, time_dim, groups, 1, None),
            ]
        )
        self.shortcut_up_sample = _up_sample(width_in) if resample == "up" else nn.Identity()
        self.shortcut_projection = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else nn.Identity()
        self.shortcut_down_sample = _down_sample(width_out) if resample == "down" else nn.Identity()

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:
        h = x
        for block in self.resnet_blocks:
            h = block(h, conditions)
        return add_(h, self.shortcut_down_sample(self.shortcut_projection(self.shortcut_up_sample(x))))


class AttentionBlock(nn.Module):
    """Attention over the places themselves, or over text if `context_dim` is given; then a feed-forward."""

    def __init__(self, channels: int, time_dim: int, context_dim: int | None, groups: int, head_dim: int) -> None:
        super().__init__()
        self.cross = context_dim is not None
        self.index = -1  # among the cross-attentions; given by `Conditioner`
        self.in_norm = ConditionalGroupNorm(groups, channels, time_dim)
        self.attention = Attention(channels, context_dim or channels, channels, head_dim)
        self.out_norm = ConditionalGroupNorm(groups, channels, time_dim)
        self.feed_forward = nn.Sequential(
            nn.Conv2d(channels, EXPANSION * channels, 1, bias=False),
            nn.Identity(),  # SiLU stands here in the checkpoints' numbering
            nn.Conv2d(EXPANSION * channels, channels, 1, bias=False),
        )

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:
        x = self._read_text(x, conditions) if self.cross else self._read_places(x, conditions)
        h = conditions.modulate(self.out_norm, x)  # (B, C, H, W)
        h = silu_(self.feed_forward[0](h))  # (B, 4 C, H, W)
        return add_(self.feed_forward[2](h), x)  # (B, C, H, W)

    def _read_places(self, x: Tensor, conditions: Conditions) -> Tensor:
        h = _sequence(conditions.modulate(self.in_norm, x))  # (B, H W, C)
        return x + _grid(self.attention.attend(h), x)  # (B, C, H, W), in the layout of x

    def _read_text(self, x: Tensor, conditions: Conditions) -> Tensor:
        readings = conditions.readings[self.index]
        scales, shifts = conditions.modulations[self.in_norm.index]
        parts = []
        for rows, scale, shift, reading in zip(
            x.chunk(len(readings)), scales.chunk(len(readings)), shifts.chunk(len(readings)), readings, strict=True
        ):
            answer = reading.constant
            if answer is None:
                h = _sequence(self.in_norm(rows, scale, shift))  # (B/R, H W, C)
                answer = reading.answer(self.attention, h, (x.shape[2], x.shape[3]))
            parts.append(_grid(answer, rows) if reading.constant is None else answer.mT[..., None])
        if torch.is_grad_enabled():
            return torch.cat([rows + part for rows, part in zip(x.chunk(len(parts)), parts, strict=True)])
        for rows, part in zip(x.chunk(len(parts)), parts, strict=True):
            rows.add_(part)  # x comes fresh from a resnet block
        return x


class DownSampleBlock(nn.Module):
    """A level on the way down: attention over places, then resnet, text, resnet; the last resnet halves the sides."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        time_dim: int,
        context_dim: int | None,
        layers: int,
        groups: int,
        head_dim: int,
        down_sample: bool,
    ) -> None:
        super().__init__()
        widths = [width_in] + [width_out] * layers
        last = "down" if down_sample else None
        self.resnets_in = nn.ModuleList([ResNetBlock(a, width_out, time_dim, groups) for a in widths[:-1]])
        self.resnets_out = nn.ModuleList(
            [ResNetBlock(width_out, width_out, time_dim, groups, last if i == layers - 1 else None) for i in range(layers)]
        )
        self.attentions = _attentions(width_in, [width_out] * layers, time_dim, context_dim, groups, head_dim)

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:
        x = _attend(self.attentions[0], x, conditions)
        for attention, resnet_in, resnet_out in zip(self.attentions[1:], self.resnets_in, self.resnets_out, strict=True):
            x = resnet_out(_attend(attention, resnet_in(x, conditions), conditions), conditions)
        return x


class UpSampleBlock(nn.Module):
    """A level on the way up: resnet, text, resnet, the first of which doubles the sides; then attention over places."""

    def __init__(
        self,
        width_in: int,
        width_skip: int,
        width_out: int,
        time_dim: int,
        context_dim: int | None,
        layers: int,
        groups: int,
        head_dim: int,
        up_sample: bool,
    ) -> None:
        super().__init__()
        widths = [width_in + width_skip] + [width_in] * (layers - 1)
        first = "up" if up_sample else None
        self.resnets_in = nn.ModuleList(
            [ResNetBlock(a, a, time_dim, groups, first if i == 0 else None) for i, a in enumerate(widths)]
        )
        self.resnets_out = nn.ModuleList(
            [ResNetBlock(a, b, time_dim, groups) for a, b in zip(widths, [*widths[1:], width_out], strict=True)]
        )
        self.attentions = _attentions(width_out, widths, time_dim, context_dim, groups, head_dim)

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:
        for attention, resnet_in, resnet_out in zip(self.attentions[1:], self.resnets_in, self.resnets_out, strict=True):
            x = resnet_out(_attend(attention, resnet_in(x, conditions), conditions), conditions)
        return _attend(self.attentions[0], x, conditions)


def settle(network: nn.Module, conditioner: Conditioner) -> None:
    """Lay maps that read the same side by side and fold changes of resolution into their neighbours."""
    pack(network, conditioner)
    for module in network.modules():
        if isinstance(module, Block):
            module.fold()


def pack(network: nn.Module, conditioner: Conditioner) -> None:
    """Lay maps that read the same side by side; anew whenever the network has moved to another device."""
    conditioner.pack()
    for module in network.modules():
        if isinstance(module, AttentionBlock) and not module.cross:
            module.attention.pack()


def unpack(network: nn.Module, conditioner: Conditioner) -> None:
    """Let go of what `pack` made, before the network moves to another device: it would stay behind."""
    conditioner.unpack()
    for module in network.modules():
        if isinstance(module, AttentionBlock):
            module.attention.unpack()


def _attentions(
    places: int, texts: list[int], time_dim: int, context_dim: int | None, groups: int, head_dim: int
) -> nn.ModuleList:
    """Place 0: attention over places; the others: over text. The level without text has none at all."""
    if context_dim is None:
        return nn.ModuleList(nn.Identity() for _ in range(1 + len(texts)))
    over_places = AttentionBlock(places, time_dim, None, groups, head_dim)
    over_text = [AttentionBlock(width, time_dim, context_dim, groups, head_dim) for width in texts]
    return nn.ModuleList([over_places, *over_text])


def _attend(attention: nn.Module, x: Tensor, conditions: Conditions) -> Tensor:
    attended: Tensor = attention(x, conditions) if isinstance(attention, AttentionBlock) else x
    return attended


def _up_sample(channels: int) -> nn.Module:
    return nn.ConvTranspose2d(channels, channels, kernel_size=2, stride=2)


def _down_sample(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, kernel_size=2, stride=2)


def _sequence(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H W, C)."""
    return x.flatten(2).transpose(1, 2)


def _grid(x: Tensor, like: Tensor) -> Tensor:
    """(B, H W, C) to (B, C, H, W)."""
    grid: Tensor = x.transpose(1, 2).unflatten(2, like.shape[2:])
    return grid

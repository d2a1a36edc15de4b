"""The official graphs, stated plainly from the facts under the official names, at a tiny width.

Groups and head width are those of the published networks, since no checkpoint tells them.
Source: shared/engine-facts.md 1.3, 1.4, 2, 4.6, 4.7.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS, HEAD = 32, 64
STEM, TIME, CONTEXT, BLOCKS = 32, 64, 48, 2
WIDTHS = (64, 64, 128, 128)
EMBED = 24  # of a picture


def randomise(network: nn.Module, seed: int = 0) -> None:
    """Give every parameter a value that shows, also those that begin as zeros or ones."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        spread = 0.7 / math.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.2
        offset = 1.0 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0.0
        nn.init.normal_(parameter, mean=offset, std=spread)


def time_waves(time: Tensor, width: int) -> Tensor:
    rates = torch.exp(torch.arange(width // 2) * -(math.log(10000) / (width // 2 - 1)))
    return torch.cat([(time[:, None] * rates).sin(), (time[:, None] * rates).cos()], 1)


class Waves(nn.Module):
    def forward(self, time: Tensor) -> Tensor:
        return time_waves(time, STEM)


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.context_mlp = nn.Sequential(nn.SiLU(), nn.Linear(TIME, 2 * width))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.context_mlp(time)[..., None, None].chunk(2, 1)
        return F.group_norm(x, GROUPS) * (scale + 1) + shift


class Attention(nn.Module):
    def __init__(self, width: int, out: int, context: int, pictures: bool = False) -> None:
        super().__init__()
        self.to_query = nn.Linear(width, out, bias=False)
        self.to_key = nn.Linear(context, out, bias=False)
        self.to_value = nn.Linear(context, out, bias=False)
        self.output_layer = nn.Linear(out, out, bias=False)
        if pictures:
            self.processor = nn.Module()
            self.processor.to_key_ip = nn.Linear(context, out)
            self.processor.to_v_ip = nn.Linear(context, out)
            self.processor.to_out_ip = nn.Linear(out, out)
        self.seen: tuple[Tensor, float] | None = None  # tokens of a picture prompt, and their weight

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        query = self.to_query(x)
        out = self.output_layer(read(query, self.to_key(context), self.to_value(context), mask))
        if self.seen is not None:
            tokens, weight = self.seen
            ip = self.processor
            out = out + weight * ip.to_out_ip(read(query, ip.to_key_ip(tokens), ip.to_v_ip(tokens)))
        return out


def read(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    query, key, value = (each.unflatten(2, (-1, HEAD)).transpose(1, 2) for each in (query, key, value))
    scores = query @ key.mT * HEAD**-0.5
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -torch.finfo(scores.dtype).max)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


class Block(nn.Module):
    def __init__(self, width: int, out: int, kernel: int, resample: str = "") -> None:
        super().__init__()
        self.group_norm = Norm(width)
        self.up_sample = nn.ConvTranspose2d(width, width, 2, 2) if resample == "up" else nn.Identity()
        self.projection = nn.Conv2d(width, out, kernel, padding=kernel // 2)
        self.down_sample = nn.Conv2d(out, out, 2, 2) if resample == "down" else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.down_sample(self.projection(self.up_sample(F.silu(self.group_norm(x, time)))))


class ResNet(nn.Module):
    def __init__(self, width: int, out: int, resample: str = "") -> None:
        super().__init__()
        hidden = max(width, out) // 2
        up, down = ("up" if resample == "up" else ""), ("down" if resample == "down" else "")
        ends = Block(width, hidden, 1), Block(hidden, out, 1)
        self.resnet_blocks = nn.ModuleList([ends[0], Block(hidden, hidden, 3, up), Block(hidden, hidden, 3, down), ends[1]])
        self.shortcut_up_sample = nn.ConvTranspose2d(width, width, 2, 2) if up else nn.Identity()
        self.shortcut_projection = nn.Conv2d(width, out, 1) if width != out else nn.Identity()
        self.shortcut_down_sample = nn.Conv2d(out, out, 2, 2) if down else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = x
        for block in self.resnet_blocks:
            h = block(h, time)
        return h + self.shortcut_down_sample(self.shortcut_projection(self.shortcut_up_sample(x)))


class AttentionBlock(nn.Module):
    def __init__(self, width: int, context: int | None, pictures: bool = False) -> None:
        super().__init__()
        self.in_norm, self.out_norm = Norm(width), Norm(width)
        self.attention = Attention(width, width, context or width, pictures)
        wide = 4 * width
        self.feed_forward = nn.Sequential(nn.Conv2d(width, wide, 1, bias=False), nn.SiLU(), nn.Conv2d(wide, width, 1, bias=False))

    def forward(self, x: Tensor, time: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        h = self.in_norm(x, time).flatten(2).mT
        h = self.attention(h, h if context is None else context, mask)
        x = x + h.mT.unflatten(2, x.shape[2:])
        return x + self.feed_forward(self.out_norm(x, time))


class Level(nn.Module):
    def __init__(self, widths: list[tuple[int, int, int]], attends: int, up: bool, resample: bool, pictures: bool) -> None:
        """widths: (in, middle, out) of each block. attends: width of the self-attention, 0 for a level without any."""
        super().__init__()
        self.up = up
        blocks = []
        for index, (before, middle, after) in enumerate(widths):
            first = "up" if up and resample and index == 0 else ""
            last = "down" if not up and resample and index == len(widths) - 1 else ""
            text = AttentionBlock(middle, CONTEXT, pictures) if attends else nn.Identity()
            blocks.append(nn.ModuleList([ResNet(before, middle, first), text, ResNet(middle, after, last)]))
        self.resnet_attn_blocks = nn.ModuleList(blocks)
        self.self_attention_block = AttentionBlock(attends, None) if attends else nn.Identity()

    def forward(self, x: Tensor, time: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        places = isinstance(self.self_attention_block, AttentionBlock)
        if places and not self.up:
            x = self.self_attention_block(x, time)
        for first, text, second in self.resnet_attn_blocks:
            x = first(x, time)
            x = text(x, time, context, mask) if places else x
            x = second(x, time)
        return self.self_attention_block(x, time) if places and self.up else x


def down_levels(count: int, pictures: bool = False) -> nn.ModuleList:
    levels = []
    for index, (before, width) in enumerate(pairwise((STEM, *WIDTHS))):
        widths = [(before if i == 0 else width, width, width) for i in range(BLOCKS)]
        levels.append(Level(widths, before if index else 0, False, index < len(WIDTHS) - 1, pictures))
    return nn.ModuleList(levels[:count])


def up_levels(pictures: bool) -> nn.ModuleList:
    levels = []
    for index, (finer, width) in reversed(list(enumerate(pairwise((STEM, *WIDTHS))))):
        joined = width if index == len(WIDTHS) - 1 else 2 * width
        widths = [(joined, joined, width)] + [(width, width, width if i < BLOCKS - 1 else finer) for i in range(1, BLOCKS)]
        levels.append(Level(widths, finer if index else 0, True, index < len(WIDTHS) - 1, pictures))
    return nn.ModuleList(levels)


class Trunk(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_time_embed = nn.Sequential(Waves(), nn.Linear(STEM, TIME), nn.SiLU(), nn.Linear(TIME, TIME))
        self.feature_pooling = nn.Module()
        self.feature_pooling.attention = Attention(CONTEXT, TIME, CONTEXT)
        self.in_layer = nn.Conv2d(channels, STEM, 3, padding=1)

    def embed(self, time: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        pooled = self.feature_pooling.attention(context.mean(1, keepdim=True), context, mask)
        return self.to_time_embed(time) + pooled[:, 0]


class UNet(Trunk):
    """Text to image and Flash (4 channels), inpainting (9), and with `pictures` the fork's IP-Adapter around it."""

    def __init__(self, channels: int = 4, pictures: bool = False, model_dim: int = 0) -> None:
        super().__init__(channels)
        self.down_samples = down_levels(len(WIDTHS), pictures)
        self.up_samples = up_levels(pictures)
        self.out_layer = nn.Sequential(nn.GroupNorm(GROUPS, STEM), nn.SiLU(), nn.Conv2d(STEM, 4, 3, padding=1))
        if model_dim:
            self.projection_lin, self.projection_ln = nn.Linear(model_dim, CONTEXT, bias=False), nn.LayerNorm(CONTEXT)
        if pictures:
            self.image_proj, self.image_norm = nn.Linear(EMBED, 4 * CONTEXT), nn.LayerNorm(CONTEXT)

    def forward(self, x: Tensor, time: Tensor, context: Tensor, mask: Tensor, control: tuple[Tensor, ...] = ()) -> Tensor:
        embedding = self.embed(time, context, mask)
        x = self.in_layer(x)
        skips = []
        for level in self.down_samples:
            x = level(x, embedding, context, mask)
            skips.append(x)
        skips.pop()
        for index, residual in enumerate(control):
            skips[index] = skips[index] + residual
        for index, level in enumerate(self.up_samples):
            x = torch.cat([x, skips.pop()], 1) if index else x
            x = level(x, embedding, context, mask)
        return self.out_layer(x)

    def see(self, image_embeds: Tensor, weight: float) -> None:
        """Let all cross-attentions read a picture."""
        tokens = self.image_norm(self.image_proj(image_embeds).unflatten(1, (4, CONTEXT)))
        for module in self.modules():
            if isinstance(module, Attention) and hasattr(module, "processor"):
                module.seen = tokens, weight


class ControlNet(Trunk):
    """The fork's outline network: each level's convolution is what is added, and what the next level reads."""

    def __init__(self) -> None:
        super().__init__(4)
        self.input_hint_block = nn.Module()
        before = 3
        for index, (width, stride) in enumerate(((16, 1), (16, 1), (32, 2), (32, 1), (96, 2), (96, 1), (256, 2)), start=1):
            self.input_hint_block.add_module(f"conv{index}", nn.Conv2d(before, width, 3, stride, 1))
            before = width
        self.input_hint_block.out = nn.Conv2d(before, STEM, 3, padding=1)
        self.down_samples = down_levels(3)
        self.convs = nn.ModuleList([nn.Conv2d(width, width, 1) for width in WIDTHS[:3]])

    def forward(self, x: Tensor, time: Tensor, context: Tensor, mask: Tensor, hint: Tensor) -> list[Tensor]:
        for index in range(1, 8):
            hint = F.silu(self.input_hint_block.get_submodule(f"conv{index}")(hint))
        embedding = self.embed(time, context, mask)
        x = self.in_layer(x) + self.input_hint_block.out(hint)
        residuals = []
        for level, conv in zip(self.down_samples, self.convs, strict=True):
            x = conv(level(x, embedding, context, mask))
            residuals.append(x)
        return residuals

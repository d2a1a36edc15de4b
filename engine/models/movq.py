"""Kandinsky 3's autoencoder (MoVQ): pictures to latents and back, without the codebook that it was trained with."""

from collections.abc import Iterator
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.attention import ChunkedAttention
from engine.models.network import Network, keeps_config
from engine.models.norms import SPATIAL_EPS, SpatialNorm, add_, silu_


class EncoderResnet(nn.Module):
    """Norm, SiLU, 3x3 convolution, twice, beside a shortcut."""

    def __init__(self, width_in: int, width_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width_in, eps=SPATIAL_EPS)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, width_out, eps=SPATIAL_EPS)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(silu_(self.norm1(x)))
        h = self.conv2(silu_(self.norm2(h)))
        return add_(h, self.conv_shortcut(x))


class DecoderResnet(nn.Module):
    """The same under spatial norms. Overwrites its input where a shortcut convolution has read it."""

    def __init__(self, width_in: int, width_out: int, latent_channels: int) -> None:
        super().__init__()
        self.norm1 = SpatialNorm(width_in, latent_channels)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, padding=1)
        self.norm2 = SpatialNorm(width_out, latent_channels)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else None

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        shortcut = x if self.conv_shortcut is None else self.conv_shortcut(x)
        h = silu_(self.norm1(x, latents, overwrite=self.conv_shortcut is not None))
        h = silu_(self.norm2(self.conv1(h), latents, overwrite=True))
        return add_(self.conv2(h), shortcut)


class EncoderAttention(ChunkedAttention):
    """Attention over the places, added to them."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(channels)
        self.group_norm = nn.GroupNorm(groups, channels, eps=SPATIAL_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return _added(self, self.group_norm(x), x)


class DecoderAttention(ChunkedAttention):
    """The same under a spatial norm."""

    def __init__(self, channels: int, latent_channels: int) -> None:
        super().__init__(channels)
        self.spatial_norm = SpatialNorm(channels, latent_channels)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        return _added(self, self.spatial_norm(x, latents), x)


def _added(attention: ChunkedAttention, normed: Tensor, x: Tensor) -> Tensor:
    out = attention.attend(normed.flatten(2).transpose(1, 2))  # (B, H W, C)
    added: Tensor = x + out.transpose(1, 2).unflatten(2, x.shape[2:])  # in the layout of x
    return added


class DownSample(nn.Module):
    """Half the sides. Pads right and below only, as the checkpoints were trained."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor, *latents: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class UpSample(nn.Module):
    """Double the sides: each pixel four times, then a 3x3 convolution.

    Without gradients as one transposed 4x4 convolution, which reads each pixel once: 4 products per result instead of 9.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, *latents: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            return out
        return F.conv_transpose2d(x, doubled_kernel(self.conv.weight), self.conv.bias, stride=2, padding=1)


def doubled_kernel(weight: Tensor) -> Tensor:
    """Kernel (in, out, 4, 4) of the transposed convolution that equals doubling, then a convolution with (out, in, 3, 3)."""
    taps = weight.flip(2, 3).transpose(0, 1)  # (in, out, 3, 3), as a transposed convolution reads them
    if weight.dtype.itemsize < torch.float32.itemsize:
        taps = taps.float()
    pairs = F.pad(taps, (0, 1)) + F.pad(taps, (1, 0))  # a doubled column is read by neighbouring taps
    return (F.pad(pairs, (0, 0, 0, 1)) + F.pad(pairs, (0, 0, 1, 0))).to(weight.dtype)


class Level(nn.Module):
    """Resnets, each followed by attention if there is one for it; then a change of size, if any, in a list of the name given."""

    def __init__(
        self, resnets: list[nn.Module], attentions: list[nn.Module], resampling: str = "", resample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList(attentions)
        self._resampling = resampling
        if resample is not None:
            self.add_module(resampling, nn.ModuleList([resample]))

    def steps(self) -> Iterator[nn.Module]:
        """The parts in order. The caller runs them one by one, so that no frame keeps a large tensor that has been used."""
        for resnet, attention in zip_longest(self.resnets, self.attentions):
            yield from (resnet, attention) if attention else (resnet,)
        if self._resampling in self._modules:
            yield from self.get_submodule(self._resampling).children()


class Encoder(nn.Module):
    """Pictures (B, 3, H, W) to latents before their last convolution (B, 4, H/8, W/8)."""

    def __init__(
        self, channels: int, latent_channels: int, widths: tuple[int, ...], layers: int, groups: int, attends: list[bool]
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        before = widths[0]
        for index, (width, attending) in enumerate(zip(widths, attends, strict=True)):
            resnets: list[nn.Module] = [EncoderResnet(before if i == 0 else width, width, groups) for i in range(layers)]
            attentions: list[nn.Module] = [EncoderAttention(width, groups) for _ in range(layers if attending else 0)]
            last = index == len(widths) - 1
            self.down_blocks.append(Level(resnets, attentions, "downsamplers", None if last else DownSample(width)))
            before = width
        self.mid_block = Level([EncoderResnet(before, before, groups) for _ in range(2)], [EncoderAttention(before, groups)])
        self.conv_norm_out = nn.GroupNorm(groups, before, eps=SPATIAL_EPS)
        self.conv_out = nn.Conv2d(before, latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in (*self.down_blocks, self.mid_block):
            for step in level.steps():
                x = step(x)
        out: Tensor = self.conv_out(silu_(self.conv_norm_out(x)))
        return out


class Decoder(nn.Module):
    """Latents (B, 4, h, w) to pictures (B, 3, 8 h, 8 w); every norm reads the latents too."""

    def __init__(self, channels: int, latent_channels: int, widths: tuple[int, ...], layers: int, attends: list[bool]) -> None:
        super().__init__()
        before = widths[-1]
        self.conv_in = nn.Conv2d(latent_channels, before, 3, padding=1)
        self.mid_block = Level(
            [DecoderResnet(before, before, latent_channels) for _ in range(2)], [DecoderAttention(before, latent_channels)]
        )
        self.up_blocks = nn.ModuleList()
        for index, (width, attending) in enumerate(zip(reversed(widths), attends, strict=True)):
            resnets: list[nn.Module] = [
                DecoderResnet(before if i == 0 else width, width, latent_channels) for i in range(layers + 1)
            ]
            attentions: list[nn.Module] = [DecoderAttention(width, latent_channels) for _ in resnets if attending]
            last = index == len(widths) - 1
            self.up_blocks.append(Level(resnets, attentions, "upsamplers", None if last else UpSample(width)))
            before = width
        self.conv_norm_out = SpatialNorm(before, latent_channels)
        self.conv_out = nn.Conv2d(before, channels, 3, padding=1)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in (self.mid_block, *self.up_blocks):
            for step in level.steps():
                x = step(x, latents)
        out: Tensor = self.conv_out(silu_(self.conv_norm_out(x, latents, overwrite=True)))
        return out


class MoVQ(Network):
    """The autoencoder, with the parameter names of diffusers' `VQModel` of norm type "spatial", less the codebook.

    Latents are neither quantised nor scaled. Sides of pictures are multiples of 8 (4 levels).
    Source: ai-forever/Kandinsky-3 kandinsky3/movq.py; Zheng et al. 2022 (MoVQ).
    """

    @keeps_config
    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",) * 3 + ("AttnDownEncoderBlock2D",),
        up_block_types: tuple[str, ...] = ("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 3,
        block_out_channels: tuple[int, ...] = (256, 512, 512, 1024),
        layers_per_block: int = 2,
        latent_channels: int = 4,
        norm_num_groups: int = 32,
        vq_embed_dim: int = 4,
        norm_type: str = "spatial",
    ) -> None:
        if norm_type != "spatial":
            raise ValueError(f"norm_type is {norm_type!r}, but Kandinsky 3's decoder has spatial norms")
        super().__init__()
        down = [kind.startswith("Attn") for kind in down_block_types]
        up = [kind.startswith("Attn") for kind in up_block_types]
        widths = tuple(block_out_channels)
        self.encoder = Encoder(in_channels, latent_channels, widths, layers_per_block, norm_num_groups, down)
        self.quant_conv = nn.Conv2d(latent_channels, vq_embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(vq_embed_dim, latent_channels, 1)
        self.decoder = Decoder(out_channels, vq_embed_dim, widths, layers_per_block, up)

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents (B, 4, H/8, W/8) of pictures (B, 3, H, W) in [-1, 1]."""
        latents: Tensor = self.quant_conv(self.encoder(pictures.contiguous(memory_format=torch.channels_last)))
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, 8 h, 8 w), about [-1, 1], from latents (B, 4, h, w) as they are."""
        latents = latents.contiguous(memory_format=torch.channels_last)
        pictures: Tensor = self.decoder(self.post_quant_conv(latents), latents)
        return pictures

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures through the latent and back."""
        return self.decode(self.encode(pictures))

"""KandiSuperRes' UNet: the noisy large picture beside the small one, both in pixels, to the clean large picture."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.conditions import sinusoidal
from engine.models.network import Network, keeps_config
from engine.models.norms import add_, modulated, silu_


class Resampling(nn.Module):
    """Half or double the sides by a 4x4 convolution. The second level of names is the checkpoints'."""

    def __init__(self, channels: int, up: bool) -> None:
        super().__init__()
        conv = nn.ConvTranspose2d if up else nn.Conv2d
        self.change_resolution = conv(channels, channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        resampled: Tensor = self.change_resolution(x)
        return resampled


class Block(nn.Module):
    """What one half of a resnet block has: norm, change of resolution if any, 3x3 convolution."""

    def __init__(self, width_in: int, width_out: int, groups: int, resample: str | None = None) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, width_in)
        self.change_resolution = Resampling(width_in, resample == "up") if resample else nn.Identity()
        self.projection = nn.Conv2d(width_in, width_out, 3, padding=1)

    def modulated(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """The norm, scaled by `scale + 1` and shifted, both (R, C) for R equal shares of the batch."""
        scale = scale + 1
        weight, bias = self.group_norm.weight * scale, torch.addcmul(shift, self.group_norm.bias, scale)
        return modulated(x, self.group_norm.num_groups, weight, bias)


class ResNetBlock(nn.Module):
    """Two halves beside a shortcut. The first is linear after its norm; the second one's norm hears the time and has a SiLU.

    resample: "up" or "down" changes the resolution in the first half and, with weights of its own, in the shortcut.
    """

    def __init__(self, width_in: int, width_out: int, time_dim: int, groups: int, resample: str | None = None) -> None:
        super().__init__()
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(time_dim, 2 * width_out))
        self.in_block = Block(width_in, width_out, groups, resample)
        self.out_block = Block(width_out, width_out, groups)
        self.change_resolution = Resampling(width_in, resample == "up") if resample else nn.Identity()
        same = width_in == width_out and resample is None
        self.res_block = nn.Identity() if same else nn.Conv2d(width_in, width_out, 1)
        self._folds = resample == "up"
        # buffers, so that they move and are copied with the weights
        self.register_buffer("folded_kernel", None, persistent=False)
        self.register_buffer("folded_bias", None, persistent=False)
        self.register_load_state_dict_post_hook(_unfold)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x: (B, C, H, W).  embedding: activated, (R, D) for R equal shares of the batch."""
        scale, shift = self.time_mlp(embedding).chunk(2, dim=1)
        h = self.in_block.group_norm(x)  # each line frees what the line before made: two large tensors live at a time
        h = self.in_block.change_resolution(h)
        h = self.in_block.projection(h)
        h = silu_(self.out_block.modulated(h, scale, shift))
        h = self.out_block.projection(h)
        return add_(h, self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.folded_kernel is not None and not torch.is_grad_enabled():
            return F.conv_transpose2d(x, self.folded_kernel, self.folded_bias, stride=2, padding=1)
        shortcut: Tensor = self.res_block(self.change_resolution(x))
        return shortcut

    @torch.no_grad()
    def fold(self) -> None:
        """Make one transposed convolution of the shortcut's doubling and 1x1 convolution, without the large tensor between them.

        Loading other weights lets go of it; it does not follow weights that are changed in place.
        """
        if not self._folds:
            return
        inner, outer = self.change_resolution.get_submodule("change_resolution"), self.res_block
        weight = inner.get_parameter("weight")
        mix = outer.get_parameter("weight")[:, :, 0, 0].double()  # (out, in)
        kernel = torch.einsum("om,imyx->ioyx", mix, weight.double())
        bias = mix @ inner.get_parameter("bias").double() + outer.get_parameter("bias").double()
        self.folded_kernel = kernel.to(weight).contiguous(memory_format=torch.channels_last)
        self.folded_bias = bias.to(weight)


def _unfold(block: nn.Module, incompatible: object) -> None:
    """Let go of what was folded of the weights before."""
    block.folded_kernel = block.folded_bias = None  # type: ignore[assignment]


class Level(nn.Module):
    """Resnet blocks of one level. The checkpoints keep a place for attention beside each, which no network of theirs has."""

    def __init__(self, blocks: list[ResNetBlock]) -> None:
        super().__init__()
        self.resnet_attn_blocks = nn.ModuleList([nn.ModuleList([block]) for block in blocks])


class SuperResolutionUNet(Network):
    """The network of KandiSuperRes x4, x2 and Flash x2, with the official parameter names. It predicts the clean picture.

    num_resnet_blocks: per level, at least 2.  Sides of pictures are multiples of 8 (4 levels).
    patch, adds: of small networks of our own. They read squares of `patch` pixels as one, so that two levels, where the official
    ones have four, halve as often with `patch` 4; and what they say is added to the small picture.
    Source: ai-forever/KandiSuperRes KandiSuperRes/model/unet_sr.py.
    """

    @keeps_config
    def __init__(
        self,
        num_channels: int = 3,
        init_channels: int = 128,
        model_channels: int = 128,
        time_embed_dim: int = 512,
        groups: int = 32,
        dim_mult: tuple[int, ...] = (1, 2, 4, 8),
        num_resnet_blocks: tuple[int, ...] = (2, 4, 8, 8),
        patch: int = 1,
        adds: bool = False,
    ) -> None:
        super().__init__()
        self._patch, self._adds = patch, adds
        widths = [init_channels, *(model_channels * multiple for multiple in dim_mult)]
        self.to_time_embed = nn.Sequential(
            nn.Identity(), nn.Linear(init_channels, time_embed_dim), nn.SiLU(), nn.Linear(time_embed_dim, time_embed_dim)
        )
        self.init_conv = nn.Conv2d(2 * num_channels * patch**2, init_channels, 3, padding=1)
        levels = list(zip(pairwise(widths), num_resnet_blocks, strict=True))
        self.down_samples = nn.ModuleList(
            [
                _down_level(finer, coarser, count, time_embed_dim, groups, index != len(levels) - 1)
                for index, ((finer, coarser), count) in enumerate(levels)
            ]
        )
        self.up_samples = nn.ModuleList(
            [
                _up_level(coarser, finer, count, time_embed_dim, groups, index != 0)
                for index, ((finer, coarser), count) in enumerate(reversed(levels))
            ]
        )
        self.norm = nn.GroupNorm(groups, init_channels)
        self.out_conv = nn.Conv2d(init_channels, num_channels * patch**2, 3, padding=1)

    def settle(self) -> None:
        """Fold what runs of the same weights at every call. Call it after loading, and again if weights change."""
        for block in self.modules():
            if isinstance(block, ResNetBlock):
                block.fold()

    def forward(self, sample: Tensor, timestep: Tensor | float, low_res: Tensor) -> Tensor:
        """Predict clean pictures (B, 3, H, W) from noisy ones.

        timestep: () or (B,).  low_res: (B, 3, H, W), already enlarged, bilinear.
        """
        embedding = self._embed(torch.as_tensor(timestep, device=sample.device).reshape(-1))  # (1 or B, D)
        x = torch.cat([sample, low_res], dim=1)
        if self._patch > 1:
            x = F.pixel_unshuffle(x, self._patch)
        x = self.init_conv(x.contiguous(memory_format=torch.channels_last))
        skips: list[Tensor] = []
        for level in self.down_samples:
            for block in _blocks(level):
                x = block(x, embedding)
            skips.append(x)
        skips.pop()  # the deepest is x itself
        for index, level in enumerate(self.up_samples):
            if index:
                x = torch.cat([x, skips.pop()], dim=1)
            for block in _blocks(level):
                x = block(x, embedding)
        x = silu_(self.norm(x))
        out: Tensor = self.out_conv(x)
        if self._patch > 1:
            out = F.pixel_shuffle(out, self._patch)
        return out + low_res if self._adds else out

    def _embed(self, timesteps: Tensor) -> Tensor:
        """Embed times (R,) to (R, D), activated, as all blocks read it."""
        weight = self.to_time_embed.get_parameter("1.weight")
        waves = sinusoidal(timesteps, weight.shape[1]).to(weight.dtype)
        return F.silu(self.to_time_embed(waves))


def _down_level(width_in: int, width_out: int, count: int, time_dim: int, groups: int, resample: bool) -> Level:
    """The first block halves the sides, unless this is the deepest level."""
    first = ResNetBlock(width_in, width_out, time_dim, groups, "down" if resample else None)
    return Level([first, *(ResNetBlock(width_out, width_out, time_dim, groups) for _ in range(count - 1))])


def _up_level(width_in: int, width_out: int, count: int, time_dim: int, groups: int, resample: bool) -> Level:
    """The last block doubles the sides; all levels but the deepest begin with a skip beside what comes from below."""
    first = ResNetBlock(2 * width_in if resample else width_in, width_in, time_dim, groups)
    between = [ResNetBlock(width_in, width_in, time_dim, groups) for _ in range(count - 2)]
    return Level([first, *between, ResNetBlock(width_in, width_out, time_dim, groups, "up" if resample else None)])


def _blocks(level: nn.Module) -> list[nn.Module]:
    """In order. The caller runs them one by one, so that no frame keeps a large tensor that has been used."""
    return [pair.get_submodule("0") for pair in level.get_submodule("resnet_attn_blocks").children()]

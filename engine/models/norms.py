"""Group norms whose scale and shift come from outside: from time and text in the UNet, from the latent in the decoder.

Statistics are float32 whatever the tensors are. Without gradients, tensors that nobody else reads are overwritten.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONDITIONAL_EPS = 1e-5
SPATIAL_EPS = 1e-6
SPATIAL_GROUPS = 32  # whatever the encoder's groups are: the checkpoints were made so


def silu_(x: Tensor) -> Tensor:
    """SiLU, over `x` itself if no gradient needs it."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def add_(fresh: Tensor, x: Tensor) -> Tensor:
    """`fresh + x`, into `fresh` if no gradient needs it."""
    return fresh + x if torch.is_grad_enabled() else fresh.add_(x)


def modulated(x: Tensor, groups: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Group norm of x, times scale, plus shift.

    x: (B, C, H, W).  scale, shift: (R, C) for R shares of the batch of equal size, one after another.
    """
    if scale.shape[0] == 1:
        return F.group_norm(x, groups, scale[0], shift[0], CONDITIONAL_EPS)
    shares = F.group_norm(x, groups, eps=CONDITIONAL_EPS).unflatten(0, (scale.shape[0], -1))  # (R, B/R, C, H, W)
    scale, shift = scale[:, None, :, None, None], shift[:, None, :, None, None]
    target = None if torch.is_grad_enabled() else shares
    return torch.addcmul(shift, shares, scale, out=target).flatten(0, 1)


class ConditionalGroupNorm(nn.Module):
    """Group norm scaled and shifted by a linear map of the activated time embedding.

    The map is applied beforehand for all norms (`engine.models.conditions`); `index` is this norm's place among them.
    """

    def __init__(self, groups: int, channels: int, time_embedding_dim: int) -> None:
        super().__init__()
        self.groups = groups
        self.channels = channels
        self.index = -1
        linear = nn.Linear(time_embedding_dim, 2 * channels)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        self.context_mlp = nn.Sequential(nn.Identity(), linear)

    @property
    def linear(self) -> nn.Linear:
        """The map from the time embedding to scale - 1 and shift."""
        linear = self.context_mlp[1]
        assert isinstance(linear, nn.Linear)  # noqa: S101 (a name for the type checker)
        return linear

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return modulated(x, self.groups, scale, shift)


class SpatialNorm(nn.Module):
    """Group norm scaled and shifted, place by place, by two 1x1 convolutions of the latent.

    The convolutions and the norm's own weights are combined at the latent's size; each latent cell then serves its square of
    pixels without being copied.
    Source: Zheng et al. 2022 (MoVQ), section 3.2.
    """

    def __init__(self, channels: int, latent_channels: int) -> None:
        super().__init__()
        self.norm_layer = nn.GroupNorm(SPATIAL_GROUPS, channels, eps=SPATIAL_EPS)
        self.conv_y = nn.Conv2d(latent_channels, channels, 1)
        self.conv_b = nn.Conv2d(latent_channels, channels, 1)

    def forward(self, x: Tensor, latents: Tensor, overwrite: bool = False) -> Tensor:
        """x: (B, C, s h, s w) in channels-last layout.  latents: (B, 4, h, w).  overwrite: nobody reads x afterwards."""
        factor, addend = self.conv_y(latents), self.conv_b(latents)  # (B, C, h, w)
        if torch.is_grad_enabled():
            return _by_cells(self.norm_layer(x), factor, addend)
        mean, rstd = group_statistics(x, SPATIAL_GROUPS, SPATIAL_EPS)  # (B, C, 1, 1)
        weight, bias = self.norm_layer.weight[:, None, None], self.norm_layer.bias[:, None, None]
        factor, weight = factor.to(mean.dtype), weight * rstd
        scale, shift = factor * weight, torch.addcmul(addend, factor, bias - mean * weight)  # (B, C, h, w)
        return _by_cells(x, scale, shift, into=x if overwrite else torch.empty_like(x))


def _by_cells(x: Tensor, scale: Tensor, shift: Tensor, into: Tensor | None = None) -> Tensor:
    """x (B, C, s h, s w) times scale, plus shift, both (B, C, h, w): each of their cells serves a square of s by s."""
    height, width = scale.shape[-2:]

    def squares(y: Tensor) -> Tensor:
        split: Tensor = y.unflatten(3, (width, -1)).unflatten(2, (height, -1))  # (B, C, h, s, w, s)
        return split

    target = None if into is None else squares(into)
    out = torch.addcmul(shift[:, :, :, None, :, None], squares(x), scale[:, :, :, None, :, None], out=target)
    return out.flatten(4, 5).flatten(2, 3) if into is None else into


def group_statistics(x: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and inverse standard deviation of each group, repeated for its channels: (B, C, 1, 1), float32 at least."""
    batch, channels, height, width = x.shape
    if x.dtype.itemsize >= torch.float32.itemsize:  # its normalised tensor is dropped: var_mean takes ten times as long
        _, mean, rstd = torch.native_group_norm(x, None, None, batch, channels, height * width, groups, eps)
    else:  # it would round the statistics to half precision
        grouped = x.unflatten(1, (groups, -1))  # (B, G, C/G, H, W)
        count = grouped[0, 0].numel()
        mean = grouped.sum(dim=(2, 3, 4), dtype=torch.float32) / count
        norm = torch.linalg.vector_norm(grouped, dim=(2, 3, 4), dtype=torch.float32)
        rstd = torch.rsqrt((norm.square() / count - mean.square()).clamp(min=0) + eps)
    each = channels // groups
    return (mean.repeat_interleave(each, dim=1)[:, :, None, None], rstd.repeat_interleave(each, dim=1)[:, :, None, None])

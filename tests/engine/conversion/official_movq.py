"""The official autoencoder, stated plainly from the facts under the official names, at a tiny width.

Source: shared/engine-facts.md 1.4, 2.3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS, MULTIPLES, RESNETS, LATENT = 32, (1, 2, 2, 4), 2, 4


class Norm(nn.Module):
    def __init__(self, width: int, latent: int = 0) -> None:
        super().__init__()
        self.norm_layer = nn.GroupNorm(32, width, eps=1e-6)
        if latent:
            self.conv_y, self.conv_b = nn.Conv2d(latent, width, 1), nn.Conv2d(latent, width, 1)

    def forward(self, x: Tensor, z: Tensor | None) -> Tensor:
        normed = self.norm_layer(x)
        if z is None:
            return normed
        z = F.interpolate(z, size=x.shape[2:], mode="nearest")
        return normed * self.conv_y(z) + self.conv_b(z)


class Resnet(nn.Module):
    def __init__(self, width: int, out: int, latent: int = 0) -> None:
        super().__init__()
        self.norm1, self.conv1 = Norm(width, latent), nn.Conv2d(width, out, 3, padding=1)
        self.norm2, self.conv2 = Norm(out, latent), nn.Conv2d(out, out, 3, padding=1)
        if width != out:
            self.nin_shortcut = nn.Conv2d(width, out, 1)

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x, z)))
        h = self.conv2(F.silu(self.norm2(h, z)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, width: int, latent: int = 0) -> None:
        super().__init__()
        self.norm = Norm(width, latent)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        h = self.norm(x, z)
        q, k, v = (each(h).flatten(2) for each in (self.q, self.k, self.v))
        weights = (q.mT @ k * q.shape[1] ** -0.5).softmax(2)
        return x + self.proj_out((v @ weights.mT).unflatten(2, x.shape[2:]))


def level(widths: list[tuple[int, int]], attends: bool, latent: int = 0) -> nn.Module:
    made = nn.Module()
    made.block = nn.ModuleList([Resnet(before, after, latent) for before, after in widths])
    made.attn = nn.ModuleList([Attention(after, latent) for _, after in widths if attends])
    return made


def middle(width: int, latent: int = 0) -> nn.Module:
    made = nn.Module()
    made.block_1, made.attn_1, made.block_2 = Resnet(width, width, latent), Attention(width, latent), Resnet(width, width, latent)
    return made


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.down, before = nn.ModuleList(), CHANNELS
        for index, multiple in enumerate(MULTIPLES):
            width = CHANNELS * multiple
            made = level([(before if i == 0 else width, width) for i in range(RESNETS)], index == len(MULTIPLES) - 1)
            if index < len(MULTIPLES) - 1:
                made.downsample = nn.Module()
                made.downsample.conv = nn.Conv2d(width, width, 3, 2)
            self.down.append(made)
            before = width
        self.mid, self.norm_out, self.conv_out = middle(before), Norm(before), nn.Conv2d(before, LATENT, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for made in self.down:
            for index, block in enumerate(made.block):
                x = block(x)
                x = made.attn[index](x) if len(made.attn) else x
            x = made.downsample.conv(F.pad(x, (0, 1, 0, 1))) if hasattr(made, "downsample") else x
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(x)))
        return self.conv_out(F.silu(self.norm_out(x, None)))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        before = CHANNELS * MULTIPLES[-1]
        self.conv_in, self.mid = nn.Conv2d(LATENT, before, 3, padding=1), middle(before, LATENT)
        levels = []
        for index, multiple in reversed(list(enumerate(MULTIPLES))):
            width = CHANNELS * multiple
            widths = [(before if i == 0 else width, width) for i in range(RESNETS + 1)]
            made = level(widths, index == len(MULTIPLES) - 1, LATENT)
            if index:
                made.upsample = nn.Module()
                made.upsample.conv = nn.Conv2d(width, width, 3, padding=1)
            levels.insert(0, made)
            before = width
        self.up = nn.ModuleList(levels)
        self.norm_out, self.conv_out = Norm(before, LATENT), nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        x = self.conv_in(x)
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(x, z), z), z)
        for made in reversed(self.up):
            for index, block in enumerate(made.block):
                x = block(x, z)
                x = made.attn[index](x, z) if len(made.attn) else x
            x = made.upsample.conv(F.interpolate(x, scale_factor=2.0)) if hasattr(made, "upsample") else x
        return self.conv_out(F.silu(self.norm_out(x, z)))


class OfficialMoVQ(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.quant_conv, self.post_quant_conv = nn.Conv2d(LATENT, LATENT, 1), nn.Conv2d(LATENT, LATENT, 1)

    def encode(self, x: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(x))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z), z)

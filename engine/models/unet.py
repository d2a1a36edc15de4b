"""Kandinsky 3's UNet: one class for text-to-image, Flash, inpainting, outlines, picture prompts and regions."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.models.blocks import DownSampleBlock, UpSampleBlock, pack, settle, unpack
from engine.models.conditions import (
    AttentionPooling,
    Branch,
    Conditioner,
    Conditions,
    PictureTokens,
    Prepared,
    TimeEmbedding,
)
from engine.models.network import Network, keeps_config
from engine.models.norms import silu_


class Prediction(NamedTuple):
    """What the UNet says about a noisy sample, (B, out_channels, h, w)."""

    sample: Tensor


class ContextProjection(nn.Module):
    """From the text encoder's width to the UNet's. Checkpoints in diffusers' layout keep it inside of the UNet."""

    def __init__(self, encoder_hid_dim: int, cross_attention_dim: int) -> None:
        super().__init__()
        self.projection_linear = nn.Linear(encoder_hid_dim, cross_attention_dim, bias=False)
        self.projection_norm = nn.LayerNorm(cross_attention_dim)

    def forward(self, states: Tensor) -> Tensor:
        projected: Tensor = self.projection_norm(self.projection_linear(states))
        return projected


class Kandinsky3UNet(Network):
    """The denoising network, with diffusers' parameter names.

    out_channels: in_channels if None; 4 for inpainting, which reads 9.  encoder_hid_dim: width of texts that `forward` still has
    to project, None if they come projected, as from official checkpoints.  Sides of latents are multiples of 8.
    Source: ai-forever/Kandinsky-3 kandinsky3/model/unet.py; huggingface/diffusers models/unets/unet_kandinsky3.py (names).
    """

    @keeps_config
    def __init__(
        self,
        in_channels: int = 4,
        time_embedding_dim: int = 1536,
        groups: int = 32,
        attention_head_dim: int = 64,
        layers_per_block: int = 3,
        block_out_channels: tuple[int, ...] = (384, 768, 1536, 3072),
        cross_attention_dim: int = 4096,
        encoder_hid_dim: int | None = 4096,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        stem = block_out_channels[0] // 2
        self.time_embedding = TimeEmbedding(stem, time_embedding_dim)
        self.add_time_condition = AttentionPooling(time_embedding_dim, cross_attention_dim, attention_head_dim)
        self.conv_in = nn.Conv2d(in_channels, stem, 3, padding=1)
        self.encoder_hid_proj: nn.Module = nn.Identity()
        if encoder_hid_dim is not None:
            self.encoder_hid_proj = ContextProjection(encoder_hid_dim, cross_attention_dim)

        widths = (stem, *block_out_channels)
        levels = range(len(block_out_channels))
        texts = [None] + [cross_attention_dim] * (len(block_out_channels) - 1)  # the finest level does not attend
        common = {"time_dim": time_embedding_dim, "layers": layers_per_block, "groups": groups, "head_dim": attention_head_dim}
        self.down_blocks = nn.ModuleList(
            [
                DownSampleBlock(widths[i], widths[i + 1], context_dim=texts[i], down_sample=i != levels[-1], **common)
                for i in levels
            ]
        )
        self.up_blocks = nn.ModuleList(
            [
                UpSampleBlock(
                    widths[i + 1],
                    0 if i == levels[-1] else widths[i + 1],
                    widths[i],
                    context_dim=texts[i],
                    up_sample=i != levels[-1],
                    **common,
                )
                for i in reversed(levels)
            ]
        )
        self.conv_norm_out = nn.GroupNorm(groups, stem)
        self.conv_out = nn.Conv2d(stem, out_channels or in_channels, 3, padding=1)
        self.conditioner = Conditioner(self.time_embedding, self.add_time_condition, [self.down_blocks, self.up_blocks])

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        encoder_attention_mask: Tensor | None = None,
        residuals: Sequence[Tensor] = (),
        picture: Sequence[PictureTokens] = (),
        return_dict: bool = True,
    ) -> Prediction:
        """Predict without preparation: sample (B, in, h, w), timestep () or (B,), text (B, L, C) and mask (B, L), 1 = counts.

        residuals: as for `denoise`.  picture: what each cross-attention reads of a picture, if any.  return_dict: diffusers'
        pipelines pass it; the answer reads both ways.
        """
        timesteps = torch.as_tensor(timestep, device=sample.device).expand(sample.shape[0])
        mask = None if encoder_attention_mask is None else encoder_attention_mask.bool()
        conditions = self.conditioner.plain(timesteps, self.encoder_hid_proj(encoder_hidden_states), mask, picture)
        return Prediction(self._run(sample, conditions, residuals))

    def settle(self) -> None:
        """Make the loop lighter once all weights are in place; call it again if they change."""
        settle(self, self.conditioner)

    def pack(self) -> None:
        """The part of `settle` that a move to another device ends."""
        pack(self, self.conditioner)

    def unpack(self) -> None:
        """Let go of it before a move."""
        unpack(self, self.conditioner)

    def prepare(self, timesteps: Sequence[int], branches: Sequence[Branch]) -> Prepared:
        """Everything that the passes of a request share; texts come projected."""
        return self.conditioner.prepare(timesteps, branches)

    def denoise(self, sample: Tensor, prepared: Prepared, step: int, residuals: Sequence[Tensor] = ()) -> Tensor:
        """Predict at the step of this index: (B, in, h, w) to (B, out, h, w), the branches one after another along B.

        residuals: added to the skips, finest first: (B, 384, h/2, w/2), (B, 768, h/4, w/4), (B, 1536, h/8, w/8).
        """
        return self._run(sample, prepared.step(step), residuals)

    def _run(self, sample: Tensor, conditions: Conditions, residuals: Sequence[Tensor]) -> Tensor:
        x = self.conv_in(sample.contiguous(memory_format=torch.channels_last))  # (B, 192, h, w)
        skips: list[Tensor] = []
        for block in self.down_blocks:
            x = block(x, conditions)
            skips.append(x)
        skips.pop()  # the deepest is x itself
        for level, residual in enumerate(residuals):
            skips[level] = skips[level] + residual

        for level, block in enumerate(self.up_blocks):
            if level:
                x = torch.cat([x, skips.pop()], dim=1)
            x = block(x, conditions)
        out: Tensor = self.conv_out(silu_(self.conv_norm_out(x)))  # (B, out, h, w)
        return out

"""The outline network (ControlNet): reads an outline beside the noisy latents and says what to add to the UNet's skips."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.models.blocks import DownSampleBlock, pack, settle, unpack
from engine.models.conditions import AttentionPooling, Branch, Conditioner, Conditions, Prepared, TimeEmbedding
from engine.models.network import Network, keeps_config
from engine.models.norms import silu_

HINT_WIDTHS = ((16, 1), (16, 1), (32, 2), (32, 1), (96, 2), (96, 1), (256, 2))  # channels and stride of each convolution


class InputHint(nn.Module):
    """Outline (B, 3, 8 h, 8 w) to the width of the UNet's first convolution (B, 192, h, w)."""

    def __init__(self, hint_channels: int, width: int) -> None:
        super().__init__()
        before = hint_channels
        for index, (channels, stride) in enumerate(HINT_WIDTHS, start=1):
            self.add_module(f"conv{index}", nn.Conv2d(before, channels, 3, stride=stride, padding=1))
            before = channels
        self.out = _silent(nn.Conv2d(before, width, 3, padding=1))

    def forward(self, hint: Tensor) -> Tensor:
        for index in range(1, len(HINT_WIDTHS) + 1):
            hint = silu_(self.get_submodule(f"conv{index}")(hint))
        features: Tensor = self.out(hint)
        return features


class Kandinsky3ControlNet(Network):
    """The UNet's way down without its last level, with a convolution after each level.

    That convolution's result is both the residual and what the next level reads. An untrained network adds nothing. Names are
    the UNet's, plus those of the fork: `input_hint_block` and `convs`.
    Source: ai-forever/kandinsky3-diffusers models/unet_kandi3.py: UNetKandi3Controlnet.
    """

    @keeps_config
    def __init__(
        self,
        in_channels: int = 4,
        time_embedding_dim: int = 1536,
        groups: int = 32,
        attention_head_dim: int = 64,
        layers_per_block: int = 3,
        block_out_channels: tuple[int, ...] = (384, 768, 1536),
        cross_attention_dim: int = 4096,
        hint_channels: int = 3,
    ) -> None:
        super().__init__()
        stem = block_out_channels[0] // 2
        self.input_hint_block = InputHint(hint_channels, stem)
        self.time_embedding = TimeEmbedding(stem, time_embedding_dim)
        self.add_time_condition = AttentionPooling(time_embedding_dim, cross_attention_dim, attention_head_dim)
        self.conv_in = nn.Conv2d(in_channels, stem, 3, padding=1)
        widths = (stem, *block_out_channels)
        self.down_blocks = nn.ModuleList(
            [
                DownSampleBlock(
                    widths[i],
                    widths[i + 1],
                    time_embedding_dim,
                    cross_attention_dim if i else None,
                    layers_per_block,
                    groups,
                    attention_head_dim,
                    down_sample=True,
                )
                for i in range(len(block_out_channels))
            ]
        )
        self.convs = nn.ModuleList([_silent(nn.Conv2d(width, width, 1)) for width in block_out_channels])
        self.conditioner = Conditioner(self.time_embedding, self.add_time_condition, [self.down_blocks])

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        hint: Tensor,
        encoder_attention_mask: Tensor | None = None,
    ) -> list[Tensor]:
        """Residuals without preparation: sample (B, 4, h, w), hint (B, 3, 8 h, 8 w); the rest as for the UNet, text projected."""
        timesteps = torch.as_tensor(timestep, device=sample.device).expand(sample.shape[0])
        mask = None if encoder_attention_mask is None else encoder_attention_mask.bool()
        conditions = self.conditioner.plain(timesteps, encoder_hidden_states, mask)
        return self._run(sample, self.hint_features(hint), conditions, 1.0)

    def hint_features(self, hint: Tensor) -> Tensor:
        """What the loop reads of an outline (B, 3, 8 h, 8 w): once per request."""
        features: Tensor = self.input_hint_block(hint.contiguous(memory_format=torch.channels_last))
        return features

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

    def residuals(
        self, sample: Tensor, hint_features: Tensor, prepared: Prepared, step: int, controlnet_conditioning_scale: float = 1.0
    ) -> list[Tensor]:
        """Residuals for `Kandinsky3UNet.denoise`, finest first. hint_features: of the whole batch, or (1, 192, h, w) for all."""
        return self._run(sample, hint_features, prepared.step(step), controlnet_conditioning_scale)

    def _run(self, sample: Tensor, hint_features: Tensor, conditions: Conditions, scale: float) -> list[Tensor]:
        x = self.conv_in(sample.contiguous(memory_format=torch.channels_last)) + hint_features  # (B, 192, h, w)
        residuals = []
        for block, conv in zip(self.down_blocks, self.convs, strict=True):
            x = conv(block(x, conditions))
            residuals.append(x if scale == 1 else x * scale)
        return residuals


def _silent(conv: nn.Conv2d) -> nn.Conv2d:
    """The same with zero weights."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv

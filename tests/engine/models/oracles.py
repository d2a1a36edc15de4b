"""Tiny networks with random weights, each with diffusers' class of the same weights, and statements of what adapters do to it."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.vq_model import VQModel
from diffusers.models.unets.unet_kandinsky3 import Kandinsky3UNet as DiffusersUNet
from torch import Tensor, nn

from engine.models.conditions import Branch
from engine.models.controlnet import Kandinsky3ControlNet
from engine.models.movq import MoVQ
from engine.models.unet import Kandinsky3UNet

WIDTHS = (16, 32, 64, 64)
CONTEXT = 32
UNET = {
    "time_embedding_dim": 32,
    "groups": 4,
    "attention_head_dim": 8,
    "layers_per_block": 2,
    "block_out_channels": WIDTHS,
    "cross_attention_dim": CONTEXT,
}
MOVQ: dict[str, Any] = {
    "block_out_channels": (32, 32, 64, 64),
    "layers_per_block": 1,
    "latent_channels": 4,
    "vq_embed_dim": 4,
    "norm_num_groups": 8,
    "norm_type": "spatial",
    "down_block_types": ("DownEncoderBlock2D",) * 3 + ("AttnDownEncoderBlock2D",),
    "up_block_types": ("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 3,
}


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest difference as a share of the largest value."""
    return float(((found - expected).abs().max() / expected.abs().max()).detach())


def awaken(network: nn.Module) -> None:
    """Give random values to what starts at zero: conditional norms, output layers of adapters."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)


def unet_pair(encoder_hid_dim: int | None = None, seed: int = 0, **changes: Any) -> tuple[Kandinsky3UNet, DiffusersUNet]:
    """Our UNet and diffusers' with the same weights."""
    torch.manual_seed(seed)
    reference = DiffusersUNet(**UNET, encoder_hid_dim=encoder_hid_dim or CONTEXT, in_channels=changes.get("in_channels", 4))
    if "out_channels" in changes:
        reference.conv_out = nn.Conv2d(WIDTHS[0] // 2, changes["out_channels"], 3, padding=1)
    if encoder_hid_dim is None:
        reference.encoder_hid_proj = nn.Identity()
    awaken(reference)
    own = Kandinsky3UNet(**UNET, encoder_hid_dim=encoder_hid_dim, **changes)
    own.load_state_dict(reference.state_dict())
    return own.eval(), reference.eval()


def movq_pair() -> tuple[MoVQ, VQModel]:
    """Our autoencoder and diffusers' with the same weights."""
    torch.manual_seed(0)
    reference = VQModel(**MOVQ, num_vq_embeddings=16).eval()
    own = MoVQ(**MOVQ).eval()
    own.load_state_dict({name: value for name, value in reference.state_dict().items() if not name.startswith("quantize.")})
    return own, reference


def branch(length: int, counted: int, seed: int, **rest: Any) -> Branch:
    """A random projected text of which the first tokens count."""
    states = torch.randn(1, length, CONTEXT, generator=torch.Generator().manual_seed(seed))
    return Branch(states, torch.arange(length)[None] < counted, **rest)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Softmax attention written out. query (B, N, C); key, value (B, n, C); mask (B, n)."""
    query, key, value = (each.unflatten(2, (heads, -1)).transpose(1, 2) for each in (query, key, value))
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -torch.finfo(scores.dtype).max)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


class Written:
    """A processor for diffusers' cross-attentions that does what `rule(attention, index, x, query)` says."""

    def __init__(self, index: int, rule: Callable[[Any, int, Tensor, Tensor], Tensor]) -> None:
        self._index = index
        self._rule = rule

    def __call__(self, attention: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._rule(attention, self._index, hidden_states, attention.to_q(hidden_states))


def rewrite(reference: DiffusersUNet, rule: Callable[[Any, int, Tensor, Tensor], Tensor]) -> None:
    """Let all cross-attentions of diffusers' UNet follow a rule, counted from the finest level down, then up."""
    levels = [*reference.down_blocks[1:], *reference.up_blocks[:-1]]
    blocks = [block for level in levels for block in level.attentions[1:]]
    for index, block in enumerate(blocks):
        block.attention.set_processor(Written(index, rule))


def walk(reference: DiffusersUNet, sample: Tensor, t: int, text: Branch, residuals: list[Tensor]) -> Tensor:
    """diffusers' forward, block by block, with residuals added to the skips just before they are joined."""
    mask = ((1 - text.mask.float()) * -10_000.0)[:, None]
    embedding = reference.time_embedding(reference.time_proj(torch.tensor([t]).expand(sample.shape[0])))
    embedding = reference.add_time_condition(embedding, text.states, mask)
    x = reference.conv_in(sample)
    skips = []
    for block in reference.down_blocks:
        x = block(x, embedding, text.states, mask)
        skips.append(x)
    x = reference.up_blocks[0](x, embedding, text.states, mask)
    for level in (2, 1, 0):
        x = torch.cat([x, skips[level] + residuals[level]], dim=1)
        x = reference.up_blocks[3 - level](x, embedding, text.states, mask)
    return reference.conv_out(F.silu(reference.conv_norm_out(x)))


def outline_residuals(
    network: Kandinsky3ControlNet, reference: Any, sample: Tensor, t: int, hint: Tensor, text: Branch
) -> list[Tensor]:
    """The facts' words: hint through eight convolutions, added after the first; a 1x1 convolution after each of three levels."""
    mask = ((1 - text.mask.float()) * -10_000.0)[:, None]
    embedding = reference.time_embedding(reference.time_proj(torch.tensor([t]).expand(sample.shape[0])))
    embedding = reference.add_time_condition(embedding, text.states, mask)
    block = network.input_hint_block
    for index, stride in enumerate((1, 1, 2, 1, 2, 1, 2), start=1):
        conv = getattr(block, f"conv{index}")
        hint = F.silu(F.conv2d(hint, conv.weight, conv.bias, stride=stride, padding=1))
    x = reference.conv_in(sample) + F.conv2d(hint, block.out.weight, block.out.bias, padding=1)
    residuals = []
    for level in range(3):
        x = network.convs[level](reference.down_blocks[level](x, embedding, text.states, mask))
        residuals.append(x)
    return residuals

"""A network's sizes from the shapes of its tensors, so a tiny checkpoint converts like a full one.

Shapes do not tell how many channels share a norm or an attention head: 32 and 64 in all that the authors published.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

from engine.errors import WeightsError
from engine.models.picture_prompt import PICTURE_TOKENS

HEAD_DIM = 64
GROUPS = 32
Shapes = Mapping[str, torch.Size]
Config = dict[str, Any]


class Unlike(WeightsError):
    """The shapes are not those of such a network."""


def unet(shapes: Shapes) -> Config:
    """Of `Kandinsky3UNet`, from its own names."""
    config = _unet_trunk(shapes)
    levels = range(_count(shapes, "down_blocks"))
    widths = tuple(_width(shapes, level) for level in levels)
    _multiples(widths[1:], HEAD_DIM, "levels with attention")
    config["block_out_channels"] = widths
    config["out_channels"] = shapes["conv_out.weight"][0]
    return config


def controlnet(shapes: Shapes) -> Config:
    """Of `Kandinsky3ControlNet`, from its own names."""
    config = _unet_trunk(shapes)
    config["block_out_channels"] = tuple(_width(shapes, level) for level in range(_count(shapes, "down_blocks")))
    config["hint_channels"] = shapes["input_hint_block.conv1.weight"][1]
    return config


def picture_prompt(shapes: Shapes, unet_config: Config) -> Config:
    """Of `PicturePrompt`, from its own names and the sizes of the UNet that it was trained with."""
    context = unet_config["cross_attention_dim"]
    if shapes["image_proj.weight"][0] != PICTURE_TOKENS * context:
        raise Unlike(f"it has not {PICTURE_TOKENS} tokens of {context} values a picture")
    return {
        "block_out_channels": unet_config["block_out_channels"],
        "layers_per_block": unet_config["layers_per_block"],
        "cross_attention_dim": context,
        "attention_head_dim": HEAD_DIM,
        "image_embed_dim": shapes["image_proj.weight"][1],
    }


def movq(shapes: Shapes) -> Config:
    """Of `MoVQ`, from its own names."""
    levels = range(_count(shapes, "encoder.down_blocks"))
    down = [any(name.startswith(f"encoder.down_blocks.{level}.attentions.") for name in shapes) for level in levels]
    up = [any(name.startswith(f"decoder.up_blocks.{level}.attentions.") for name in shapes) for level in levels]
    return {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        "block_out_channels": tuple(shapes[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"][0] for level in levels),
        "layers_per_block": _count(shapes, "encoder.down_blocks.0.resnets"),
        "latent_channels": shapes["quant_conv.weight"][1],
        "vq_embed_dim": shapes["quant_conv.weight"][0],
        "norm_num_groups": GROUPS,
        "norm_type": "spatial",
        "down_block_types": tuple(f"{'Attn' if each else ''}DownEncoderBlock2D" for each in down),
        "up_block_types": tuple(f"{'Attn' if each else ''}UpDecoderBlock2D" for each in up),
    }


def super_resolution(shapes: Shapes) -> Config:
    """Of `SuperResolutionUNet`, from its own names, which are the official ones."""
    levels = range(_count(shapes, "down_samples"))
    blocks = [f"down_samples.{level}.resnet_attn_blocks" for level in levels]
    widths = [shapes[f"{each}.0.0.out_block.projection.weight"][0] for each in blocks]
    _multiples(widths, widths[0], "levels")
    return {
        "num_channels": shapes["out_conv.weight"][0],
        "init_channels": shapes["init_conv.weight"][0],
        "model_channels": widths[0],
        "time_embed_dim": shapes["to_time_embed.1.weight"][0],
        "groups": GROUPS,
        "dim_mult": tuple(width // widths[0] for width in widths),
        "num_resnet_blocks": tuple(_count(shapes, each) for each in blocks),
    }


def text_encoder(shapes: Shapes) -> Config:
    """Of a T5 encoder as FLAN-UL2's is: gated SiLU. Other activations do not show in shapes and need a config.json."""
    first = "encoder.block.0.layer.0.SelfAttention"
    buckets, heads = shapes[f"{first}.relative_attention_bias.weight"]
    vocabulary, width = shapes["shared.weight"]
    return {
        "model_type": "t5",
        "vocab_size": vocabulary,
        "d_model": width,
        "d_kv": shapes[f"{first}.q.weight"][0] // heads,
        "d_ff": shapes["encoder.block.0.layer.1.DenseReluDense.wo.weight"][1],
        "num_layers": _count(shapes, "encoder.block"),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "relative_attention_max_distance": 128,
        "feed_forward_proj": "gated-silu",
        "layer_norm_epsilon": 1e-6,
    }


def image_encoder(shapes: Shapes) -> Config:
    """Of a CLIP vision tower with projection, as ViT-L/14 is."""
    hidden, channels, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
    places = shapes["vision_model.embeddings.position_embedding.weight"][0] - 1
    _multiples([hidden], HEAD_DIM, "layers")
    return {
        "model_type": "clip_vision_model",
        "hidden_size": hidden,
        "num_channels": channels,
        "patch_size": patch,
        "image_size": patch * round(places**0.5),
        "intermediate_size": shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count(shapes, "vision_model.encoder.layers"),
        "num_attention_heads": hidden // HEAD_DIM,
        "projection_dim": shapes["visual_projection.weight"][0],
        "hidden_act": "quick_gelu",
    }


def _unet_trunk(shapes: Shapes) -> Config:
    stem, channels = shapes["conv_in.weight"][:2]
    if 2 * stem != _width(shapes, 0):
        raise Unlike(f"its first convolution has {stem} channels and its first level {_width(shapes, 0)}")
    time = shapes["time_embedding.linear_1.weight"][0]
    _multiples([time], HEAD_DIM, "time embedding")
    return {
        "in_channels": channels,
        "time_embedding_dim": time,
        "groups": GROUPS,
        "attention_head_dim": HEAD_DIM,
        "layers_per_block": _count(shapes, "down_blocks.0.resnets_in"),
        "cross_attention_dim": shapes["add_time_condition.attention.to_k.weight"][1],
    }


def _width(shapes: Shapes, level: int) -> int:
    width: int = shapes[f"down_blocks.{level}.resnets_in.0.resnet_blocks.3.projection.weight"][0]
    return width


def _count(shapes: Shapes, prefix: str) -> int:
    """How many numbered parts there are under a name."""
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
    return 1 + max((int(found[1]) for name in shapes if (found := pattern.match(name))), default=-1)


def _multiples(widths: list[int] | tuple[int, ...], of: int, where: str) -> None:
    wrong = [width for width in widths if width % of]
    if wrong:
        raise Unlike(f"its {where} have widths such as {wrong[0]}, which is no multiple of {of}")

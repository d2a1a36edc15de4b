"""How large everything is: Kandinsky 3.1 as published, and a tiny likeness that a CPU draws in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.families import KANDINSKY_3_1, Family, SizeLimits, UNetWeights
from engine.super_resolution import Windows

Configs = Mapping[str, Mapping[str, Any]]

# Flash and base share one UNet here: the same shapes, and 6 GB less.
_UNETS = {
    "flash": UNetWeights(),
    "base": UNetWeights(),
    "inpaint": UNetWeights("unet_inpainting", "conditioning_inpainting.safetensors"),
    "picture": UNetWeights(text_path="fork"),
    "outline": UNetWeights(text_path="fork-outline"),
}
FAMILY = replace(KANDINSKY_3_1, unets=_UNETS)


@dataclass(frozen=True)
class Sizes:
    """configs: of each network, by its folder.  side, small_side: of pictures.  words: of a prompt.  rounds: of short rows.

    long_rounds: of rows that take seconds.  enlarged: side of the picture that x4 makes.  tokens: that the language model writes.
    in_flight: jobs at once.  product, copied: side of the matrices and bytes that calibrate.
    """

    family: Family
    configs: Configs
    side: int
    small_side: int
    words: int
    rounds: int
    long_rounds: int
    steps: int
    enlarged: int
    windows: Windows
    tokens: int
    in_flight: int
    product: int
    copied: int
    caps: tuple[float, ...]  # gigabytes of small cards
    panorama: tuple[int, int]  # width, height


_SUPER_RESOLUTION = ("super_resolution_x4", "super_resolution_x2", "super_resolution_flash_x2")
_CLIP = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
    "projection_dim": 768,
}
_FULL_CONFIGS: Configs = {
    "unet": {},
    "unet_inpainting": {"in_channels": 9},
    "movq": {},
    "controlnet": {},
    "picture_prompt": {},
    **{name: {} for name in _SUPER_RESOLUTION},
    "text_encoder": {
        "vocab_size": 32128,
        "d_model": 4096,
        "d_kv": 256,
        "d_ff": 16384,
        "num_layers": 32,
        "num_heads": 16,
        "feed_forward_proj": "gated-silu",
    },
    "image_encoder": _CLIP,
    "safety_checker": {"vision_config": _CLIP, "projection_dim": 768},
    "hed": {},
    "language_model": {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 32768,
        "eos_token_id": 2,
    },
}
FULL = Sizes(
    family=FAMILY,
    configs=_FULL_CONFIGS,
    side=1024,
    small_side=512,
    words=76,
    rounds=7,
    long_rounds=3,
    steps=50,
    enlarged=4096,
    windows=Windows(),
    tokens=64,
    in_flight=32,
    product=8192,
    copied=8_000_000_000,
    caps=(8, 12, 16, 24),
    panorama=(4096, 1024),
)

_TINY_UNET = {
    "time_embedding_dim": 32,
    "groups": 4,
    "attention_head_dim": 8,
    "layers_per_block": 2,
    "block_out_channels": (16, 32, 32, 64),
    "cross_attention_dim": 32,
}
_TINY_SR = {
    "init_channels": 16,
    "model_channels": 16,
    "time_embed_dim": 32,
    "groups": 8,
    "dim_mult": (1, 2, 2, 4),
    "num_resnet_blocks": (2, 2, 2, 2),
}
_TINY_CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "patch_size": 14,
    "image_size": 28,
    "projection_dim": 24,
}
_TINY_CONFIGS: Configs = {
    "unet": _TINY_UNET,
    "unet_inpainting": _TINY_UNET | {"in_channels": 9},
    "movq": {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "norm_num_groups": 8},
    "controlnet": _TINY_UNET | {"block_out_channels": (16, 32, 32)},
    "picture_prompt": {
        "block_out_channels": (16, 32, 32, 64),
        "layers_per_block": 2,
        "cross_attention_dim": 32,
        "attention_head_dim": 8,
        "image_embed_dim": 24,
    },
    **dict.fromkeys(_SUPER_RESOLUTION, _TINY_SR),
    "text_encoder": {
        "vocab_size": 64,
        "d_model": 24,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 1,
        "num_heads": 4,
        "feed_forward_proj": "gated-silu",
    },
    "image_encoder": _TINY_CLIP,
    "safety_checker": {
        "vision_config": _TINY_CLIP,
        "text_config": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        "projection_dim": 24,
    },
    "hed": {},
    "language_model": {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "eos_token_id": 2,
    },
}
TINY = replace(
    FULL,
    family=replace(
        FAMILY,
        sizes=((64, 64), (128, 64), (64, 128)),
        default_size=(64, 64),
        free_sizes=SizeLimits(shortest=64, longest=4096, largest_area=4096 * 1024),
    ),
    configs=_TINY_CONFIGS,
    side=64,
    small_side=64,
    words=6,
    rounds=1,
    long_rounds=1,
    steps=2,
    enlarged=112,
    windows=Windows(side=64, stride=48, per_call=4),
    tokens=4,
    in_flight=2,
    product=64,
    copied=1_000_000,
    caps=(24,),
    panorama=(256, 64),
)

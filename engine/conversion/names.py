"""From the names that tensors have in official checkpoints to those of our networks, which are diffusers'.

Source: shared/engine-facts.md 2, measured against huggingface/diffusers pipelines/kandinsky3/convert_kandinsky3_unet.py.
"""

import re
from collections.abc import Callable, Sequence

Rule = tuple[str, str | Callable[[re.Match[str]], str]]

_UNET: Sequence[Rule] = (
    (r"^to_time_embed\.1\.", "time_embedding.linear_1."),
    (r"^to_time_embed\.3\.", "time_embedding.linear_2."),
    (r"^feature_pooling\.", "add_time_condition."),
    (r"^in_layer\.", "conv_in."),
    (r"^out_layer\.0\.", "conv_norm_out."),
    (r"^out_layer\.2\.", "conv_out."),
    (r"^down_samples\.", "down_blocks."),
    (r"^up_samples\.", "up_blocks."),
    (r"\.resnet_attn_blocks\.(\d+)\.0\.", r".resnets_in.\1."),
    (r"\.resnet_attn_blocks\.(\d+)\.1\.", lambda found: f".attentions.{int(found[1]) + 1}."),
    (r"\.resnet_attn_blocks\.(\d+)\.2\.", r".resnets_out.\1."),
    (r"\.self_attention_block\.", ".attentions.0."),
    (r"\.to_query\.", ".to_q."),
    (r"\.to_key\.", ".to_k."),
    (r"\.to_value\.", ".to_v."),
    (r"\.output_layer\.", ".to_out.0."),
    (r"^projection_lin\.", "encoder_hid_proj.projection_linear."),
    (r"^projection_ln\.", "encoder_hid_proj.projection_norm."),
)
_MOVQ: Sequence[Rule] = (
    (r"^encoder\.down\.(\d+)\.", r"encoder.down_blocks.\1."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
    (r"\.block\.(\d+)\.", r".resnets.\1."),
    (r"\.attn\.(\d+)\.", r".attentions.\1."),
    (r"\.downsample\.", ".downsamplers.0."),
    (r"\.upsample\.", ".upsamplers.0."),
    (r"(\.attentions\.\d+)\.proj_out\.", r"\1.to_out.0."),
    (r"(\.attentions\.\d+)\.([qkv])\.", r"\1.to_\2."),
    (r"^(encoder\..*attentions\.\d+)\.norm\.norm_layer\.", r"\1.group_norm."),
    (r"^(decoder\..*attentions\.\d+)\.norm\.", r"\1.spatial_norm."),
    (r"^encoder\.(.*)\.norm(\d)\.norm_layer\.", r"encoder.\1.norm\2."),
    (r"^encoder\.norm_out\.norm_layer\.", "encoder.conv_norm_out."),
    (r"^decoder\.norm_out\.", "decoder.conv_norm_out."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
)
_ADAPTER = re.compile(r"^(.*)\.attention\.processor\.(to_key_ip|to_v_ip|to_out_ip)\.(weight|bias)$")


def unet(name: str) -> str:
    """Name in `Kandinsky3UNet` of a UNet's tensor; the fork's projection becomes `encoder_hid_proj`."""
    return _renamed(_UNET, name)


def movq(name: str, levels: int) -> str:
    """Name in `MoVQ`. The official decoder counts its levels from the finest, ours from the coarsest."""
    name = re.sub(r"^decoder\.up\.(\d+)\.", lambda found: f"decoder.up_blocks.{levels - 1 - int(found[1])}.", name)
    return _renamed(_MOVQ, name)


def adapter(name: str) -> str | None:
    """Name in `PicturePrompt` of a tensor of the fork's IP-Adapter; None for those of the UNet around it."""
    if name.startswith(("image_proj.", "image_norm.")):
        return name
    found = _ADAPTER.match(name)
    if found is None:
        return None
    place = unet(f"{found[1]}.").removesuffix(".").replace(".", "-")
    return f"layers.{place}.{found[2]}.{found[3]}"


def _renamed(rules: Sequence[Rule], name: str) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name

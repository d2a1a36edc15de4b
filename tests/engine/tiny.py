"""A tiny family of the kind that serves every request, with random weights, in the layout that the engine loads."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from engine.models.controlnet import Kandinsky3ControlNet
from engine.models.hed import HED
from engine.models.picture_prompt import PicturePrompt
from tests.engine.conftest import CONTEXT_WIDTH, write_family
from tests.engine.models.oracles import awaken

CLIP: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "patch_size": 8,
    "image_size": 16,
    "projection_dim": 24,
}


def tiny_controlnet() -> Kandinsky3ControlNet:
    controlnet = Kandinsky3ControlNet(
        time_embedding_dim=32,
        groups=4,
        attention_head_dim=8,
        layers_per_block=2,
        block_out_channels=(16, 32, 32),
        cross_attention_dim=CONTEXT_WIDTH,
    )
    awaken(controlnet)
    return controlnet


def tiny_picture_prompt() -> PicturePrompt:
    adapter = PicturePrompt((16, 32, 32, 64), 2, CONTEXT_WIDTH, 8, CLIP["projection_dim"])
    awaken(adapter)
    return adapter


def write_adapters(folder: Path) -> None:
    """Write a family's folder with a base UNet, outline network, picture prompts, their encoder and the edge detector."""
    write_family(folder)
    torch.manual_seed(1)
    tiny_controlnet().save_pretrained(folder / "controlnet")
    tiny_picture_prompt().save_pretrained(folder / "picture_prompt")
    CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP)).save_pretrained(folder / "image_encoder")
    (folder / "hed").mkdir()
    save_file(HED().state_dict(), folder / "hed" / "diffusion_pytorch_model.safetensors")
    (folder / "hed" / "config.json").write_text("{}")

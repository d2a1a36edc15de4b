"""Tiny families with random weights, in the layout that the engine loads: nano's, and one for every mode of Kandinsky 3.1."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5EncoderModel

from engine import catalog
from engine.components import Components, Networks
from engine.engine import Engine, load
from engine.families import SizeLimits
from engine.models.controlnet import Kandinsky3ControlNet
from engine.models.hed import HED
from engine.models.movq import MoVQ
from engine.models.picture_prompt import PicturePrompt
from engine.models.super_resolution import SuperResolutionUNet
from engine.models.unet import Kandinsky3UNet
from engine.pipelines.upscaling import FOLDERS, REFINER_CONTEXT
from tests.engine.language.tiny import write_random as write_language_model
from tests.engine.safety.tiny import write_checker, write_detector

torch.set_num_threads(1)  # several threads make a small network's first call far slower

FAMILY = "kandinsky-nano"
EVERY_MODE = "kandinsky-3.1"
SMALL_SIZES = {  # as if its networks had been trained on pictures of these sizes
    "sizes": ((128, 128), (192, 128), (128, 192)),
    "default_size": (128, 128),
    "free_sizes": SizeLimits(shortest=64, longest=4096, largest_area=4096 * 1024),
}
WORDS = ("<pad>", "</s>", "<unk>", "a", "red", "blue", "green", "circle", "star", "square", "big", "on", "background", "the")
CONTEXT_WIDTH = 32
CLIP: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "patch_size": 8,
    "image_size": 16,
    "projection_dim": 24,
}


def awaken(network: nn.Module) -> None:
    """Give random values to what starts at zero: else nothing would depend on time, text or a picture."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)


def tiny_unet(in_channels: int = 4) -> Kandinsky3UNet:
    unet = Kandinsky3UNet(
        in_channels=in_channels,
        time_embedding_dim=32,
        groups=4,
        attention_head_dim=8,
        layers_per_block=2,
        block_out_channels=(16, 32, 32, 64),
        cross_attention_dim=CONTEXT_WIDTH,
        encoder_hid_dim=None,
        out_channels=4,
    )
    awaken(unet)
    unet.conv_out.weight.data *= 0.3  # a trained network does not magnify rounding; a random one does
    return unet


def tiny_movq() -> MoVQ:
    # groups of four channels: torch's group norm rounds badly where a group is one channel and the picture is flat
    return MoVQ(block_out_channels=(32, 32, 32, 32), layers_per_block=1, norm_num_groups=8)


def tiny_text_encoder() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=24, d_kv=8, d_ff=64, num_layers=1, num_heads=4, feed_forward_proj="gated-silu")
    )


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def tiny_picture_prompt() -> PicturePrompt:
    adapter = PicturePrompt((16, 32, 32, 64), 2, CONTEXT_WIDTH, attention_head_dim=8, image_embed_dim=24)
    awaken(adapter)
    return adapter


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


def write_family(folder: Path) -> None:
    """Write random networks as the folder of a family that draws text."""
    torch.manual_seed(0)
    tiny_unet().save_pretrained(folder / "unet")
    tiny_movq().save_pretrained(folder / "movq")
    tiny_text_encoder().save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    tiny_tokenizer().save(str(folder / "tokenizer" / "tokenizer.json"))
    write_conditioning(folder / "conditioning.safetensors")


def write_every_mode(folder: Path) -> None:
    """Write random networks as the folder of a family that serves every mode."""
    write_family(folder)
    for use, in_channels in (("flash", 4), ("inpainting", 9)):
        tiny_unet(in_channels).save_pretrained(folder / f"unet_{use}")
        write_conditioning(folder / f"conditioning_{use}.safetensors")
    tiny_picture_prompt().save_pretrained(folder / "picture_prompt")
    tiny_controlnet().save_pretrained(folder / "controlnet")
    write_checker(folder)
    CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP)).save_pretrained(folder / "image_encoder")
    (folder / "hed").mkdir()
    save_file(HED().state_dict(), folder / "hed" / "diffusion_pytorch_model.safetensors")
    (folder / "hed" / "config.json").write_text("{}")
    write_super_resolution(folder)
    write_language_model(folder)


def write_super_resolution(folder: Path) -> None:
    for seed, name in enumerate(FOLDERS.values()):
        torch.manual_seed(seed)
        tiny = {"init_channels": 8, "model_channels": 8, "time_embed_dim": 16, "groups": 4, "dim_mult": (1, 1, 1, 2)}
        SuperResolutionUNet(**tiny, num_resnet_blocks=(2, 2, 2, 2)).save_pretrained(folder / name)
    mask = (torch.arange(128) < 1).long()[None]
    save_file({"context": torch.randn(1, 128, CONTEXT_WIDTH).half(), "context_mask": mask}, folder / REFINER_CONTEXT)


def write_conditioning(path: Path) -> None:
    conditioning = {
        "projection.weight": torch.randn(CONTEXT_WIDTH, 24) / 5,
        "projection_norm.weight": torch.ones(CONTEXT_WIDTH),
        "projection_norm.bias": torch.randn(CONTEXT_WIDTH) / 3,
        "null_embedding": torch.randn(CONTEXT_WIDTH),
    }
    save_file(conditioning, path)


@pytest.fixture(scope="session")
def tiny_family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / FAMILY
    write_family(folder)
    write_detector(folder)
    return folder


@pytest.fixture(scope="session")
def engine(tiny_family: Path) -> Engine:
    return load(FAMILY, ["flash", "base"], weights=tiny_family)


@pytest.fixture(scope="session")
def networks(engine: Engine) -> Networks:
    return engine.networks["base"]


@pytest.fixture(scope="session")
def every_mode_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of families, with the weights of one that serves every mode."""
    weights = tmp_path_factory.mktemp("every-mode")
    write_every_mode(weights / EVERY_MODE)
    return weights


@pytest.fixture(scope="session")
def every_mode(every_mode_weights: Path) -> Engine:
    """All lanes of that family, which draws small pictures."""
    with pytest.MonkeyPatch.context() as patch:
        use_small_sizes(patch, every_mode_weights)
        return load(EVERY_MODE, catalog.family(EVERY_MODE).lanes)


@pytest.fixture
def small_family(monkeypatch: pytest.MonkeyPatch, every_mode_weights: Path) -> str:
    """The name of that family, for what makes its own engine, such as the command line."""
    use_small_sizes(monkeypatch, every_mode_weights)
    return EVERY_MODE


def use_small_sizes(patch: pytest.MonkeyPatch, weights: Path) -> None:
    small = replace(catalog.family(EVERY_MODE), **SMALL_SIZES)
    patch.setattr(catalog, "FAMILIES", {**catalog.FAMILIES, EVERY_MODE: small})
    patch.setattr(catalog, "FETCHED_WEIGHTS", weights)


@pytest.fixture(scope="session")
def parts(every_mode: Engine) -> Components:
    """The components of that engine."""
    return every_mode.components

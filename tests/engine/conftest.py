"""A tiny family with random weights, in the layout that the engine loads."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5EncoderModel

from engine.components import Networks
from engine.engine import Engine, load
from engine.models.movq import MoVQ
from engine.models.unet import Kandinsky3UNet

torch.set_num_threads(1)  # several threads make a small network's first call far slower

FAMILY = "kandinsky-nano"
WORDS = ("<pad>", "</s>", "<unk>", "a", "red", "blue", "green", "circle", "star", "square", "big", "on", "background", "the")
CONTEXT_WIDTH = 32


def tiny_unet() -> Kandinsky3UNet:
    unet = Kandinsky3UNet(
        in_channels=4,
        time_embedding_dim=32,
        groups=4,
        attention_head_dim=8,
        layers_per_block=2,
        block_out_channels=(16, 32, 32, 64),
        cross_attention_dim=CONTEXT_WIDTH,
        encoder_hid_dim=None,
    )
    for parameter in unet.parameters():  # conditional norms start at zero: nothing would depend on time or text
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    unet.conv_out.weight.data *= 0.3  # a trained network does not magnify rounding; a random one does
    return unet


def tiny_movq() -> MoVQ:
    return MoVQ(block_out_channels=(32, 32, 32, 32), layers_per_block=1)


def tiny_text_encoder() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=24, d_kv=8, d_ff=64, num_layers=1, num_heads=4, feed_forward_proj="gated-silu")
    )


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def write_family(folder: Path) -> None:
    """Write random networks as a family's folder."""
    torch.manual_seed(0)
    tiny_unet().save_pretrained(folder / "unet")
    tiny_movq().save_pretrained(folder / "movq")
    tiny_text_encoder().save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    tiny_tokenizer().save(str(folder / "tokenizer" / "tokenizer.json"))
    conditioning = {
        "projection.weight": torch.randn(CONTEXT_WIDTH, 24) / 5,
        "projection_norm.weight": torch.ones(CONTEXT_WIDTH),
        "projection_norm.bias": torch.randn(CONTEXT_WIDTH) / 3,
        "null_embedding": torch.randn(CONTEXT_WIDTH),
    }
    save_file(conditioning, folder / "conditioning.safetensors")


@pytest.fixture(scope="session")
def tiny_family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / FAMILY
    write_family(folder)
    return folder


@pytest.fixture(scope="session")
def engine(tiny_family: Path) -> Engine:
    return load(FAMILY, ["flash", "base"], weights=tiny_family)


@pytest.fixture(scope="session")
def networks(engine: Engine) -> Networks:
    return engine.networks["base"]

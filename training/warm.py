"""Begin a recipe with a family's weights, as far as they fit: a larger world need not be learned from nothing."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

_FILE = "diffusion_pytorch_model.safetensors"


def begin(module: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Copy every tensor whose name and shape the module has; returns the names that it keeps its own values for."""
    own = module.state_dict()
    fitting = {
        name: value.to(own[name].dtype) for name, value in tensors.items() if name in own and own[name].shape == value.shape
    }
    module.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def text_encoder(folder: Path, encoder: nn.Module, vocabulary: Mapping[str, int]) -> list[str]:
    """Begin a text encoder with a family's; words that both know keep what they mean."""
    tensors = load_file(folder / "text_encoder" / "model.safetensors")
    known = json.loads((folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    table, words = encoder.state_dict()["shared.weight"].clone(), tensors["shared.weight"].float()
    shared = [word for word in vocabulary if word in known]
    table[torch.tensor([vocabulary[word] for word in shared])] = words[torch.tensor([known[word] for word in shared])]
    tensors |= {"shared.weight": table, "encoder.embed_tokens.weight": table}
    return begin(encoder, tensors)


def movq(folder: Path, network: nn.Module) -> list[str]:
    """Begin an autoencoder with a family's."""
    return begin(network, load_file(folder / "movq" / _FILE))


def unet(folder: Path, network: nn.Module) -> list[str]:
    """Begin UNet, projection and null embedding with a family's."""
    tensors = {f"unet.{name}": value for name, value in load_file(folder / "unet" / _FILE).items()}
    return begin(network, tensors | load_file(folder / "conditioning.safetensors"))

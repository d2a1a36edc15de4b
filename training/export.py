"""Write trained networks as the family folder that the engine loads: fp16 safetensors in diffusers layout."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.catalog import PACKAGED_WEIGHTS
from engine.language.model import FOLDER as LANGUAGE_FOLDER
from engine.safety.mark import FOLDER
from training.autoencoder import decoder_of, load_autoencoder
from training.decoder import DecoderRecipe
from training.loop import load_average
from training.text_encoder import AttributeReader, TextEncoderRecipe, build_text_encoder, build_tokenizer
from training.text_to_image import UNET, Conditioned, TextToImageRecipe

DIFFUSERS_FILE = "diffusion_pytorch_model.safetensors"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], settings: Mapping[str, object]) -> str:
    """Write fp16 tensors with their settings and checksum as metadata; a reader never meets half a file.

    Returns the SHA-256 of names and bytes of all tensors.
    """
    halves = {name: tensor.detach().cpu().to(torch.float16).contiguous() for name, tensor in sorted(tensors.items())}
    digest = hashlib.sha256()
    for name, tensor in halves.items():
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    metadata = {"format": "pt", "settings": json.dumps(settings, sort_keys=True), "sha256": digest.hexdigest()}
    save_file(halves, partial, metadata)
    partial.chmod(0o644)  # safetensors writes for the owner alone
    partial.replace(path)
    return digest.hexdigest()


def save_network(folder: Path, network: Any, settings: Mapping[str, object]) -> str:
    """Write one of our own networks as a folder of config and weights; returns their checksum."""
    write_text(folder / "config.json", network.to_json_string())
    return save_tensors(folder / DIFFUSERS_FILE, network.state_dict(), settings)


def load_movq(cache: Path) -> tuple[Any, list[int]]:
    """The trained autoencoder with its polished decoder, if there is one, and the steps of each recipe."""
    movq, steps = load_autoencoder(cache)
    if (cache / f"{DecoderRecipe.name}.pt").exists():
        steps.append(load_average(cache, DecoderRecipe.name, decoder_of(movq)))
    return movq, steps


def export(cache: Path, target: Path) -> dict[str, str]:
    """Write the averaged weights of every finished or running recipe in `cache` to the folder `target`.

    Returns the checksum of each file.
    """
    unet_folder, movq_folder, text_folder = target / "unet", target / "movq", target / "text_encoder"
    sums = {}

    tokenizer = build_tokenizer()
    reader = AttributeReader(build_text_encoder(tokenizer))
    step = load_average(cache, TextEncoderRecipe.name, reader)
    encoder = {n: t for n, t in reader.encoder.state_dict().items() if n != "encoder.embed_tokens.weight"}
    reader.encoder.config.architectures = ["T5EncoderModel"]
    write_text(text_folder / "config.json", reader.encoder.config.to_json_string(use_diff=True))
    sums["text_encoder"] = save_tensors(text_folder / "model.safetensors", encoder, {"recipe": "text-encoder", "steps": step})
    _save_tokenizer(target / "tokenizer")

    movq, steps = load_movq(cache)
    write_text(movq_folder / "config.json", movq.to_json_string())
    sums["movq"] = save_tensors(
        movq_folder / DIFFUSERS_FILE, movq.state_dict(), {"recipe": "autoencoder, encoder, decoder", "steps": steps}
    )

    network = Conditioned()
    step = load_average(cache, TextToImageRecipe.name, network)
    settings = {"recipe": "text-to-image", "steps": step, "prediction_type": "v_prediction"}
    write_text(unet_folder / "config.json", network.unet.to_json_string())
    sums["unet"] = save_tensors(unet_folder / DIFFUSERS_FILE, network.unet.state_dict(), {**settings, **UNET})
    conditioning = {
        "projection.weight": network.projection.weight,
        "projection_norm.weight": network.projection_norm.weight,
        "projection_norm.bias": network.projection_norm.bias,
        "null_embedding": network.null_embedding,
    }
    sums["conditioning"] = save_tensors(target / "conditioning.safetensors", conditioning, settings)
    _copy_packaged(target)
    return sums


def _copy_packaged(target: Path) -> None:
    """Bring along what other recipes write: the judge, without which the engine draws nothing, and the language model."""
    for name in (FOLDER, LANGUAGE_FOLDER):
        packaged = PACKAGED_WEIGHTS / "kandinsky-nano" / name
        if not (target / name).exists() and packaged.exists():
            shutil.copytree(packaged, target / name)


def write_text(path: Path, text: str) -> None:
    """Write a text with a line's end behind it; a reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    partial.replace(path)


def _save_tokenizer(folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    build_tokenizer().save_pretrained(partial)
    folder.mkdir(parents=True, exist_ok=True)
    for path in partial.iterdir():
        path.replace(folder / path.name)
    shutil.rmtree(partial)

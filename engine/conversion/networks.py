"""One function a network: official tensors in, the parts of a family's folder out."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection
from transformers.models.mistral.configuration_mistral import MistralConfig
from transformers.models.mistral.modeling_mistral import MistralForCausalLM

from engine.conversion import names, sizes
from engine.conversion.checkpoint import BARE, Checkpoint
from engine.conversion.sentencepiece import tokenizer_of
from engine.conversion.sizes import Config, Shapes, Unlike
from engine.conversion.writing import SHARD, TRANSFORMERS, Network, Writer, fitting
from engine.models.controlnet import Kandinsky3ControlNet
from engine.models.hed import HED
from engine.models.movq import MoVQ
from engine.models.picture_prompt import PicturePrompt
from engine.models.super_resolution import SuperResolutionUNet
from engine.models.t5 import T5Encoder
from engine.models.unet import Kandinsky3UNet
from engine.weights import settings

UNET_PREFIX = "unet."  # official files hold the network under this name, beside the null embedding
PICTURE_UNET = "picture_prompt_unet"  # only if the UNet that an adapter came with differs from the family's own
REFINER_CONTEXT = "refiner_context.safetensors"
_OWN_PROJECTION = {"0.weight": "projection.weight", "1.weight": "projection_norm.weight", "1.bias": "projection_norm.bias"}
_FORK_PROJECTION = {
    "projection_lin.weight": "projection.weight",
    "projection_ln.weight": "projection_norm.weight",
    "projection_ln.bias": "projection_norm.bias",
}


def unet(checkpoint: Checkpoint, writer: Writer, suffix: str) -> list[Path]:
    """A UNet with its null embedding, of which the first 4096 or so values are one token."""
    stored = {name: name for name in checkpoint.shapes if name.startswith(UNET_PREFIX)}
    renamed = {names.unet(name.removeprefix(UNET_PREFIX)): name for name in stored}
    config = sizes.unet(_shapes(checkpoint, renamed))
    channels = config["in_channels"]
    if (suffix == "_inpainting") != (channels > config["out_channels"]):
        raise Unlike(f"it reads {channels} channels")
    null_embedding = checkpoint.read(["null_embedding"])["null_embedding"].flatten()
    if null_embedding.shape != (config["cross_attention_dim"],):
        raise Unlike(f"its null_embedding has {null_embedding.numel()} values instead of {config['cross_attention_dim']}")
    written = writer.network(f"unet{suffix}", checkpoint, _own(Kandinsky3UNet, config | {"encoder_hid_dim": None}, renamed))
    return [written, writer.tensors(_conditioning(suffix), {"null_embedding": null_embedding})]


def projection(checkpoint: Checkpoint, writer: Writer, suffix: str) -> list[Path]:
    """A text projection: Linear without bias, then LayerNorm."""
    width = checkpoint.shapes["0.weight"][0]
    if len(checkpoint.shapes["0.weight"]) != 2 or {checkpoint.shapes[f"1.{each}"] for each in ("weight", "bias")} != {(width,)}:
        raise Unlike("its LayerNorm has another width than its Linear")
    return [writer.tensors(_conditioning(suffix), _read(checkpoint, _OWN_PROJECTION))]


def movq(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """The autoencoder."""
    levels = 1 + max(int(name.split(".")[2]) for name in checkpoint.shapes if name.startswith("encoder.down."))
    renamed = {names.movq(name, levels): name for name in checkpoint.shapes if not name.startswith("quantize.")}
    return [writer.network("movq", checkpoint, _own(MoVQ, sizes.movq(_shapes(checkpoint, renamed)), renamed))]


def controlnet(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """The outline network, whose names are the UNet's."""
    renamed = {names.unet(name): name for name in checkpoint.shapes}
    config = sizes.controlnet(_shapes(checkpoint, renamed))
    return [writer.network("controlnet", checkpoint, _own(Kandinsky3ControlNet, config, renamed))]


def picture_prompt(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """An adapter split off the UNet that it was published with.

    That UNet is written, too, unless the family has the very same one; its text path has no null embedding but zeros.
    """
    own = {adapted: name for name in checkpoint.shapes if (adapted := names.adapter(name)) is not None}
    rest = [name for name in checkpoint.shapes if names.adapter(name) is None]
    shared = {names.unet(name): name for name in rest if name not in _FORK_PROJECTION}
    unet_config = sizes.unet(_shapes(checkpoint, shared)) | {"encoder_hid_dim": None}
    config = sizes.picture_prompt(_shapes(checkpoint, own), unet_config)
    base = _own(Kandinsky3UNet, unet_config, shared)
    fitting(checkpoint, base)
    written = [writer.network("picture_prompt", checkpoint, _own(PicturePrompt, config, own))]
    if not _equal(checkpoint, base, writer.folder / "unet"):
        written.append(writer.network(PICTURE_UNET, checkpoint, base))
        projected = _read(checkpoint, _FORK_PROJECTION)
        nothing = torch.zeros_like(projected["projection_norm.bias"])
        written.append(writer.tensors(_conditioning("_picture_prompt"), projected | {"null_embedding": nothing}))
    return written


def super_resolution(checkpoint: Checkpoint, writer: Writer, name: str) -> list[Path]:
    """A KandiSuperRes network; some files hold it under `unet`, some as it is."""
    renamed = {each.removeprefix(UNET_PREFIX): each for each in checkpoint.shapes}
    config = sizes.super_resolution(_shapes(checkpoint, renamed))
    return [writer.network(name, checkpoint, _own(SuperResolutionUNet, config, renamed))]


def refiner_context(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """The refiner's only text, projected: (1, L, C)."""
    return [writer.tensors(REFINER_CONTEXT, {"context": checkpoint.read([BARE])[BARE]})]


def refiner_mask(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """Which tokens of the refiner's text count: (1, L)."""
    return [writer.tensors(REFINER_CONTEXT, {"context_mask": checkpoint.read([BARE])[BARE].bool()})]


def hed(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """The outline detector, under its own names."""
    return [writer.network("hed", checkpoint, _own(HED, {}, {name: name for name in checkpoint.shapes}))]


def image_encoder(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """A CLIP vision tower. The positions of its patches are in old files, and are no weights."""
    renamed = {_since_vision(name): name for name in checkpoint.shapes if _of_vision(name)}
    config = _config_beside(checkpoint) or sizes.image_encoder(_shapes(checkpoint, renamed))

    def build() -> nn.Module:
        return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(config.get("vision_config", config)))

    return [writer.network("image_encoder", checkpoint, _library(build, config, renamed))]


def text_encoder(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """A T5 encoder with its tokenizer, without the decoder that some files hold, too."""
    skipped = ("decoder.", "lm_head.", "encoder.embed_tokens.")
    renamed = {name: name for name in checkpoint.shapes if not name.startswith(skipped)}
    if "shared.weight" not in renamed:
        renamed["shared.weight"] = "encoder.embed_tokens.weight"
    config = _config_beside(checkpoint) or sizes.text_encoder(_shapes(checkpoint, renamed))

    def build() -> nn.Module:
        return T5Encoder(**settings(T5Encoder, config))

    network = _library(build, config, renamed)
    return [writer.network("text_encoder", checkpoint, network), *_tokenizer(checkpoint, writer, "tokenizer/tokenizer.json")]


def safety_checker(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """The judge of pictures, under its own names; its config.json must lie beside it."""
    config = _config_beside(checkpoint)
    if config is None:
        raise Unlike("there is no config.json beside it")
    shapes = {name: shape for name, shape in checkpoint.shapes.items() if not name.endswith("position_ids")}
    return [writer.network("safety_checker", checkpoint, Network({name: name for name in shapes}, shapes, config, TRANSFORMERS))]


def language_model(checkpoint: Checkpoint, writer: Writer) -> list[Path]:
    """A Mistral network with its tokenizer; its config.json must lie beside it."""
    config = _config_beside(checkpoint)
    if config is None:
        raise Unlike("there is no config.json beside it")

    def build() -> nn.Module:
        return MistralForCausalLM(MistralConfig.from_dict(config))

    network = _library(build, config, {name: name for name in checkpoint.shapes if "rotary_emb" not in name})
    written = writer.network("language_model", checkpoint, network)
    return [written, *_tokenizer(checkpoint, writer, "language_model/tokenizer.json")]


def _own(network: type[nn.Module], config: Config, renamed: Mapping[str, str]) -> Network:
    with torch.device("meta"):
        built = network(**config)
    return Network(renamed, _expected(built), config | {"_class_name": network.__name__})


def _library(build: Callable[[], nn.Module], config: Config, renamed: Mapping[str, str]) -> Network:
    with torch.device("meta"):
        return Network(renamed, _expected(build()), config, TRANSFORMERS)


def _expected(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def _shapes(checkpoint: Checkpoint, renamed: Mapping[str, str]) -> Shapes:
    return {own: checkpoint.shapes[stored] for own, stored in renamed.items()}


def _read(checkpoint: Checkpoint, own: Mapping[str, str]) -> dict[str, Tensor]:
    read = checkpoint.read(list(own))
    return {own[name]: tensor for name, tensor in read.items()}


def _conditioning(suffix: str) -> str:
    return f"conditioning{suffix}.safetensors"


def _equal(checkpoint: Checkpoint, network: Network, folder: Path) -> bool:
    """Whether a family's UNet has the very same values, a share of them at a time."""
    if not folder.is_dir():
        return False
    other = Checkpoint(folder)
    if {name: other.shapes.get(name) for name in network.shapes} != dict(network.shapes):
        return False
    chosen: list[str] = []
    for name in network.shapes:
        chosen.append(name)
        if sum(network.shapes[each].numel() for each in chosen) * 4 > SHARD or name == list(network.shapes)[-1]:
            mine, theirs = checkpoint.read([network.names[each] for each in chosen]), other.read(chosen)
            if not all(torch.equal(mine[network.names[each]].to(theirs[each].dtype), theirs[each]) for each in chosen):
                return False
            chosen = []
    return True


def _of_vision(name: str) -> bool:
    return ("vision_model." in name or name == "visual_projection.weight") and not name.endswith("position_ids")


def _since_vision(name: str) -> str:
    return name[name.rindex("vision_model.") :] if "vision_model." in name else name


def _config_beside(checkpoint: Checkpoint) -> dict[str, Any] | None:
    folder = checkpoint.path if checkpoint.path.is_dir() else checkpoint.path.parent
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unlike(f"{path} is damaged") from error
    if not isinstance(config, dict) or "auto_map" in config:
        raise Unlike(f"{path} is damaged, or names code of its own")
    return config


def _tokenizer(checkpoint: Checkpoint, writer: Writer, name: str) -> list[Path]:
    folder = checkpoint.path if checkpoint.path.is_dir() else checkpoint.path.parent
    for place in (folder, folder.parent / "tokenizer"):
        if (place / "tokenizer.json").is_file():
            return [writer.copy(place / "tokenizer.json", name)]
        if (place / "spiece.model").is_file():
            target = writer.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            tokenizer_of(place / "spiece.model").save(str(target))
            return [target]
    return []

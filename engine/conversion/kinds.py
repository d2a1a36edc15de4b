"""What a checkpoint is, told by the names of its tensors, and where its parts belong in a family's folder."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.conversion import networks
from engine.conversion.checkpoint import BARE, Checkpoint
from engine.conversion.networks import UNET_PREFIX
from engine.conversion.sizes import Unlike
from engine.conversion.writing import Writer
from engine.errors import WeightsError

_DIFFUSERS_UNET = "conv_in.weight"
_LIKE_A_CHECKPOINT = "known are the official files of Kandinsky 3.0 and 3.1 and those it works with"


@dataclass(frozen=True)
class Kind:
    """One kind of checkpoint. convert: writes its parts and returns them."""

    name: str
    what: str
    convert: Callable[[Checkpoint, Writer], list[Path]]


def _unet(suffix: str) -> Callable[[Checkpoint, Writer], list[Path]]:
    return lambda checkpoint, writer: networks.unet(checkpoint, writer, suffix)


def _projection(suffix: str) -> Callable[[Checkpoint, Writer], list[Path]]:
    return lambda checkpoint, writer: networks.projection(checkpoint, writer, suffix)


def _super_resolution(name: str) -> Callable[[Checkpoint, Writer], list[Path]]:
    return lambda checkpoint, writer: networks.super_resolution(checkpoint, writer, f"super_resolution_{name}")


KINDS: Mapping[str, Kind] = {
    each.name: each
    for each in (
        Kind("unet", "UNet and null embedding, text to image", _unet("")),
        Kind("unet-flash", "UNet and null embedding, Flash", _unet("_flash")),
        Kind("unet-inpainting", "UNet and null embedding, inpainting", _unet("_inpainting")),
        Kind("projection", "text projection, text to image", _projection("")),
        Kind("projection-flash", "text projection, Flash", _projection("_flash")),
        Kind("projection-inpainting", "text projection, inpainting", _projection("_inpainting")),
        Kind("movq", "autoencoder", networks.movq),
        Kind("picture-prompt", "IP-Adapter, merged with its UNet", networks.picture_prompt),
        Kind("controlnet", "outline network", networks.controlnet),
        Kind("super-resolution-x4", "KandiSuperRes x4", _super_resolution("x4")),
        Kind("super-resolution-x2", "KandiSuperRes x2", _super_resolution("x2")),
        Kind("super-resolution-flash-x2", "KandiSuperRes Flash x2", _super_resolution("flash_x2")),
        Kind("refiner-context", "fixed text of the refiner", networks.refiner_context),
        Kind("refiner-mask", "its mask", networks.refiner_mask),
        Kind("hed", "outline detector", networks.hed),
        Kind("image-encoder", "CLIP vision tower", networks.image_encoder),
        Kind("safety-checker", "judge of pictures", networks.safety_checker),
        Kind("text-encoder", "T5 encoder", networks.text_encoder),
        Kind("language-model", "Mistral language model", networks.language_model),
    )
}


def convert(
    source: Path, folder: Path, kind: str | None = None, dtype: torch.dtype | None = None, shard: int | None = None
) -> tuple[Kind, list[Path]]:
    """Convert a published checkpoint into a family's folder; returns what it is and the parts written.

    kind: one of KINDS, told from names if None.  dtype: of the copy, the checkpoint's own if None.  shard: most bytes a file.
    Raises: WeightsError naming the file and the next step.
    """
    checkpoint = Checkpoint(source)
    found = _named(kind) if kind else recognise(checkpoint)
    writer = Writer(folder, dtype, *(() if shard is None else (shard,)))
    try:
        return found, found.convert(checkpoint, writer)
    except Unlike as error:
        raise WeightsError(
            f"{source} does not look like the {found.what} of Kandinsky: {error}; is it the right file?"
        ) from error
    except (KeyError, ValueError, IndexError) as error:
        missing = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        sentence = f"{source} does not look like {found.name} ({found.what}): {missing}; name another --kind, or fetch it again."
        raise WeightsError(sentence) from error


def recognise(checkpoint: Checkpoint) -> Kind:
    """Tell a checkpoint's kind. Raises: WeightsError for what is none of them."""
    for name, test in _SIGNS.items():
        if test(checkpoint):
            return KINDS[name + _variant(name, checkpoint)]
    named = next(iter(checkpoint.shapes))
    if _DIFFUSERS_UNET in checkpoint.shapes and "add_time_condition.attention.to_q.weight" in checkpoint.shapes:
        sentence = f"{checkpoint.path} is in diffusers' layout already; put its folder into the family's folder as unet."
        raise WeightsError(sentence)
    sentence = (
        f"{checkpoint.path} is no checkpoint of Kandinsky (it holds {len(checkpoint.shapes)} tensors such as {named!a:.60}); "
        f"{_LIKE_A_CHECKPOINT}."
    )
    raise WeightsError(sentence)


def _variant(name: str, checkpoint: Checkpoint) -> str:
    """Which of several files with the same names and shapes it is: their own file names are all that tells."""
    file = checkpoint.path.stem.lower()
    if name == "unet":
        if checkpoint.shapes[f"{UNET_PREFIX}in_layer.weight"][1] > checkpoint.shapes[f"{UNET_PREFIX}out_layer.2.weight"][0]:
            return "-inpainting"
        return "-flash" if "flash" in file else ""
    if name == "projection":
        return next((f"-{each}" for each in ("flash", "inpainting") if each in file), "")
    if name == "super-resolution":
        return "-flash-x2" if "flash" in file else "-x2" if re.search(r"(^|[^a-z])x2", file) else "-x4"
    return ""


def _has(*names: str) -> Callable[[Checkpoint], bool]:
    return lambda checkpoint: all(name in checkpoint.shapes for name in names)


def _ends(*endings: str) -> Callable[[Checkpoint], bool]:
    return lambda checkpoint: all(any(name.endswith(each) for name in checkpoint.shapes) for each in endings)


def _bare(dimensions: int, floating: bool) -> Callable[[Checkpoint], bool]:
    def test(checkpoint: Checkpoint) -> bool:
        shape, dtype = checkpoint.shapes.get(BARE), checkpoint.dtypes.get(BARE)
        return shape is not None and dtype is not None and (len(shape), dtype.is_floating_point) == (dimensions, floating)

    return test


def _projects(checkpoint: Checkpoint) -> bool:
    return set(checkpoint.shapes) == {"0.weight", "1.weight", "1.bias"}


_SIGNS: Mapping[str, Callable[[Checkpoint], bool]] = {
    "picture-prompt": _ends("attention.processor.to_key_ip.weight"),
    "controlnet": _has("input_hint_block.conv1.weight", "convs.0.weight"),
    "unet": _has(f"{UNET_PREFIX}in_layer.weight", f"{UNET_PREFIX}out_layer.2.weight", "null_embedding"),
    "projection": _projects,
    "movq": _has("encoder.down.0.block.0.conv1.weight", "decoder.conv_in.weight"),
    "super-resolution": _ends("init_conv.weight", "out_conv.weight"),
    "refiner-context": _bare(3, floating=True),
    "refiner-mask": _bare(2, floating=False),
    "hed": _has("norm", "block1.convs.0.weight", "block5.projection.weight"),
    "safety-checker": _has("concept_embeds", "special_care_embeds_weights"),
    "image-encoder": _ends("vision_model.embeddings.class_embedding", "visual_projection.weight"),
    "language-model": _ends("layers.0.self_attn.q_proj.weight", "embed_tokens.weight", "lm_head.weight"),
    "text-encoder": _ends("encoder.block.0.layer.0.SelfAttention.q.weight"),
}


def _named(kind: str) -> Kind:
    if kind not in KINDS:
        raise WeightsError(f"There is no kind {kind!a:.40}; choose one of: {', '.join(KINDS)}.")
    return KINDS[kind]

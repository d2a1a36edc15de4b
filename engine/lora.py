"""LoRA: low-rank changes of a UNet's attentions, several at once, merged into the weights and taken out again exactly.

Files are safetensors in the forms that diffusers, PEFT and the fork's trainer write: q, k, v and out of any attention.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.conversion import names
from engine.errors import WeightsError
from engine.lock import sha256
from engine.models.unet import Kandinsky3UNet

MAX_WEIGHT = 4.0
_SHOWN_DIGITS = 16
_PREFIXES = re.compile(r"^(base_model\.model\.|unet\.|transformer\.)+")
_SIDES: Mapping[str, str] = {
    "lora_A.weight": "down",
    "lora_A.default.weight": "down",
    "lora.down.weight": "down",
    "lora_linear_layer.down.weight": "down",
    "lora_B.weight": "up",
    "lora_B.default.weight": "up",
    "lora.up.weight": "up",
    "lora_linear_layer.up.weight": "up",
    "alpha": "alpha",
}
_PROCESSOR = re.compile(r"\.processor\.(to_q|to_k|to_v|to_out|to_query|to_key|to_value)_lora\.(down|up)\.weight$")
_LAYERS = {"to_query": "to_q", "to_key": "to_k", "to_value": "to_v", "to_out": "to_out.0"}


@dataclass(frozen=True)
class Change:
    """What is added to one layer: `scale * up @ down`. down: (rank, in).  up: (out, rank)."""

    down: Tensor
    up: Tensor
    scale: float

    def delta(self) -> Tensor:
        """(out, in), float32."""
        return (self.up.float() @ self.down.float()) * self.scale


@dataclass(frozen=True)
class Lora:
    """A file's changes by the layer's name in `Kandinsky3UNet`, and how much they count."""

    path: Path
    weight: float
    changes: Mapping[str, Change]
    digest: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.weight:g}:{self.digest}"


def parse(text: str) -> tuple[Path, float]:
    """A file and its weight, as in `style.safetensors:0.8`; 1 if none is given. Raises: WeightsError."""
    head, _, tail = text.rpartition(":")
    if not head:
        return Path(text), 1.0
    try:
        weight = float(tail)
    except ValueError:
        return Path(text), 1.0
    if not (math.isfinite(weight) and abs(weight) <= MAX_WEIGHT):
        raise WeightsError(
            f"A LoRA counts from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}, not {tail!a:.20}; change what stands behind {head}."
        )
    return Path(head), weight


def read(path: Path, weight: float = 1.0) -> Lora:
    """Read a file. Raises: WeightsError for one that is damaged, not safetensors, or holds something else than a LoRA."""
    if not path.is_file():
        raise WeightsError(f"The LoRA {path} is not there; name another file.")
    try:
        with safe_open(path, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
            alpha = _alpha_of(opened.metadata() or {})
    except SafetensorError as error:
        raise WeightsError(f"The LoRA {path} is damaged, or no safetensors file ({error}); download it again.") from error
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        layer, side = _place(path, name)
        layers.setdefault(layer, {})[side] = tensor
    return Lora(path, weight, {layer: _change(path, layer, parts, alpha) for layer, parts in layers.items()}, _digest(path))


class Merged:
    """LoRAs in a UNet. The weights as they were are kept, in the CPU's memory, so that taking out is exact."""

    def __init__(self, unet: Kandinsky3UNet, loras: Sequence[Lora]) -> None:
        """Merge them in. Raises: WeightsError, before anything changes, for a LoRA of another model."""
        layers = dict(unet.named_parameters())
        for lora in loras:
            _check(lora, layers)
        touched = {layer for lora in loras for layer in lora.changes}
        self._before = {layer: layers[f"{layer}.weight"].detach().to("cpu", copy=True) for layer in sorted(touched)}
        self._layers = {layer: layers[f"{layer}.weight"] for layer in self._before}
        with torch.no_grad():
            for layer, before in self._before.items():
                deltas = [lora.weight * lora.changes[layer].delta() for lora in loras if layer in lora.changes]
                self._layers[layer].copy_(before.float() + torch.stack(deltas).sum(0))

    def take_out(self) -> None:
        """Put the weights back as they were, to the bit."""
        with torch.no_grad():
            for layer, before in self._before.items():
                self._layers[layer].copy_(before)


def _place(path: Path, name: str) -> tuple[str, str]:
    """Layer and side of a tensor."""
    plain = _PREFIXES.sub("", name)
    found = _PROCESSOR.search(plain)
    if found is not None:
        layer = f"{plain[: found.start()]}.{_LAYERS.get(found[1], found[1])}"
        return names.unet(f"{layer}.").removesuffix("."), found[2]
    for ending, side in _SIDES.items():
        if plain.endswith(f".{ending}"):
            return names.unet(f"{plain.removesuffix(ending)}").removesuffix("."), side
    raise WeightsError(f"The LoRA {path} holds {name!a:.80}, which is no low-rank change; use one trained for Kandinsky 3.")


def _change(path: Path, layer: str, parts: Mapping[str, Tensor], alpha: float | None) -> Change:
    if not {"down", "up"} <= parts.keys():
        raise WeightsError(f"The LoRA {path} has only one half of {layer}; download it again.")
    down, up = parts["down"], parts["up"]
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
        sentence = f"The LoRA {path} has halves of {layer} that do not fit, {tuple(down.shape)} and {tuple(up.shape)}"
        raise WeightsError(f"{sentence}; use one trained for Kandinsky 3.")
    if not (torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise WeightsError(f"The LoRA {path} has numbers in {layer} that are not finite; download it again.")
    rank = down.shape[0]
    own = float(parts["alpha"]) if "alpha" in parts else alpha
    return Change(down, up, 1.0 if own is None else own / rank)


def _check(lora: Lora, layers: Mapping[str, Tensor]) -> None:
    for layer, change in lora.changes.items():
        weight = layers.get(f"{layer}.weight")
        if weight is None or ".attention." not in layer:
            sentence = f"The LoRA {lora.path} changes {layer!a:.80}, which is no attention of this UNet"
            raise WeightsError(f"{sentence}; use one trained for Kandinsky 3.")
        shape = (change.up.shape[0], change.down.shape[1])
        if shape != tuple(weight.shape):
            sentence = f"The LoRA {lora.path} changes {layer} as if it were {shape} instead of {tuple(weight.shape)}"
            raise WeightsError(f"{sentence}; use one trained for this family.")


def _alpha_of(metadata: Mapping[str, str]) -> float | None:
    """The alpha that diffusers notes for all layers, if it does."""
    try:
        noted = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        value = next((value for key, value in noted.items() if key.endswith("lora_alpha")), None)
        return None if value is None else float(value)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _digest(path: Path) -> str:
    return sha256(path)[:_SHOWN_DIGITS]

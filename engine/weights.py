"""Loading a family's folder: safetensors only, every file checked before it is used.

Layout: `unet/`, `movq/`, `text_encoder/` (each config.json and safetensors), `tokenizer/tokenizer.json` and
`conditioning.safetensors` (projection.weight, projection_norm.weight, projection_norm.bias, null_embedding).
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5EncoderModel

from engine.catalog import Family, PredictionType
from engine.conditioning import TextConditioning
from engine.errors import WeightsError
from engine.models.movq import MoVQ
from engine.models.unet import Kandinsky3UNet

_REVISION_LENGTH = 16
_SHOWN_NAMES = 3


@dataclass(frozen=True)
class Networks:
    """What a lane draws with. `dtype` is the UNet's; the decoder and the sampler's state are float32."""

    conditioning: TextConditioning
    unet: Kandinsky3UNet
    movq: MoVQ
    prediction_type: PredictionType
    threshold: float
    device: torch.device
    dtype: torch.dtype


class Folder:
    """A family's folder of weights on this machine."""

    def __init__(self, family: Family, path: Path) -> None:
        if not path.is_dir():
            raise WeightsError(f"The folder {path} with the weights of {family.name} is missing; {family.mend}.")
        self._family = family
        self._path = path

    def _broken(self, what: str) -> WeightsError:
        return WeightsError(f"{what}; {self._family.mend}.")

    def revision(self) -> str:
        """Fingerprint of every file that shapes a picture (16 hexadecimal digits of a SHA-256)."""
        digest = hashlib.sha256()
        for path in sorted(path for path in self._path.rglob("*") if path.suffix in (".json", ".safetensors")):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(self._path).as_posix()} {content}\n".encode())
        return digest.hexdigest()[:_REVISION_LENGTH]

    def networks(self, lanes: tuple[str, ...], device: torch.device, dtype: torch.dtype) -> dict[str, Networks]:
        """Load what the lanes need; lanes share every tensor that lies in the same file."""
        family = self._family
        movq = self._module("movq", _movq, torch.float32, device, unused=("quantize.",)).to(memory_format=torch.channels_last)
        encoder = self._module(
            "text_encoder", _text_encoder, dtype, device, tied={"encoder.embed_tokens.weight": "shared.weight"}
        )
        places = {lane: family.lane_weights[lane] for lane in lanes}
        unets = {name: self._unet(name, dtype, device) for name in sorted({place.unet for place in places.values()})}
        texts = {
            name: self._conditioning(name, encoder, dtype, device)
            for name in sorted({place.conditioning for place in places.values()})
        }
        return {
            lane: Networks(
                texts[place.conditioning], unets[place.unet], movq, family.prediction_type, family.threshold, device, dtype
            )
            for lane, place in places.items()
        }

    def _unet(self, name: str, dtype: torch.dtype, device: torch.device) -> Kandinsky3UNet:
        unet: Kandinsky3UNet = self._module(name, _unet, dtype, device).to(memory_format=torch.channels_last)
        unet.settle()
        return unet

    def _conditioning(self, name: str, encoder: nn.Module, dtype: torch.dtype, device: torch.device) -> TextConditioning:
        path = self._path / name
        tensors = self._tensors([path], dtype)
        try:
            width_out, width_in = tensors["projection.weight"].shape
            with torch.device("meta"):
                projection = nn.Sequential(nn.Linear(width_in, width_out, bias=False), nn.LayerNorm(width_out))
            parts = {"0.weight": "projection.weight", "1.weight": "projection_norm.weight", "1.bias": "projection_norm.bias"}
            projection.load_state_dict({own: tensors[stored] for own, stored in parts.items()}, assign=True)
            null_embedding = tensors["null_embedding"].reshape(width_out)
        except (KeyError, ValueError, RuntimeError) as error:
            raise self._broken(f"{path} does not hold a projection and a null_embedding that fit") from error
        conditioning = TextConditioning(self._tokenizer(), encoder, projection, null_embedding)
        return conditioning.to(device).eval().requires_grad_(False)

    def _tokenizer(self) -> Tokenizer:
        path = self._existing(self._path / "tokenizer" / "tokenizer.json")
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing narrower
            raise self._broken(f"{path} is damaged") from error

    def _module(
        self,
        name: str,
        build: Callable[[Any], Any],
        dtype: torch.dtype,
        device: torch.device,
        tied: Mapping[str, str] | None = None,
        unused: tuple[str, ...] = (),
    ) -> Any:
        """Build one network from its config without memory, then give it the tensors of its files.

        tied: second names of tensors.  unused: prefixes of tensors that nothing reads.
        """
        folder = self._path / name
        config = self._config(folder)
        tensors = self._tensors(sorted(folder.glob("*.safetensors")) or [folder / "diffusion_pytorch_model.safetensors"], dtype)
        try:
            with torch.device("meta"):
                module = build(config)
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._broken(f"{folder / 'config.json'} does not describe a network ({error})") from error
        expected = module.state_dict()
        for second, first in (tied or {}).items():
            if first in tensors:
                tensors[second] = tensors[first]
        tensors = {key: value for key, value in tensors.items() if not key.startswith(unused)}
        self._compare(folder, expected, tensors)
        module.load_state_dict(tensors, assign=True)
        return module.to(device).eval().requires_grad_(False)

    def _compare(self, folder: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
        wrong = [f"{key} is missing" for key in expected if key not in found]
        wrong += [f"{key} is not known" for key in found if key not in expected]
        wrong += [
            f"{key} is {tuple(found[key].shape)} instead of {tuple(value.shape)}"
            for key, value in expected.items()
            if key in found and found[key].shape != value.shape
        ]
        if wrong:
            shown = ", ".join(wrong[:_SHOWN_NAMES])
            raise self._broken(f"{folder} has {len(wrong)} tensors that do not fit its config ({shown})")

    def _config(self, folder: Path) -> dict[str, Any]:
        path = self._existing(folder / "config.json")
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise self._broken(f"{path} is damaged") from error
        if not isinstance(config, dict):
            raise self._broken(f"{path} is damaged")
        return config

    def _tensors(self, paths: list[Path], dtype: torch.dtype) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for path in paths:
            try:
                tensors.update(load_file(self._existing(path)))
            except SafetensorError as error:
                raise self._broken(f"{path} is damaged ({error})") from error
        return {name: tensor.to(dtype) for name, tensor in tensors.items()}

    def _existing(self, path: Path) -> Path:
        if not path.is_file():
            raise self._broken(f"{path} is missing")
        return path


def _unet(config: dict[str, Any]) -> Kandinsky3UNet:
    # the text path projects before it zeroes the pads, so the UNet must not project
    unet: Kandinsky3UNet = Kandinsky3UNet(**_settings(Kandinsky3UNet, config) | {"encoder_hid_dim": None})
    return unet


def _movq(config: dict[str, Any]) -> MoVQ:
    movq: MoVQ = MoVQ(**_settings(MoVQ, config))
    return movq


def _settings(network: type[nn.Module], config: dict[str, Any]) -> dict[str, Any]:
    """What a network's constructor knows of a config. Not `from_config`: it imports the class that the config names."""
    known = inspect.signature(network).parameters
    return {name: value for name, value in config.items() if name in known}


def _text_encoder(config: dict[str, Any]) -> Any:
    return T5EncoderModel(T5Config.from_dict(config))

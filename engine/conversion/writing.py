"""Writing networks in diffusers' layout: config.json beside safetensors in shards; a reader never meets half a network."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.conversion.checkpoint import Checkpoint
from engine.errors import WeightsError

SHARD = 800_000_000  # bytes, and so about what a conversion holds in memory
DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model", "model"  # what files of tensors are called in each library's layout
_SHOWN_NAMES = 3


@dataclass(frozen=True)
class Network:
    """What to write: own names, each with the name in the checkpoint; shapes as the network wants them; its settings."""

    names: Mapping[str, str]
    shapes: Mapping[str, torch.Size]
    config: Mapping[str, Any]
    stem: str = DIFFUSERS


class Writer:
    """A family's folder that conversions fill. dtype: of floating tensors; as in the checkpoint if None."""

    def __init__(self, folder: Path, dtype: torch.dtype | None = None, shard: int = SHARD) -> None:
        self.folder = folder
        self._dtype = dtype
        self._shard = shard

    def network(self, name: str, checkpoint: Checkpoint, network: Network) -> Path:
        """Write a network into the folder of this name, in place of what was there.

        Raises: WeightsError if the checkpoint's tensors are not this network's.
        """
        fitting(checkpoint, network)
        target = self.folder / name
        partial = target.with_name(f"{name}.{os.getpid()}.partial")
        try:
            partial.mkdir(parents=True)
            self._write(partial, checkpoint, network)
            _write_json(partial / "config.json", dict(network.config))
            if target.exists():
                shutil.rmtree(target)
            partial.rename(target)
        except OSError as error:
            raise WeightsError(
                f"{target} cannot be written ({error.strerror or error}); make room or mend its rights."
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return target

    def tensors(self, name: str, tensors: Mapping[str, Tensor]) -> Path:
        """Write a small file of tensors beside the networks; what else the file holds stays in it."""
        target = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            known = load_file(target) if target.is_file() else {}
            partial = target.with_name(f"{name}.{os.getpid()}.partial")
            save_file(known | {key: self._cast(value) for key, value in tensors.items()}, partial, {"format": "pt"})
            partial.chmod(0o644)  # safetensors writes for the owner alone
            partial.replace(target)
        except OSError as error:
            raise WeightsError(
                f"{target} cannot be written ({error.strerror or error}); make room or mend its rights."
            ) from error
        return target

    def copy(self, file: Path, name: str) -> Path:
        """Copy a small file as it is, such as a tokenizer."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        shutil.copyfile(file, partial)
        partial.replace(target)
        return target

    def _write(self, folder: Path, checkpoint: Checkpoint, network: Network) -> None:
        shards = list(self._shards(checkpoint, network))
        places: dict[str, str] = {}
        for index, names in enumerate(shards, start=1):
            numbered = f"-{index:05}-of-{len(shards):05}" if len(shards) > 1 else ""
            file = f"{network.stem}{numbered}.safetensors"
            read = checkpoint.read([network.names[name] for name in names])
            tensors = {name: self._cast(read[network.names[name]].reshape(network.shapes[name])) for name in names}
            save_file(tensors, folder / file, {"format": "pt"})
            (folder / file).chmod(0o644)
            places.update(dict.fromkeys(names, file))
            del read, tensors  # lets go of what was mapped
        if len(shards) > 1:
            size = sum(self._bytes(checkpoint, network, name) for name in places)
            index_file = folder / f"{network.stem}.safetensors.index.json"
            _write_json(index_file, {"metadata": {"total_size": size}, "weight_map": places})

    def _shards(self, checkpoint: Checkpoint, network: Network) -> Iterator[list[str]]:
        names: list[str] = []
        filled = 0
        for name in network.names:
            size = self._bytes(checkpoint, network, name)
            if names and filled + size > self._shard:
                yield names
                names, filled = [], 0
            names.append(name)
            filled += size
        yield names

    def _bytes(self, checkpoint: Checkpoint, network: Network, name: str) -> int:
        """What a tensor takes in the checkpoint or in its copy, whichever is more."""
        stored = checkpoint.dtypes[network.names[name]]
        written = self._dtype if self._dtype is not None and stored.is_floating_point else stored
        return math.prod(network.shapes[name]) * max(stored.itemsize, written.itemsize)

    def _cast(self, tensor: Tensor) -> Tensor:
        wanted = self._dtype if self._dtype is not None and tensor.is_floating_point() else tensor.dtype
        return tensor.to(wanted).contiguous()


def fitting(checkpoint: Checkpoint, network: Network) -> None:
    """Make sure that a checkpoint has all tensors of a network, in its shapes or with axes of length 1 behind them.

    Raises: WeightsError naming some that do not.
    """
    found = {own: checkpoint.shapes[stored] for own, stored in network.names.items()}
    wrong = [f"{name} is missing" for name in network.shapes if name not in found]
    wrong += [f"{network.names[name]} is not known" for name in found if name not in network.shapes]
    wrong += [
        f"{network.names[name]} is {tuple(shape)} instead of {tuple(network.shapes[name])}"
        for name, shape in found.items()
        if name in network.shapes and not _same(shape, network.shapes[name])
    ]
    if wrong:
        shown = ", ".join(wrong[:_SHOWN_NAMES])
        sentence = f"{checkpoint.path} has {len(wrong)} tensors that do not fit ({shown}); is it the right file, and whole?"
        raise WeightsError(sentence)


def _unwritten(target: Path, error: OSError) -> WeightsError:
    return WeightsError(f"{target} cannot be written ({error.strerror or error}); make room or mend its rights.")


def _same(found: torch.Size, wanted: torch.Size) -> bool:
    return found[: len(wanted)] == wanted and set(found[len(wanted) :]) <= {1}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")

"""One network from its folder: `config.json` and safetensors, in one file or in shards, mapped and not read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from engine.errors import WeightsError

Module = TypeVar("Module", bound=nn.Module)
_SHOWN_NAMES = 3
_MEND = "put it there again"


def network(
    folder: Path, make: Callable[[dict[str, Any]], Module], rename: Callable[[str], str | None] = lambda name: name
) -> Module:
    """Build a network without memory and give it its files' tensors, in the files' precision, on the CPU.

    Buffers that are in no file, `make` must build on a device of their own.
    rename: from a stored name to the network's own, or None for a tensor that nothing reads.
    Raises: WeightsError.
    """
    settings = config(folder)
    try:
        with torch.device("meta"):
            module = make(settings)
    except (TypeError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{folder / 'config.json'} does not describe this network ({error}); {_MEND}.") from error
    found = {own: tensor for name, tensor in _tensors(folder).items() if (own := rename(name)) is not None}
    _compare(folder, module.state_dict(), found)
    module.load_state_dict(found, assign=True)
    return module.eval().requires_grad_(False)


def config(folder: Path) -> dict[str, Any]:
    """Read a folder's `config.json`.

    Raises: WeightsError.
    """
    path = _existing(folder / "config.json")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is damaged; {_MEND}.") from error
    if not isinstance(settings, dict):
        raise WeightsError(f"{path} is damaged; {_MEND}.")
    return settings


def tokenizer(folder: Path) -> Tokenizer:
    """Read a folder's `tokenizer.json`.

    Raises: WeightsError.
    """
    path = _existing(folder / "tokenizer.json")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise WeightsError(f"{path} is damaged; {_MEND}.") from error


def _tensors(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")) or [_existing(folder / "model.safetensors")]:
        try:
            tensors.update(load_file(path))
        except SafetensorError as error:
            raise WeightsError(f"{path} is damaged ({error}); {_MEND}.") from error
    return tensors


def _compare(folder: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [f"{name} is not known" for name in found if name not in expected]
    wrong += [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if wrong:
        shown = ", ".join(wrong[:_SHOWN_NAMES])
        raise WeightsError(f"{folder} has {len(wrong)} tensors that do not fit its config ({shown}); {_MEND}.")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise WeightsError(f"{path} is missing; {_MEND}.")
    return path

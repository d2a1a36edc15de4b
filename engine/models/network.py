"""What our networks have in common: they know their settings, and write themselves in diffusers' layout.

diffusers' own base classes do that and more, but importing them loads bitsandbytes and torch's compiler: three seconds and 80 MB
of every process that draws.
"""

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import torch
from safetensors.torch import save_file
from torch import nn

FILE = "diffusion_pytorch_model.safetensors"
P = ParamSpec("P")


class Network(nn.Module):
    """A network with settings. config: what its constructor was given, with the defaults for the rest."""

    config: dict[str, Any]

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights."""
        return next(self.parameters()).dtype

    def to_json_string(self) -> str:
        """Its config.json, as diffusers reads it."""
        return json.dumps({"_class_name": type(self).__name__} | self.config, indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json and the weights into a folder, which diffusers' class of the same parameter names can read."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(self.to_json_string(), encoding="utf-8")
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, folder / FILE, {"format": "pt"})


def keeps_config(init: Callable[Concatenate[Any, P], None]) -> Callable[Concatenate[Any, P], None]:
    """Make a network's constructor remember what it was given."""
    signature = inspect.signature(init)

    def remembering(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> None:
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        init(self, *args, **kwargs)
        self.config = dict(list(given.arguments.items())[1:])  # all but `self`

    functools.update_wrapper(remembering, init)
    return remembering

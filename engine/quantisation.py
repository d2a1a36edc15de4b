"""Weights in 8 or 4 bits, through bitsandbytes, on a CPU and on a GPU alike.

8 bits are LLM.int8() (arXiv:2208.07339): whole numbers with one scale a row, outlying inputs apart. 4 bits are NF4
(arXiv:2305.14314): sixteen levels with one scale for each 64 weights, computed in the module's own precision.
"""

from typing import Any, Literal, TypeAlias, TypeVar

import torch
from torch import nn

from engine.errors import EngineError

Bits: TypeAlias = Literal[8, 4]
Module = TypeVar("Module", bound=nn.Module)

_OUTLIER = 6.0  # the paper's threshold; at 0 large models lose their emergent features


def quantise(
    module: Module, bits: Bits, device: torch.device, dtype: torch.dtype, keep: tuple[str, ...] = ("lm_head",)
) -> Module:
    """Move a network to a device with its linear layers in few bits and the rest in `dtype`, one layer at a time.

    A network whose tensors are mapped from a file therefore never lies in memory whole. keep: names of layers left alone.
    Raises: EngineError if bitsandbytes is not installed.
    """
    try:
        import bitsandbytes  # here: it takes a second to load and most installations never ask for it
    except ImportError as error:
        raise EngineError("Weights in few bits need bitsandbytes; install kandinsky-bot[quantised].") from error
    layers: Any = bitsandbytes.nn  # its names are not exported to type checkers
    linears = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    for name, layer in linears:
        if name.split(".")[-1] in keep:
            continue
        shape, bias = (layer.in_features, layer.out_features), layer.bias is not None
        weight = layer.weight.data.to(dtype)
        with torch.device("meta"):
            small = (
                layers.Linear8bitLt(*shape, bias=bias, has_fp16_weights=False, threshold=_OUTLIER)
                if bits == 8
                else layers.Linear4bit(*shape, bias=bias, compute_dtype=dtype, quant_type="nf4")
            )
        small.weight = (
            layers.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
            if bits == 8
            else layers.Params4bit(weight, requires_grad=False, quant_type="nf4")
        )
        if bias:
            small.bias = nn.Parameter(layer.bias.data.to(dtype), requires_grad=False)
        module.set_submodule(name, small.to(device))  # the move to a device is what quantises
    return placed(module, device, dtype)


def placed(module: Module, device: torch.device, dtype: torch.dtype) -> Module:
    """Move a network to a device with its parameters in `dtype`; buffers, such as rotary frequencies, keep their precision."""
    for parent in module.modules():
        if type(parent).__module__.startswith("bitsandbytes"):
            continue  # a cast would undo the quantisation
        for name, parameter in parent.named_parameters(recurse=False):
            setattr(parent, name, nn.Parameter(parameter.data.to(device, dtype), requires_grad=False))
        for name, buffer in parent.named_buffers(recurse=False):
            setattr(parent, name, buffer.to(device))
    return module

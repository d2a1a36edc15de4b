"""Checkpoints as their authors publish them: pickles or safetensors, one file or several. Nothing in them is ever executed.

Files are mapped into memory and let go of after each read, so a checkpoint of any size is read in little memory.
"""

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.errors import WeightsError

BARE = "tensor"  # name of the only tensor of a file that holds no mapping
_PICKLES = (".pt", ".pth", ".ckpt", ".bin")
_ZIP, _OLD_PICKLE, _POINTER = b"PK\x03\x04", b"\x80", b"version https://git-lfs"
_LARGEST_UNMAPPED = 2_000_000_000  # bytes; files older than torch 1.6 cannot be mapped


class Checkpoint:
    """Tensors by name, read when they are asked for. Names inside of mappings are joined with dots.

    path: a file, or a folder with files of one network.
    Raises: WeightsError with the file and the next step: not there, damaged, no checkpoint, or one that carries code.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = files_of(path)
        self.shapes: dict[str, torch.Size] = {}
        self.dtypes: dict[str, torch.dtype] = {}
        self._file_of: dict[str, Path] = {}
        for file in self.files:
            for name, (shape, dtype) in _described(file).items():
                self.shapes[name], self.dtypes[name] = shape, dtype
                self._file_of[name] = file
        if not self.shapes:
            raise WeightsError(f"{path} holds no tensors; download it again.")

    def read(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The tensors of these names. What is mapped stays so as long as they live."""
        tensors: dict[str, Tensor] = {}
        for file in self.files:
            wanted = [name for name in names if self._file_of[name] == file]
            if wanted:
                tensors.update(_read(file, wanted))
        return tensors


def files_of(path: Path) -> list[Path]:
    """The files of tensors that a path stands for; in a folder those of its index, or safetensors before pickles.

    Raises: WeightsError if there are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise WeightsError(f"{path} is not there; name a checkpoint file, or the folder with its parts.")
    for pattern in ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt"):
        found = sorted(path.glob(pattern))
        if not found:
            continue
        indexed = indexed_files(path, found)
        return indexed or [file for file in found if not is_variant(file)] or found
    raise WeightsError(f"{path} holds no checkpoint; name a folder with .safetensors, .bin, .pt or .ckpt files.")


def is_variant(file: Path) -> bool:
    """Whether a file is a copy in another precision, such as `model.fp16.safetensors`, or one of a non-averaged network."""
    return bool({"fp16", "bf16", "non_ema"} & set(file.stem.replace("-", ".").split(".")))


def indexed_files(folder: Path, found: Sequence[Path]) -> list[Path]:
    """The files that a folder's index of shards names, if it has one. Raises: WeightsError for a bad index."""
    indices = [index for index in folder.glob(f"*{found[0].suffix}.index*.json") if not is_variant(index)]
    if not indices:
        return []
    index = indices[0]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        outside = [name for name in names if Path(name).name != name]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise WeightsError(f"{index} is damaged; download it again.") from error
    if outside:
        raise WeightsError(f"{index} names {outside[0]!a:.60}, which is not beside it; do not use this checkpoint.")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{folder / missing[0]} is missing, though {index.name} names it; download it again.")
    return [folder / name for name in names]


def _described(file: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    if _kind_of(file) == "safetensors":
        try:
            with safe_open(file, "pt") as opened:
                tensors = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
                return {name: (torch.Size(each.get_shape()), _DTYPES[each.get_dtype()]) for name, each in tensors.items()}
        except (SafetensorError, KeyError) as error:
            raise WeightsError(f"{file} is damaged ({error}); download it again.") from error
    return {name: (tensor.shape, tensor.dtype) for name, tensor in _unpickled(file)}


def _read(file: Path, names: list[str]) -> dict[str, Tensor]:
    if _kind_of(file) == "safetensors":
        with safe_open(file, "pt") as opened:
            return {name: opened.get_tensor(name) for name in names}
    wanted = set(names)
    return {name: tensor for name, tensor in _unpickled(file) if name in wanted}


def _kind_of(file: Path) -> str:
    """Tell by the first bytes what a file is, whatever its name says. Raises: WeightsError for what is no checkpoint."""
    with file.open("rb") as opened:
        head = opened.read(64)
    if head[8:9] == b"{" and not head.startswith((_ZIP, _POINTER)):
        return "safetensors"
    if head.startswith(_ZIP) or (head.startswith(_OLD_PICKLE) and file.suffix in _PICKLES):
        return "pickle"
    if head.startswith(_POINTER):
        raise WeightsError(f"{file} is only a pointer to a large file; fetch the file itself with: git lfs pull.")
    raise WeightsError(f"{file} is no checkpoint: it begins like neither a torch file nor safetensors; download it again.")


def _unpickled(file: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a pickle that holds nothing else. Loading refuses everything that could run."""
    with file.open("rb") as opened:
        mapped = opened.read(4) == _ZIP
    if not mapped and file.stat().st_size > _LARGEST_UNMAPPED:
        raise WeightsError(f"{file} is in the format of torch before 1.6, which cannot be read in parts; save it anew.")
    try:
        content = torch.load(file, map_location="cpu", mmap=mapped, weights_only=True)
    except pickle.UnpicklingError as error:
        sentence = f"{file} holds more than tensors, which could be code, and was not run; get it from its authors."
        raise WeightsError(sentence) from error
    except Exception as error:  # torch raises half a dozen kinds for a file that is cut short
        raise WeightsError(f"{file} is damaged ({_first_line(error)}); download it again.") from error
    return _flat(content, file)


def _flat(content: Any, file: Path, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield prefix.removesuffix(".") or BARE, content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from _flat(value, file, f"{prefix}{name}.")
    elif not isinstance(content, str | int | float | bool | type(None) | list | tuple):  # settings beside the tensors
        raise WeightsError(f"{file} holds a {type(content).__name__} among its tensors; get it from its authors.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:80]


_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}

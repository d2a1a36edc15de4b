"""Reading a family's folder: safetensors only, every file checked before it is used.

Layout: a folder for each network (config.json and safetensors), `tokenizer/tokenizer.json`, and for each UNet a file such as
`conditioning.safetensors` (projection.weight, projection_norm.weight, projection_norm.bias, null_embedding).
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from engine import lock
from engine.conversion.checkpoint import files_of
from engine.errors import WeightsError
from engine.families import Family
from engine.models.network import FILE

_REVISION_LENGTH = 16
_SHOWN_NAMES = 3
_SHAPE_NO_PICTURE = ("language_model", "safety_checker", "forbidden_mark")


class Folder:
    """A family's folder of weights on this machine."""

    def __init__(self, family: Family, path: Path) -> None:
        if not path.is_dir():
            raise WeightsError(f"The folder {path} with the weights of {family.name} is missing; {family.mend}.")
        self.family = family
        self.path = path
        self._lock = lock.read(path, family.name)
        self._verified: set[Path] = set()

    def broken(self, what: str) -> WeightsError:
        """What to raise: what is wrong, and what to do."""
        return WeightsError(f"{what}; {self.family.mend}.")

    def revision(self) -> str:
        """Fingerprint of every file that shapes a picture (16 hexadecimal digits of a SHA-256).

        What the lock holds is taken from there, since files are verified when they are read.
        """
        digest = hashlib.sha256()
        shaping = (path for path in self.path.rglob("*") if path.relative_to(self.path).parts[0] not in _SHAPE_NO_PICTURE)
        for path in sorted(path for path in shaping if path.suffix in (".json", ".safetensors") and path.name != lock.NAME):
            name = path.relative_to(self.path).as_posix()
            digest.update(f"{name} {self._lock.files.get(name) or lock.sha256(path)}\n".encode())
        return digest.hexdigest()[:_REVISION_LENGTH]

    def tokenizer(self, name: str = "tokenizer") -> Tokenizer:
        """Read the text encoder's tokenizer, or that of another folder."""
        path = self.existing(self.path / name / "tokenizer.json")
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing narrower
            raise self.broken(f"{path} is damaged") from error

    def module(
        self,
        name: str,
        build: Callable[[Any], Any],
        dtype: torch.dtype | None,
        device: torch.device,
        unused: tuple[str, ...] = (),
        rename: Callable[[str], str] = str,
    ) -> Any:
        """Build one network from its config without memory, then give it the tensors of its files.

        Buffers that are in no file, `build` must make on a device of its own.
        dtype: None leaves tensors as they are stored; on the CPU they are then mapped, not read.
        unused: prefixes of tensors that nothing reads.  rename: from a stored name to the network's own.
        """
        folder = self.path / name
        config = self.config(folder)
        tensors = {rename(key): value for key, value in self.tensors(name, dtype).items()}
        try:
            with torch.device("meta"), _Untouched():
                module = build(config)
        except (TypeError, ValueError, RuntimeError, KeyError, AttributeError) as error:
            raise self.broken(f"{folder / 'config.json'} does not describe a network ({error})") from error
        expected = module.state_dict()
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
            raise self.broken(f"{folder} has {len(wrong)} tensors that do not fit its config ({shown})")

    def config(self, folder: Path) -> dict[str, Any]:
        """Read a network's config.json."""
        path = self.existing(folder / "config.json")
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise self.broken(f"{path} is damaged") from error
        if not isinstance(config, dict):
            raise self.broken(f"{path} is damaged")
        return config

    def tensors(self, name: str, dtype: torch.dtype | None, prefix: str = "") -> dict[str, Tensor]:
        """Read the tensors of a file, or of a network's folder, whose names begin with `prefix`, and leave that away."""
        path = self.path / name
        missing = [path / FILE]
        shards = files_of(path) if any(path.glob("*.safetensors")) else missing
        tensors: dict[str, Tensor] = {}
        for shard in [path] if path.suffix == ".safetensors" else shards:
            try:
                with safe_open(self.existing(shard), "pt") as file:
                    names = [each for each in file.keys() if each.startswith(prefix)]  # noqa: SIM118 (no mapping)
                    tensors.update({each.removeprefix(prefix): file.get_tensor(each).to(dtype) for each in names})
            except SafetensorError as error:
                raise self.broken(f"{shard} is damaged ({error})") from error
        return tensors

    def existing(self, path: Path) -> Path:
        """The same path. Raises: WeightsError if no file is there, or not the one that the lock holds."""
        if not path.is_file():
            raise self.broken(f"{path} is missing")
        expected = self._lock.files.get(path.relative_to(self.path).as_posix())
        if expected and path not in self._verified:
            if lock.sha256(path) != expected:
                raise self.broken(f"{path} is not the file that {lock.NAME} holds")
            self._verified.add(path)
        return path


class _Untouched(TorchFunctionMode):
    """Networks are built without their first random values, which would be half of what building takes."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


def settings(network: type[nn.Module], config: dict[str, Any]) -> dict[str, Any]:
    """What a network's constructor knows of a config. Not `from_config`: it imports the class that the config names."""
    known = inspect.signature(network).parameters
    return {name: value for name, value in config.items() if name in known}

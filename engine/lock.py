"""The lock of a family's folder: what each file of weights must be, and where it came from. Standard library only."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import WeightsError
from engine.families import Family

NAME = "weights.lock.json"
_HELD = (".json", ".safetensors")


@dataclass(frozen=True)
class Origin:
    """A published file that a part was made of. sha256: as its host names it, "" if it does not."""

    repository: str
    revision: str
    file: str
    sha256: str = ""


@dataclass(frozen=True)
class Lock:
    """files: SHA-256 by path in the folder.  origins: of each kind of checkpoint that was fetched."""

    family: str
    files: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)

    def with_files(self, folder: Path, written: Iterable[Path]) -> "Lock":
        """The same with the files of parts that were just written, hashed; those of a part that it replaces are forgotten."""
        files = dict(self.files)
        for part in written:
            name = part.relative_to(folder).as_posix()
            files = {path: digest for path, digest in files.items() if path != name and not path.startswith(f"{name}/")}
            files |= {path.relative_to(folder).as_posix(): sha256(path) for path in held(part)}
        return Lock(self.family, files, self.origins)

    def with_origins(self, kind: str, origins: Iterable[Origin]) -> "Lock":
        """The same, knowing where a kind of checkpoint came from."""
        return Lock(self.family, self.files, {**self.origins, kind: tuple(origins)})

    def write(self, folder: Path) -> None:
        """Write the lock; a reader never meets half of it."""
        partial = folder / f"{NAME}.{os.getpid()}.partial"
        partial.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(folder / NAME)


def read(folder: Path, family: str) -> Lock:
    """A folder's lock; an empty one if it has none. Raises: WeightsError for one that is damaged or another family's."""
    path = folder / NAME
    if not path.is_file():
        return Lock(family)
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        origins = {kind: tuple(Origin(**each) for each in several) for kind, several in stored["origins"].items()}
        lock = Lock(stored["family"], {str(name): str(digest) for name, digest in stored["files"].items()}, origins)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged; take it away and fetch the weights again.") from error
    if lock.family != family:
        raise WeightsError(f"{path} is of {lock.family!a:.40}, not of {family}; name that family, or another folder.")
    return lock


def family_of(folder: Path) -> str:
    """The family that a folder's lock names, as far as it can be read."""
    try:
        return str(json.loads((folder / NAME).read_text(encoding="utf-8"))["family"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def faults(folder: Path, family: Family) -> tuple[list[str], str]:
    """What is wrong with a family's files, a line each, and what was looked at.

    Raises: WeightsError if the folder or its lock cannot be read.
    """
    if not folder.is_dir():
        raise WeightsError(f"The folder {folder} with the weights of {family.name} is missing; {family.mend}.")
    known = read(folder, family.name)
    wrong = []
    for name, digest in known.files.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{path} is missing")
        elif sha256(path) != digest:
            wrong.append(f"{path} is not the file that {NAME} holds")
    unknown = [path for path in held(folder) if path.relative_to(folder).as_posix() not in known.files]
    if not known.files:
        return wrong, f"{len(unknown)} files, but no lock to compare them with"
    others = f", {len(unknown)} others that it does not hold" if unknown else ""
    return wrong, f"{len(known.files)} files as the lock holds them{others}"


def held(part: Path) -> list[Path]:
    """The files of a part that a lock holds: of a folder those that shape what it does."""
    if part.is_file():
        return [part]
    return sorted(path for path in part.rglob("*") if path.suffix in _HELD and path.name != NAME)


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Fetching published weights: a pinned revision, resumable, checked, converted, and written into the lock."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import torch
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils._headers import build_hf_headers

from engine import catalog, lock
from engine.conversion.checkpoint import is_variant
from engine.conversion.kinds import convert
from engine.errors import WeightsError
from engine.lock import Lock, Origin
from engine.sources import Source, needed

DOWNLOADS = ".downloads"  # in the family's folder: one disk, and what is half there is found again
_PICKLES = (".bin", ".pt")
_GB = 1e9
_PATIENCE_S = 30.0
Say = Callable[[str], None]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Found:
    """A file of a repository at one commit. sha256: "" for a small file, which the host names otherwise."""

    path: str
    size: int
    sha256: str


class Fetcher:
    """Fetches one family into its folder. endpoint: of the hub, huggingface.co if None."""

    def __init__(
        self, family: str, folder: Path, say: Say, endpoint: str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        self._family = family
        self._folder = folder
        self._say = say
        self._endpoint = endpoint
        self._dtype = dtype

    def fetch(self, lanes: Sequence[str] = (), revision: str | None = None) -> Lock:
        """Fetch what the lanes need and is not there yet; all of the family if none are named.

        revision: instead of the pinned one.
        Raises: WeightsError; what was finished stays, and the next call goes on.
        """
        known = lock.read(self._folder, self._family)
        missing = [source for source in needed(self._family, lanes) if revision or not self._is_here(known, source)]
        self._announce(missing, lanes)
        for source in missing:
            known = self._one(known, source, revision)
        shutil.rmtree(self._folder / DOWNLOADS, ignore_errors=True)
        return known

    def _announce(self, missing: Sequence[Source], lanes: Sequence[str]) -> None:
        what = f"{self._family} ({', '.join(lanes)})" if lanes else self._family
        if not missing:
            self._say(f"{what} is here.")
            return
        for source in missing:
            self._say(f"{source.gigabytes:6.1f} GB  {source.kind:<26}{source.repository}  {source.licence}")
        total = sum(source.gigabytes for source in missing)
        self._say(f"{total:6.1f} GB in all for {what}, into {self._folder}")
        self._folder.mkdir(parents=True, exist_ok=True)
        largest = max(source.gigabytes for source in missing)
        free = shutil.disk_usage(self._folder).free / _GB
        if free < total + largest:  # each download goes once it is converted
            sentence = f"{self._folder} has {free:.1f} GB free, and {what} needs {total + largest:.1f} GB; make room, or fetch"
            raise WeightsError(f"{sentence} fewer lanes with --lanes.")

    def _is_here(self, known: Lock, source: Source) -> bool:
        return source.kind in known.origins and all((self._folder / name).exists() for name in known.files)

    def _one(self, known: Lock, source: Source, revision: str | None) -> Lock:
        pinned = next((origin.revision for origin in known.origins.get(source.kind, ())), None)
        commit, files = self._listed(source, revision or pinned or source.revision)
        target = self._folder / DOWNLOADS / source.repository.replace("/", "--")
        for file in files:
            self._say(f"{file.size / _GB:6.1f} GB  {source.repository}/{file.path} at {commit[:12]}")
            self._download(source, commit, file, target)
        written = self._placed(source, target / source.path, files)
        known = known.with_files(self._folder, written)
        origins = (Origin(source.repository, commit, file.path, file.sha256) for file in files)
        known = known.with_origins(source.kind, origins)
        known.write(self._folder)
        shutil.rmtree(target)
        return known

    def _listed(self, source: Source, revision: str) -> tuple[str, list[Found]]:
        """The commit of a revision, and the files of a source there: safetensors before pickles, full precision before half."""
        hub = HfApi(endpoint=self._endpoint)
        info = self._asked(
            source,
            revision,
            lambda: hub.model_info(source.repository, revision=revision, files_metadata=True, timeout=_PATIENCE_S),
        )
        found = [
            Found(each.rfilename, each.size or 0, each.lfs.sha256 if each.lfs else "")
            for each in info.siblings or ()
            if any(fnmatchcase(each.rfilename, pattern) for pattern in source.files)
        ]
        chosen = _chosen(found, source)
        if not chosen or not info.sha:
            raise self._lacks(source, revision)
        return info.sha, chosen

    def _download(self, source: Source, commit: str, file: Found, target: Path) -> None:
        """Download a file, going on where an earlier call was cut off. A file that is whole is not asked for again.

        Not `hf_hub_download`: in version 2 it begins anew each time.
        """
        place = target / file.path
        partial = place.with_name(f"{place.name}.{commit[:12]}.partial")

        def download() -> None:
            place.parent.mkdir(parents=True, exist_ok=True)
            url = hf_hub_url(source.repository, file.path, revision=commit, endpoint=self._endpoint)
            with partial.open("ab") as opened:
                http_get(url, opened, resume_size=opened.tell(), headers=build_hf_headers(), expected_size=file.size)
            partial.replace(place)

        if not (place.is_file() and place.stat().st_size == file.size and _is(place, file)):
            self._asked(source, commit, download)
        if not _is(place, file):
            place.unlink()
            raise WeightsError(f"{source.repository}/{file.path} came with another SHA-256 than its host names; fetch it again.")

    def _lacks(self, source: Source, revision: str) -> WeightsError:
        return WeightsError(f"{source.repository} has no {source.path or 'files'} at {revision}; name another --revision.")

    def _asked(self, source: Source, revision: str, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except GatedRepoError as error:
            raise WeightsError(
                f"{source.repository} asks for an account: accept its licence, then run: hf auth login."
            ) from error
        except (RevisionNotFoundError, EntryNotFoundError, RepositoryNotFoundError) as error:
            if isinstance(error, LocalEntryNotFoundError):
                raise self._away(source, error) from error
            raise self._lacks(source, revision) from error
        except OSError as error:  # httpx' and requests' errors are such, too
            raise self._away(source, error) from error
        except Exception as error:
            if "http" in type(error).__module__:
                raise self._away(source, error) from error
            raise

    def _away(self, source: Source, error: Exception) -> WeightsError:
        host = self._endpoint or "huggingface.co"
        brief = (str(error).splitlines() or [""])[0][:80]
        sentence = f"{source.repository} could not be fetched from {host} ({type(error).__name__}: {brief})"
        return WeightsError(f"{sentence}; look at the network and run the same command, it goes on where it was.")

    def _placed(self, source: Source, path: Path, files: Sequence[Found]) -> list[Path]:
        """Convert a download; one in the engine's own layout is moved as it is. Returns what the lock holds of it."""
        if source.kind != "hub":
            return convert(path, self._folder, source.kind, self._dtype)[1]
        folders = sorted({Path(file.path).parts[0] for file in files})
        for name in folders:
            shutil.rmtree(self._folder / name, ignore_errors=True)
            (path / name).rename(self._folder / name)
        return [self._folder / name for name in folders]


def fetch(
    family: str,
    lanes: Sequence[str],
    say: Say,
    folder: Path | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
    endpoint: str | None = None,
) -> Lock:
    """Fetch a family's weights into its folder, or into another. Raises: WeightsError, RequestError for an unknown family."""
    served = catalog.family(family)
    unknown = [lane for lane in lanes if lane not in served.lanes]
    if unknown:
        raise WeightsError(f"{family} has the lanes {', '.join(served.lanes)}, not {unknown[0]!a:.40}; name some of them.")
    if not needed(family):
        raise WeightsError(f"There is nothing to fetch for {family}: {served.mend}.")
    return Fetcher(family, folder or catalog.weights_folder(family), say, endpoint, dtype).fetch(lanes, revision)


def _chosen(found: Sequence[Found], source: Source) -> list[Found]:
    """In each folder: no copies in half precision, and no pickles where there are safetensors."""
    if source.files == (source.path,):
        return list(found)
    chosen: list[Found] = []
    for folder in {Path(each.path).parent for each in found}:
        inside = [each for each in found if Path(each.path).parent == folder]
        full = [each for each in inside if not is_variant(Path(each.path))]
        tensors = [each for each in full if each.path.endswith((".safetensors", *_PICKLES))]
        inside = full if tensors else inside
        safe = any(each.path.endswith(".safetensors") for each in inside)
        chosen += [each for each in inside if not (safe and _is_pickle(each.path))]
    return sorted(chosen, key=lambda each: each.path)


def _is_pickle(path: str) -> bool:
    return path.endswith(_PICKLES) or ".bin.index" in path


def _is(place: Path, file: Found) -> bool:
    return not file.sha256 or lock.sha256(place) == file.sha256

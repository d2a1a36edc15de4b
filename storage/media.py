"""Picture files by content: the same bytes have the same id, and a half-written file is never seen."""

import contextlib
import hashlib
import os
import time
import uuid
from collections.abc import Iterator

import fsspec

from storage.errors import MediaAway, MediaMissing, NoMedia, StorageError
from storage.places import Place, reached


class MediaStore:
    """A folder, or an object store named by any URL that fsspec knows. Calls block: run them in a thread."""

    def __init__(self, url: str) -> None:
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)  # other machines write there, too
        except (ImportError, ValueError) as error:
            raise NoMedia(f"MEDIA_URL: {error}") from None
        self._local = "file" in self._fs.protocol or "local" in self._fs.protocol

    def put(self, data: bytes, suffix: str) -> str:
        """Store bytes durably and return their media id, `sha256 + suffix`. Raises: MediaAway."""
        media_id = hashlib.sha256(data).hexdigest() + suffix
        path = self._path(media_id)
        with _reaching():
            if self._local and self._fs.exists(path):
                os.utime(path)  # whoever is about to remove it as unused must see that it is wanted again
                return media_id
            self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            if self._local:
                _write_durably(path, data)
            else:
                self._fs.pipe_file(path, data)  # object stores show an object only when it is whole
        return media_id

    def get(self, media_id: str) -> bytes:
        """Return the bytes of a media id. Raises: MediaMissing, MediaAway."""
        with _reaching():
            try:
                data: bytes = self._fs.cat_file(self._path(media_id))
            except FileNotFoundError as error:
                raise MediaMissing(media_id) from error
        return data

    def remove(self, media_id: str, untouched_s: float = 0.0) -> bool:
        """Drop the bytes of a media id; return False, and keep them, if they were put within the last `untouched_s`.

        What is not there is gone already. Raises: MediaAway.
        """
        path = self._path(media_id)
        with _reaching(), contextlib.suppress(FileNotFoundError):
            if untouched_s and time.time() - self._fs.modified(path).timestamp() < untouched_s:
                return False
            self._fs.rm_file(path)
        return True

    def _path(self, media_id: str) -> str:
        return f"{self._root}/{media_id[:2]}/{media_id}"


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    """Each kind of store has its own errors for being full or out of reach; they become one."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        raise MediaAway(f"MEDIA_URL: {type(error).__name__}") from error


def _write_durably(path: str, data: bytes) -> None:
    temporary = f"{path}.{uuid.uuid4().hex}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        reached(Place.BEFORE_RENAME)
        os.replace(temporary, path)
    except OSError:  # a full disk, say: the half file must not keep it full
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)  # the name is as durable as the bytes
    finally:
        os.close(folder)
    reached(Place.AFTER_RENAME)

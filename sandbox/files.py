"""Files of the sandbox: every content kept once, with Telegram's identifiers."""

from __future__ import annotations

import base64
import hashlib
import re
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import bad_request
from sandbox.pictures import picture_mime, picture_size, scaled_sizes

MAX_DOWNLOAD = 20 * 1024 * 1024
MAX_PHOTO = 10 * 1024 * 1024
MAX_DOCUMENT = 50 * 1024 * 1024
_CHUNK = 64 * 1024
_IN_MEMORY = 32 * 1024 * 1024


class Contents:
    """Bytes by their hash, so that ten thousand equal uploads cost one; past some megabytes they lie on disk."""

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - it lives as long as this object
        self._places: dict[bytes, int] = {}
        self._end = 0
        weakref.finalize(self, self._spool.close)

    def keep(self, data: bytes) -> int:
        """The place of these bytes, old or new."""
        key = hashlib.sha256(data).digest()
        if key not in self._places:
            self._spool.seek(self._end)
            self._spool.write(data)
            self._places[key] = self._end
            self._end += len(data)
        return self._places[key]

    def read(self, place: int, size: int) -> bytes:
        """The bytes at a place."""
        self._spool.seek(place)
        return self._spool.read(size)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One uploaded file; `place` is None for a file of zeros that only has a size."""

    number: int
    kind: str
    name: str
    mime: str
    size: int
    place: int | None
    picture: tuple[int, int] | None
    picture_mime: str | None
    _contents: Contents = field(repr=False)

    @property
    def path(self) -> str:
        """`file_path` of getFile."""
        dot = self.name.rfind(".")
        extension = self.name[dot:] if dot > 0 and self.name[dot + 1 :].isalnum() else ""
        folder = {"photo": "photos", "voice": "voice"}.get(self.kind, f"{self.kind}s")
        return f"{folder}/file_{self.number}{extension}"

    def chunks(self) -> Iterator[bytes]:
        """The content, piece by piece."""
        if self.place is not None:
            yield self._contents.read(self.place, self.size)
            return
        for start in range(0, self.size, _CHUNK):
            yield bytes(min(_CHUNK, self.size - start))

    def read(self) -> bytes:
        """The whole content."""
        return b"".join(self.chunks())


class Files:
    """All files. A `file_id` belongs to one bot, one run of the sandbox and one size of a file."""

    def __init__(self, owner: str) -> None:
        self._salt = owner.encode()
        self._files: list[StoredFile] = []
        self._contents = Contents()
        self._sizes: dict[int, list[dict[str, Any]]] = {}

    def add(self, kind: str, data: bytes | None, name: str, mime: str, size: int | None = None) -> StoredFile:
        """Keep a file."""
        length = size if data is None and size is not None else len(data or b"")
        place = self._contents.keep(data) if data is not None else None
        picture = (picture_size(data), picture_mime(data)) if data is not None else (None, None)
        file = StoredFile(len(self._files), kind, name, mime, length, place, *picture, self._contents)
        self._files.append(file)
        return file

    def add_photo(self, data: bytes) -> StoredFile:
        """Keep a photo.

        Raises: ApiError as Telegram for a photo that is too big, too long or no picture.
        """
        if not data:
            raise bad_request("file must be non-empty")
        if len(data) > MAX_PHOTO:
            raise bad_request(f"file of size {len(data)} bytes is too big for a photo; the maximum size is {MAX_PHOTO} bytes")
        size = picture_size(data)
        if size is None:
            raise bad_request("IMAGE_PROCESS_FAILED")
        width, height = size
        if min(size) < 1 or width + height > 10000 or max(size) > 20 * min(size):
            raise bad_request("PHOTO_INVALID_DIMENSIONS")
        mime = picture_mime(data) or "image/jpeg"
        return self.add("photo", data, f"photo.{'jpg' if mime == 'image/jpeg' else mime[6:]}", mime)

    def file_id(self, file: StoredFile, size: int = 0) -> str:
        """The identifier this bot may send again."""
        body = f"{file.kind[:2]}.{file.number}.{size}".encode()
        return "AgAC" + base64.urlsafe_b64encode(self._digest(body) + body).decode().rstrip("=")

    def unique_id(self, file: StoredFile, size: int = 0) -> str:
        """The identifier that is the same for every bot."""
        return "AQAD" + base64.urlsafe_b64encode(f"{file.number:06d}{size}".encode()).decode().rstrip("=")

    def by_id(self, file_id: str) -> tuple[StoredFile, int] | None:
        """The file behind a `file_id`, with the size it names; None for a foreign or broken one."""
        try:
            raw = base64.urlsafe_b64decode(file_id.removeprefix("AgAC") + "==")
            digest, body = raw[:9], raw[9:]
            if not file_id.startswith("AgAC") or digest != self._digest(body):
                return None
            _, number, size = body.decode().split(".")
            return self._files[int(number)], int(size)
        except (ValueError, IndexError):
            return None

    def by_path(self, path: str) -> StoredFile | None:
        """The file behind a `file_path`."""
        number = re.search(r"/file_(\d{1,9})(\.|$)", path)
        file = self.by_number(int(number[1])) if number else None
        return file if file is not None and file.path == path else None

    def by_number(self, number: int) -> StoredFile | None:
        """The file with this number."""
        return self._files[number] if 0 <= number < len(self._files) else None

    def photo_sizes(self, file: StoredFile) -> list[dict[str, Any]]:
        """`PhotoSize` entries, smallest first. Every size downloads the same bytes: nothing is rescaled here."""
        if file.number not in self._sizes:
            width, height = file.picture or (1, 1)
            self._sizes[file.number] = [
                self._size(file, index, w, h, max(1, file.size * w * h // (width * height)))
                for index, (w, h) in enumerate(scaled_sizes(width, height))
            ]
        return self._sizes[file.number]

    def document(self, file: StoredFile) -> dict[str, Any]:
        """`Document` of a file; also the common part of voice, sticker and video."""
        described = {
            "file_id": self.file_id(file),
            "file_unique_id": self.unique_id(file),
            "file_size": file.size,
            "file_name": file.name,
            "mime_type": file.mime,
        }
        if file.kind == "document" and file.picture is not None and min(file.picture) > 0:
            longest = max(file.picture)
            width, height = (max(1, side * min(320, longest) // longest) for side in file.picture)
            described["thumbnail"] = self._size(file, 1, width, height, min(file.size, 40_000))
        return described

    def _size(self, file: StoredFile, index: int, width: int, height: int, size: int) -> dict[str, Any]:
        ids = {"file_id": self.file_id(file, index), "file_unique_id": self.unique_id(file, index)}
        return ids | {"width": width, "height": height, "file_size": size}

    def _digest(self, body: bytes) -> bytes:
        return hashlib.sha256(self._salt + body).digest()[:9]

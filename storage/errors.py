"""Errors of this room; one sentence each."""

from collections.abc import Mapping

from storage.domain import Refused


class StorageError(Exception):
    """Anything that storage refuses."""


class NotFound(StorageError, Refused):
    """The row does not exist, or is not this person's; the two are never told apart."""

    def __init__(self, what: str) -> None:
        Refused.__init__(self, "refused.not-found")
        self.what = what


class LostLease(StorageError):
    """A worker wrote with a fence that is no longer the job's: somebody else has it."""


class NoDatabase(StorageError):
    """The database cannot be opened at all."""


class NoMedia(StorageError):
    """The media store cannot be opened at all."""


class OldSchema(StorageError):
    """The database is not at the revision this code was written for."""


class BadUpload(StorageError):
    """A file that is not taken: a reason of `storage.decode.REASONS`, and what a sentence about it needs."""

    def __init__(self, reason: str, values: Mapping[str, str | int] | None = None) -> None:
        super().__init__(reason)
        self.reason, self.values = reason, values or {}


class MediaAway(StorageError, OSError):
    """The media store is out of reach, or full; the next try may find it well."""


class MediaMissing(StorageError):
    """A picture's bytes are not in the media store."""

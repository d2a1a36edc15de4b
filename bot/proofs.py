"""Whether a recipe holds: a picture drawn again is compared with the one that is kept, pixel by pixel."""

import asyncio
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from engine.recipe import Recipe, stored_in
from handlers.lineage import PROOF
from storage.database import Database
from storage.domain import Job, Picture, Remark
from storage.errors import MediaMissing
from storage.media import MediaStore
from storage.repositories.jobs import JobRepository
from storage.repositories.pictures import PictureRepository

_SHOWN = 8  # characters of a fingerprint


class Proofs:
    def __init__(self, database: Database, media: MediaStore) -> None:
        self._db, self._media = database, media

    async def verdict(self, job: Job, pictures: Sequence[Picture]) -> list[Remark]:
        """What is to be said of a job that drew a picture again to compare; nothing of any other. Raises: MediaAway."""
        asked = next((remark for remark in job.remarks if remark.key == PROOF), None)
        if asked is None:
            return []
        async with self._db.read() as session:
            found = await PictureRepository(session).owned_of([str(asked.values["picture"])], job.user_id)
            original = found[0] if found else None
            before = await JobRepository(session).get(original.job_id) if original and original.job_id else None
        name = {"name": asked.values["name"]}
        again = next((picture for picture in pictures if original and picture.seed == original.seed), None)
        if original is None or before is None or again is None:
            return [Remark("proof.no-original", name)]
        try:
            one, other = await asyncio.gather(
                *(asyncio.to_thread(self._media.get, picture.media_id) for picture in (original, again))
            )
        except MediaMissing:
            return [Remark("proof.no-original", name)]
        apart = await asyncio.to_thread(_apart, one, other)
        if apart is None:
            return [Remark("proof.identical", name)]
        share, most = apart
        reasons = _reasons(before, job, stored_in(one), stored_in(other))
        return [Remark("proof.differs", {**name, "share": share, "most": most}), *reasons]


def _apart(one: bytes, other: bytes) -> tuple[str, int] | None:
    """The share of the pixels that differ, in per cent, and by how much they do at most; None if none does."""
    first, second = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16) for data in (one, other))
    if first.shape != second.shape:
        return "100", 255
    gap = np.abs(first - second).max(axis=2)
    return (f"{max(0.1, 100 * float((gap > 0).mean())):.1f}", int(gap.max())) if gap.any() else None


def _reasons(before: Job, now: Job, was: Recipe | None, is_now: Recipe | None) -> list[Remark]:
    """What is not as it was when the picture was drawn, as far as that is kept."""
    pairs = [("proof.because-weights", before.engine_revision or "", now.engine_revision or "")]
    if was and is_now:
        pairs.append(("proof.because-device", was.device, is_now.device))
        pairs.append(("proof.because-version", was.version, is_now.version))
    differ = [Remark(key, {"was": old[:_SHOWN], "now": new[:_SHOWN]}) for key, old, new in pairs if old and new and old != new]
    return differ or [Remark("proof.because-unknown")]

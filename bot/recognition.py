"""Which of a person's own pictures is the one that they sent: found and proven from what SQL keeps of each, without a file."""

import asyncio
import logging
import time

from bot.likeness import nearest, same
from storage.database import Database
from storage.domain import Likeness, Picture
from storage.repositories.likenesses import LikenessRepository

log = logging.getLogger(__name__)

_PATIENCE_S = 2.0  # of a person whose picture is looked for; usually it takes a twentieth of a second


class Recognition:
    def __init__(self, database: Database) -> None:
        self._db = database

    async def find(self, picture: Picture) -> Picture | None:
        """The drawn picture of the same person that a sent one shows; None if there is none, or if it takes too long."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                found = await self._find(picture)
        except TimeoutError:
            log.warning("a picture is not looked for longer than %.1f s", _PATIENCE_S)
            return None
        log.info("looked for a picture in %.0f ms", 1000 * (time.monotonic() - began))
        return found

    async def _find(self, picture: Picture) -> Picture | None:
        async with self._db.read() as session:
            looks = await LikenessRepository(session).of(picture)
            known = await LikenessRepository(session).codes(picture.user_id) if looks else []
        if looks is None or not known:
            return None
        likely = await asyncio.to_thread(nearest, looks.code, [code for _, code in known])
        if not likely:
            return None
        async with self._db.read() as session:
            proofs = await LikenessRepository(session).proofs([known[index][0] for index in likely])
        return await asyncio.to_thread(_proven, looks, proofs)


def _proven(looks: Likeness, proofs: dict[int, tuple[Picture, bytes]]) -> Picture | None:
    """The picture whose every block agrees; of several the nearest, and of the same pixels drawn twice the first."""
    agreed = [(worst, key) for key, (_, proof) in proofs.items() if (worst := same(looks.proof, proof)) is not None]
    return proofs[min(agreed)[1]][0] if agreed else None

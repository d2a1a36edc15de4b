"""How a person's pictures look: searched by their codes, all at once, and compared by the proofs of a few."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.domain import UPLOAD, Likeness, Picture
from storage.tables import LikenessRow, PictureRow

_CODES = select(LikenessRow.picture_id, LikenessRow.code)


class LikenessRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, picture: Picture, likeness: Likeness) -> None:
        """Keep how a picture looks."""
        row = LikenessRow(
            picture_id=picture.id, user_id=picture.user_id, drawn=picture.operation != UPLOAD,
            code=likeness.code, proof=likeness.proof,
        )  # fmt: skip
        self._session.add(row)
        await self._session.flush()

    async def of(self, picture: Picture) -> Likeness | None:
        """How a picture looks; None if that was never kept."""
        row = await self._session.get(LikenessRow, picture.id)
        return Likeness(row.code, row.proof) if row else None

    async def codes(self, user_id: int) -> list[tuple[int, bytes]]:
        """(picture's key, code) of all that was drawn for this person."""
        rows = await self._session.execute(_CODES.where(LikenessRow.user_id == user_id, LikenessRow.drawn.is_(True)))
        return [(row[0], row[1]) for row in rows]

    async def proofs(self, picture_ids: Collection[int]) -> dict[int, tuple[Picture, bytes]]:
        """Some pictures by their keys, each with its proof."""
        rows = await self._session.execute(
            select(PictureRow, LikenessRow.proof)
            .join(LikenessRow, LikenessRow.picture_id == PictureRow.id)
            .where(PictureRow.id.in_(picture_ids))
        )
        return {row.id: (row.to_picture(), proof) for row, proof in rows}

"""Rough pictures of what is being drawn: one a job, on its way from its worker to its chat, and gone when the drawing ends."""

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is SQLite's, too
from sqlalchemy.ext.asyncio import AsyncSession

from storage.domain import Job, JobState
from storage.tables import JobRow, PreviewRow

Version = tuple[int, int]
"""The fence and the step that a preview is of."""


class PreviewRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, job: Job, step: int, picture: bytes) -> None:
        """Keep a job's newest preview in the place of the one before."""
        new = insert(PreviewRow).values(job_id=job.id, fence=job.fence, step=step, picture=picture)
        values = {"fence": job.fence, "step": step, "picture": picture}
        await self._session.execute(new.on_conflict_do_update(index_elements=["job_id"], set_=values))

    async def versions(self, bot_id: int) -> dict[int, Version]:
        """By job: the previews of all that is being drawn for this bot's people, each by the worker that has the job now."""
        here = JobRow.id == PreviewRow.job_id, JobRow.fence == PreviewRow.fence
        rows = await self._session.execute(
            select(PreviewRow.job_id, PreviewRow.fence, PreviewRow.step)
            .join(JobRow, here[0] & here[1])
            .where(JobRow.bot_id == bot_id, JobRow.state == JobState.RUNNING)
        )
        return {job_id: (fence, step) for job_id, fence, step in rows}

    async def take(self, job: Job) -> bytes | None:
        """Note that a job's status message shows its preview from now on, and return that; None if it is not drawn any more."""
        drawn = JobRow.id == job.id, JobRow.state == JobState.RUNNING, JobRow.fence == job.fence
        noted = await self._session.execute(update(JobRow).where(*drawn).values(previewed=True).returning(JobRow.id))
        if noted.one_or_none() is None:
            return None
        where = PreviewRow.job_id == job.id, PreviewRow.fence == job.fence
        return await self._session.scalar(select(PreviewRow.picture).where(*where))

    async def forget_old(self) -> None:
        """Drop the previews of what is drawn, or given back."""
        running = select(JobRow.id).where(JobRow.state == JobState.RUNNING)
        await self._session.execute(
            delete(PreviewRow).where(PreviewRow.job_id.not_in(running)), execution_options={"synchronize_session": False}
        )

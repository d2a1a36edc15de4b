"""News of jobs under way: the status line, a look at what is half drawn, "sending a photo" at the top of the chat.

Nobody minds a lost try, and none of it may keep a result waiting: it goes when there are tokens to spare.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from aiogram.types import BufferedInputFile

from bot.calls import Calls
from bot.jobs import Jobs
from bot.logs import log_about
from bot.messages import Messages
from bot.open_queues import OpenQueue, OpenQueues
from bot.outbox import Outbox
from bot.said import Said
from bot.screens import Screens
from bot.telegram import Fate, Tried
from storage.domain import Job, JobState
from storage.repositories.previews import Version

log = logging.getLogger(__name__)

_PROGRESS_S = 1.5
_PREVIEW_S = 3.0  # between two pictures in the place of one message
_PREVIEW_PATIENCE_S = 10  # for Telegram's answer to one: it is small, and a result may be waiting behind it
_BUSY_S = 4.5  # Telegram shows such a word for five seconds


class Send(Protocol):
    """Send something to a chat if it may be sent now; return whether it is. spare: tokens that must be left to the chat."""

    def __call__(self, chat_id: int, send: Callable[[], Awaitable[None]], spare: float = 0.0) -> bool: ...


class News:
    """One deliverer's. `attempt` makes a call and tells its fate; `rest` obeys a 429; `aside` makes one that is no message."""

    def __init__(
        self,
        outbox: Outbox,
        calls: Calls,
        screens: Screens,
        messages: Messages,
        jobs: Jobs,
        *,
        send: Send,
        aside: Callable[[int, Callable[[], Awaitable[None]]], bool],
        attempt: Callable[[Awaitable[Any]], Awaitable[Tried[Any]]],
        rest: Callable[[int, float], Awaitable[float]],
    ) -> None:
        self._outbox, self._calls, self._screens, self._messages, self._jobs = outbox, calls, screens, messages, jobs
        self._send, self._aside, self._attempt, self._rest = send, aside, attempt, rest
        self.queues = OpenQueues()
        self.doubtful: set[int] = set()  # jobs whose preview got no answer: it may still come, and over their result
        self._said: dict[int, tuple[str, float]] = {}  # job id -> status text last shown, and when
        self._seen: dict[int, tuple[Version, float]] = {}  # job id -> preview last shown, and when
        self._no_more: set[int] = set()  # jobs whose preview Telegram did not take
        self._busy: dict[int, float] = {}  # chat id -> when it was last told that something is on its way
        self._drawn: set[int] = set()  # jobs that were being drawn at the last look

    def said(self, job_id: int, text: str) -> None:
        """A job's status was just sent."""
        self._said[job_id] = (text, time.monotonic())

    def forget(self) -> None:
        """Whatever was shown was shown long ago."""
        self._said.clear()

    async def status(self, job: Job, language: str) -> Said:
        """What a job's status message says now."""
        view, timing = await self._jobs.queue_view(job) if job.state == JobState.QUEUED else (None, None)
        return self._messages.status(job, language, view, timing)

    async def watch(self, watched: Sequence[tuple[Job, str]], previews: Mapping[int, Version]) -> None:
        """Bring status messages up to date, each now and then."""
        now = time.monotonic()
        for job, language in watched:
            if self._fresh(job, previews.get(job.id), now):
                if self._send(job.chat_id, partial(self._show_preview, job, await self.status(job, language)), spare=1.0):
                    self._seen[job.id] = (previews[job.id], now)
                continue
            last_text, at = self._said.get(job.id, ("", 0.0))
            if now - at < _PROGRESS_S:
                continue
            said = await self.status(job, language)
            self._said[job.id] = (last_text, now)
            if said.text != last_text:
                self._send(job.chat_id, partial(self._show_progress, job, said))
        for queue in self.queues.stale(job for job, _ in watched):
            self._send(queue.notice.chat_id, partial(self._refresh_queue, queue))
        self._seem_busy(watched, now)
        ids = {job.id for job, _ in watched}
        self._said = {job_id: shown for job_id, shown in self._said.items() if job_id in ids}
        self._seen = {job_id: shown for job_id, shown in self._seen.items() if job_id in ids}
        self._no_more &= ids

    def _fresh(self, job: Job, version: Version | None, now: float) -> bool:
        """Whether a job has a preview to be shown."""
        if version is None or job.id in self._no_more or job.cancel_requested:
            return False
        seen, at = self._seen.get(job.id, (None, float("-inf")))
        return version != seen and now - at >= _PREVIEW_S

    def _seem_busy(self, watched: Sequence[tuple[Job, str]], now: float) -> None:
        """Say that a photo is on its way wherever a drawing takes longer than from one look to the next."""
        drawn = {job.id: job.chat_id for job, _ in watched if job.state == JobState.RUNNING}
        for chat_id in {chat_id for job_id, chat_id in drawn.items() if job_id in self._drawn}:
            if now - self._busy.get(chat_id, float("-inf")) >= _BUSY_S and self._aside(chat_id, partial(self._be_busy, chat_id)):
                self._busy[chat_id] = now
        self._drawn = set(drawn)
        self._busy = {chat_id: at for chat_id, at in self._busy.items() if now - at < _BUSY_S}

    async def _be_busy(self, chat_id: int) -> None:
        await self._heed(chat_id, await self._attempt(self._calls.seem_busy(chat_id)))

    async def _heed(self, chat_id: int, tried: Tried[Any]) -> None:
        if tried.retry_s:
            await self._rest(chat_id, tried.retry_s)

    async def _show_progress(self, job: Job, said: Said) -> None:
        log_about(job=job.public_id)
        self.said(job.id, said.text)
        edit = self._calls.edit_caption if job.previewed else self._calls.edit_text
        await self._heed(job.chat_id, await self._attempt(edit(job.chat_id, job.status_message_id, said)))

    async def _show_preview(self, job: Job, said: Said) -> None:
        """Put a look at what is half drawn into the status message, unless the drawing has ended meanwhile."""
        log_about(job=job.public_id)
        picture = await self._outbox.take_preview(job)
        if picture is None:
            return
        self.said(job.id, said.text)
        file = BufferedInputFile(picture, "preview.jpg")
        edit = self._calls.edit_picture(job.chat_id, job.status_message_id, file, said, patience_s=_PREVIEW_PATIENCE_S)
        tried = await self._attempt(edit)
        if tried.fate == Fate.AMBIGUOUS:
            self.doubtful.add(job.id)
        if tried.fate not in (Fate.DONE, Fate.SAME):
            self._no_more.add(job.id)
            log.warning("no more previews: %s", tried.error)
        await self._heed(job.chat_id, tried)

    async def _refresh_queue(self, queue: OpenQueue) -> None:
        """Bring a list of what waits up to date."""
        notice = queue.notice
        said = await self._screens.draw(notice, await self._outbox.language(int(notice.user_id or 0)))
        if said.text == queue.said.text:
            self.queues.redrawn(queue, said)
            return
        tried = await self._attempt(self._calls.edit_text(notice.chat_id, queue.message_id, said))
        await self._heed(notice.chat_id, tried)
        if tried.fate in (Fate.GONE, Fate.BLOCKED, Fate.REFUSED):
            self.queues.forget(queue)
        else:
            self.queues.redrawn(queue, said if tried.fate in (Fate.DONE, Fate.SAME) else None)

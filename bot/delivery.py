"""The only place that speaks to Telegram, callback answers aside: results, notices, statuses, progress, in that order.

A result replaces its job's status message, so a repeated try changes nothing that a person sees. Where that message is
not to be had, a new one is sent, marked `sending` before and `sent` after; what a crash or a silent network leaves in
between is sent once more, and says so.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from aiogram import Bot
from aiogram.types import Message

from bot import metrics
from bot.calls import Calls
from bot.exports import PART, Exports
from bot.job_notices import job_file, job_ping, job_withheld
from bot.jobs import POLICY, Jobs
from bot.limiter import Limiter
from bot.logs import log_about
from bot.messages import Messages
from bot.news import News
from bot.outbox import Outbox
from bot.own_errors import OwnErrors, backoff
from bot.proofs import Proofs
from bot.results import Results
from bot.screens import SCREENS, Screens
from bot.settings import SettingsError
from bot.telegram import NO_SUCH_TOKEN, Fate, Tried, attempt
from bot.views import Views
from storage.database import Database
from storage.domain import Job
from storage.errors import LostLease
from storage.media import MediaStore
from storage.places import Place, reached
from storage.post import Delivery, NewNotice, Notice, SendState
from storage.repositories.outgoing import Lease

log = logging.getLogger(__name__)
T = TypeVar("T")

_TICK_S = 0.2
_REST_S = 0.01  # between two ticks, so that what comes in a crowd is read and sent together
_REST_AGAIN_S = 0.5  # between two tries to write down that a chat rests
_LOOK_S = 0.5  # between two looks at all that wait or are drawn
_LOOK_SHARE = 0.1  # of the time that may go into looking, however many there are
_PING_AFTER_S = 20.0
_DOUBT_S = 3.0  # after which a preview of unknown fate has come, or never will
_ORPHANS_S = 10.0  # between two looks for what a former deliverer was sending when it was cut off
_LAST_S = 5.0  # for the calls in flight of a deliverer that ends
_HEED_S = 4 * _LAST_S  # for which its successor looks at what those calls are told; it may notice late that it has ended
_PROGRESS_RESERVE = 8  # of the bot's tokens, kept back from progress for results and notices


@dataclass
class Deliverer:
    """Sends what SQL says is owed; several chats at once, one message at a time in each."""

    database: Database
    bot: Bot
    jobs: Jobs
    messages: Messages
    media: MediaStore
    limiter: Limiter = field(default_factory=Limiter)
    lease: Lease | None = None  # which it must hold, and as whom, to begin a message
    part_mb: int = 45  # of pictures in one file of an export

    def __post_init__(self) -> None:
        self._outbox = Outbox(self.database, self.bot.id, self.lease)
        self._calls = Calls(self.bot)
        proofs = Proofs(self.database, self.media)
        self._results = Results(self._outbox, self._calls, self.messages, self.media, proofs)
        self._views = Views(self._outbox, self._calls, self.messages, self.media, proofs)
        self.exports = Exports(self.database, self.media, self.messages, self.part_mb)
        self._screens = Screens(self.database, self.jobs, self.messages, self.media)
        self._busy: dict[int, Delivery | Notice | None] = {}  # chat id -> what it is being sent; None for mere progress
        self._settled: set[int] = set()  # chats whose message ended since SQL was last read: that reading is stale for them
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._own_errors = OwnErrors(self._outbox)
        self._revoked = False  # whether Telegram knows the token no more
        self._orphans_at = time.monotonic() + _ORPHANS_S  # when to look for rows that say `sending` though nobody sends them
        self._news = News(
            self._outbox, self._calls, self._screens, self.messages, self.jobs,
            send=self._start_news, aside=self._start_aside, attempt=self._try, rest=self._rest,
        )  # fmt: skip
        self._look_at = 0.0
        self._new_until = 0.0  # a deliverer before us may be told to be silent until then

    def wake(self) -> None:
        """Something was just written that may be owed to a chat."""
        self._wake.set()

    async def take_over(self) -> None:
        """Begin after another deliverer: what it was sending has an unknown fate, and what it is told counts for us."""
        await self._outbox.interrupted()
        self._new_until = time.monotonic() + _HEED_S

    async def run(self) -> None:
        """Deliver until cancelled, then let the calls in flight end. Raises: SettingsError once the token is revoked."""
        try:
            while True:
                metrics.moved("deliver")
                try:
                    await self.tick(watch=time.monotonic() >= self._look_at)
                except Exception as error:
                    log.error("delivery: %s: %s", type(error).__name__, error)
                try:
                    async with asyncio.timeout(_TICK_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                if self._revoked:
                    raise SettingsError(NO_SUCH_TOKEN)
                await asyncio.sleep(_REST_S)
                self._wake.clear()
        finally:
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=_LAST_S)
                for task in late:  # whoever delivers next must not be doing it beside us
                    task.cancel()

    async def tick(self, watch: bool = True) -> None:
        """Start everything that is due and may go now; `watch` also what is only news of a job under way."""
        self._settled.clear()
        began = time.monotonic()
        if self._own_errors.left_behind or began >= self._orphans_at:
            self._own_errors.left_behind, self._orphans_at = False, began + _ORPHANS_S
            await self._outbox.interrupted([owed for owed in self._busy.values() if owed])
        if began < self._new_until:
            self.limiter.rest(await self._outbox.rests())
        due = await self._outbox.due(watched=watch)
        for delivery, job, language in due.results:
            self._start(job.chat_id, partial(self._send_result, delivery, job, language), delivery)
        for notice, language in due.notices:
            self._start(notice.chat_id, partial(self._send_notice, notice, language), notice)
        for delivery, job, language in due.statuses:
            self._start(job.chat_id, partial(self._send_status, delivery, job, language), delivery)
        if due.watched is not None:
            await self._news.watch(due.watched, due.previews)
            now = time.monotonic()
            self._look_at = now + max(_LOOK_S, (now - began) / _LOOK_SHARE)

    def _start(
        self,
        chat_id: int,
        send: Callable[[], Awaitable[None]],
        owed: Delivery | Notice | None,
        reserve: float = 0.0,
        spare: float = 0.0,
    ) -> bool:
        """Send it if it may be sent now; return whether it is."""
        if chat_id in self._busy or chat_id in self._settled or not self.limiter.take(chat_id, reserve, spare):
            return False
        self._busy[chat_id] = owed
        self._keep(self._guard(chat_id, send, owed))
        return True

    def _start_news(self, chat_id: int, send: Callable[[], Awaitable[None]], spare: float = 0.0) -> bool:
        return self._start(chat_id, send, None, _PROGRESS_RESERVE, spare)

    def _start_aside(self, chat_id: int, call: Callable[[], Awaitable[None]]) -> bool:
        """Make a call that is no message, beside whatever the chat is being sent; return whether it may be made now."""
        if not self.limiter.take_aside(chat_id, _PROGRESS_RESERVE):
            return False
        self._keep(call())
        return True

    def _keep(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, chat_id: int, send: Callable[[], Awaitable[None]], owed: Delivery | Notice | None) -> None:
        """Send; an error of our own (a picture that cannot be read, say) is tried again later and at last given up."""
        try:
            await send()
        except LostLease as error:
            log.warning("delivery: somebody else sends %s", error)
        except Exception as error:
            log.error("delivery: %s: %s", type(error).__name__, error, exc_info=True)
            if owed is not None:
                await self._own_errors.after(owed, error)
        finally:
            self._busy.pop(chat_id, None)
            self._settled.add(chat_id)
            self._wake.set()

    async def _try(self, call: Awaitable[T]) -> Tried[T]:
        tried = await attempt(call)
        self._revoked = self._revoked or tried.error == NO_SUCH_TOKEN
        return tried

    async def _send_status(self, delivery: Delivery, job: Job, language: str) -> None:
        """Send "accepted" at most once: it is repeated only if Telegram certainly did nothing."""
        log_about(job=job.public_id)
        await self._outbox.sending(delivery)
        said = await self._news.status(job, language)
        tried = await self._try(self._calls.say(job.chat_id, said, job.reply_to_message_id))
        if tried.answer is not None:
            self._news.said(job.id, said.text)
            await self._outbox.status_sent(job, tried.answer.message_id)
            self._own_errors.forget(delivery)
        elif tried.fate == Fate.NOT_APPLIED:
            await self._outbox.again(job.id, 0, await self._delay(job.chat_id, tried, delivery.attempt), tried.error)
        else:
            state = SendState.UNKNOWN if tried.fate == Fate.AMBIGUOUS else SendState.FAILED
            await self._outbox.settled(job.id, 0, state, tried.error)
            self._own_errors.forget(delivery)
            await self._if_blocked(tried.fate, job.user_id, job.chat_id)

    async def _send_result(self, delivery: Delivery, job: Job, language: str) -> None:
        log_about(job=job.public_id)
        again = delivery.state == SendState.UNKNOWN
        form, put, send = await self._results.ready(job, language, again)
        reached(Place.BEFORE_CALL)
        if job.status_message_id is not None:
            tried = await self._try(put())
            reached(Place.AFTER_CALL)
            if tried.fate != Fate.GONE:
                await self._after_result(delivery, job, tried, job.status_message_id, form, safe=True)
                return
            await self._outbox.no_status_message(job.id)
        if again:
            await self._make_room(delivery, job, language, form)
            return
        await self._outbox.sending(delivery)
        tried = await self._try(send())
        await self._after_result(delivery, job, tried, tried.answer.message_id if tried.answer else None, form, safe=False)

    async def _make_room(self, delivery: Delivery, job: Job, language: str, form: str) -> None:
        """A picture was sent, perhaps: before its one copy, send a line of text for it to replace. So no third can come."""
        said = self.messages.coming(language)
        await self._outbox.sending(delivery)
        tried = await self._try(self._calls.say(job.chat_id, said, job.reply_to_message_id))
        if tried.answer is not None:
            await self._outbox.again(job.id, 1, 0.0, None, unknown=True, message_id=tried.answer.message_id)
        elif tried.fate in (Fate.NOT_APPLIED, Fate.AMBIGUOUS):
            delay_s = await self._delay(job.chat_id, tried, delivery.attempt)
            await self._outbox.again(job.id, 1, delay_s, tried.error, unknown=True)
        else:
            await self._after_result(delivery, job, tried, None, form, safe=False)

    async def _after_result(
        self,
        delivery: Delivery,
        job: Job,
        tried: Tried[Message],
        message_id: int | None,
        form: str,
        *,
        safe: bool,
    ) -> None:
        """Write down what became of a result; `safe` tries can be repeated without being seen."""
        done = tried.fate in (Fate.DONE, Fate.SAME) and message_id is not None
        if done and job.id in self._news.doubtful:  # a preview on its way would cover the picture: put it there once more
            self._news.doubtful.discard(job.id)
            await self._outbox.again(job.id, 1, _DOUBT_S, "a preview may come late")
        elif done and message_id is not None:
            photo = tried.answer.photo[-1] if tried.answer and tried.answer.photo else None
            took_s = (job.rendered_at or 0) - job.created_at
            follow = [job_ping(job, message_id)] if safe and took_s > _PING_AFTER_S else []
            if job.withheld:
                follow.append(job_withheld(job, message_id))
            if form == "both":
                follow.append(job_file(job, message_id))
            await self._outbox.delivered(job, message_id, photo, follow)
            self._own_errors.forget(delivery)
            metrics.job("delivered")
            log.info("delivered")
        elif tried.fate == Fate.NOT_APPLIED or (safe and tried.fate == Fate.AMBIGUOUS):
            delay_s = await self._delay(job.chat_id, tried, delivery.attempt)
            await self._outbox.again(job.id, 1, delay_s, tried.error, unknown=delivery.state == SendState.UNKNOWN)
        elif tried.fate == Fate.AMBIGUOUS:
            await self._outbox.settled(job.id, 1, SendState.UNKNOWN, tried.error)
        else:
            log.warning("undeliverable: %s", tried.error)
            await self._outbox.undeliverable(job, tried.error, blocked=tried.fate == Fate.BLOCKED)
            self._own_errors.forget(delivery)
            await self._if_blocked(tried.fate, job.user_id, job.chat_id)

    async def _send_notice(self, notice: Notice, language: str) -> None:
        log_about(job=notice.params.get("job"))
        target, said, follow, under_picture = notice.edit_message_id, None, None, False
        if notice.key == "view":
            call: Callable[[], Awaitable[Message | bool]] = partial(self._views.view, notice, language)
        elif notice.key == "file":
            call = await self._views.file(notice)
        elif notice.key == "commands":
            chosen = await self._outbox.chosen_language(int(notice.user_id or 0))
            offered = self.messages.commands(chosen) if chosen else None
            await self._after_notice(
                notice, await self._try(self._calls.offer_commands(notice.chat_id, offered)), None, safe=True
            )
            return
        elif notice.key == PART:
            part = await self.exports.part(notice, language)
            call, follow = partial(self._calls.send_archive, notice.chat_id, part.file, part.caption), part.next
        else:
            live = notice.key in SCREENS
            said = await self._screens.draw(notice, language) if live else self.messages.notice(notice, language)
            if notice.job_id is not None and target is None:
                job = await self._outbox.job(notice.job_id)
                target, under_picture = job.status_message_id, job.previewed
            if target and under_picture and notice.params.get("error") == POLICY:  # no look at it may stay
                if not await self._deleted(notice, target):
                    return
                target = None
            call = partial(self._calls.put, notice.chat_id, said, target, notice.reply_to_message_id, under_picture)
        if target is None:
            await self._outbox.sending(notice)
        tried = await self._try(call())
        if tried.fate == Fate.GONE and said is not None and (notice.job_id is not None or notice.key in SCREENS):
            await self._outbox.sending(notice)
            new = self._calls.put(notice.chat_id, said, None, notice.reply_to_message_id)
            target, tried = None, await self._try(new)
        if tried.fate in (Fate.DONE, Fate.SAME):
            self._news.queues.shown(notice, said, tried.answer.message_id if isinstance(tried.answer, Message) else target)
        await self._after_notice(notice, tried, follow, safe=target is not None)

    async def _deleted(self, notice: Notice, message_id: int) -> bool:
        """Take a message away, or be sure that it is gone; else the notice is to be tried again later."""
        tried = await self._try(self._calls.delete(notice.chat_id, message_id))
        if tried.fate not in (Fate.NOT_APPLIED, Fate.AMBIGUOUS):
            return True
        await self._outbox.notice_again(notice, await self._delay(notice.chat_id, tried, notice.attempt), tried.error)
        return False

    async def _after_notice(self, notice: Notice, tried: Tried[Message | bool], follow: NewNotice | None, *, safe: bool) -> None:
        if tried.fate in (Fate.DONE, Fate.SAME):
            message_id = tried.answer.message_id if isinstance(tried.answer, Message) else None
            await self._outbox.notice_done(notice, SendState.SENT, message_id, follow=follow)
            self._own_errors.forget(notice)
        elif tried.fate == Fate.NOT_APPLIED or (safe and tried.fate == Fate.AMBIGUOUS):
            await self._outbox.notice_again(notice, await self._delay(notice.chat_id, tried, notice.attempt), tried.error)
        elif tried.fate == Fate.AMBIGUOUS and notice.state != SendState.UNKNOWN:
            await self._outbox.notice_done(notice, SendState.UNKNOWN, None, tried.error)
        else:
            log.warning("notice %s not delivered: %s", notice.key, tried.error)
            await self._outbox.notice_done(notice, SendState.FAILED, None, tried.error)
            self._own_errors.forget(notice)
            await self._if_blocked(tried.fate, notice.user_id, notice.chat_id)

    async def _delay(self, chat_id: int, tried: Tried[Any], attempts: int) -> float:
        """How long to wait before the next try: as told and a little longer, or 0.5 s doubling to 60 s."""
        if tried.retry_s:
            return await self._rest(chat_id, tried.retry_s)
        return backoff(attempts)

    async def _rest(self, chat_id: int, retry_s: float) -> float:
        """Obey a 429, and let whoever delivers next obey it; return for how long this chat has still to rest.

        While the database does not take it, another process may be about to lead: it is told as soon as it can be.
        """
        resting, began = self.limiter.pause(chat_id, retry_s), time.monotonic()
        while True:
            past_s = time.monotonic() - began
            left = {chat: max(rest_s - past_s, 0.0) for chat, rest_s in resting.items()}
            try:
                await self._outbox.resting(left)
                return left[chat_id]
            except Exception as error:
                log.warning("a rest is not written down: %s", type(error).__name__)
                if not left[chat_id]:
                    return 0.0
            await asyncio.sleep(_REST_AGAIN_S)

    async def _if_blocked(self, fate: Fate, user_id: int | None, chat_id: int) -> None:
        if fate == Fate.BLOCKED and user_id is not None:
            await self._outbox.blocked(user_id, chat_id)

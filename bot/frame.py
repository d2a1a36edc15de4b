"""Around every handler: who acts, and an answer to every press."""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from aiogram import BaseMiddleware, Bot
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State
from aiogram.fsm.storage.base import StorageKey
from aiogram.types import Chat, TelegramObject, Update
from aiogram.types import User as TelegramUser
from sqlalchemy.ext.asyncio import AsyncSession

from bot.dialogs import Dialogs, name_of
from bot.telegram import Fate, attempt
from bot.texts import Texts, best_language
from handlers.ports import Actor, Choice, Toast
from storage.database import Database
from storage.domain import Job, User, new_public_id
from storage.errors import NotFound
from storage.post import NewNotice
from storage.repositories.dialogs import DialogRepository
from storage.repositories.history import HistoryRepository
from storage.repositories.inbox import InboxRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import NoticeRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.reports import ReportRepository
from storage.repositories.users import UserRepository

log = logging.getLogger(__name__)

_SAME_PRESS_S = 10.0  # a second press so soon is impatience, not a wish for a second file, or question

Handler = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]


class ActorMiddleware(BaseMiddleware):
    """Find or make the person behind an update. An update without one (a channel's, say) is nobody's wish."""

    def __init__(self, database: Database, bot_id: int, usual_beautify: str = "always") -> None:
        self._db, self._bot_id, self._usual_beautify = database, bot_id, usual_beautify

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        user, chat = data.get("event_from_user"), data.get("event_chat")
        if not isinstance(event, Update) or not isinstance(user, TelegramUser) or not isinstance(chat, Chat) or user.is_bot:
            return None
        message = event.callback_query.message if event.callback_query else event.message or event.edited_message
        state = data.get("state")
        async with self._db.alone() as session:
            person = await UserRepository(session).ensure(self._bot_id, user.id, best_language(user.language_code))
        data["actor"] = Actor(
            user=person,
            chat_id=chat.id,
            message_id=message.message_id if message else None,
            inbox_id=data["inbox_id"],
            update_id=event.update_id,
            pressed=event.callback_query is not None,
            dialog=name_of(state.key) if isinstance(state, FSMContext) else "",
            usual_beautify=self._usual_beautify,
        )
        return await handler(event, data)


def answering(bot: Bot, texts: Texts, database: Database) -> Callable[[Update, Any], Awaitable[None]]:
    """Make what answers every press after its handler, whatever that did: no spinner stays on a button."""

    async def language_of(person: TelegramUser) -> str:
        """What the person chose; with no database to ask, what their Telegram speaks."""
        try:
            async with database.read() as session:
                known = await UserRepository(session).find(bot.id, person.id)
        except Exception as error:
            log.warning("language not read: %s", type(error).__name__)
            known = None
        return known.language if known else best_language(person.language_code)

    async def answer(update: Update, result: Any) -> None:
        query = update.callback_query
        if query is None:
            return
        toast = result if isinstance(result, Toast) else None
        text = texts.plain(await language_of(query.from_user), toast.key) if toast else None
        tried = await attempt(bot.answer_callback_query(query.id, text=text, show_alert=toast.alert if toast else None))
        if tried.fate not in (Fate.DONE, Fate.REFUSED):  # "query is too old" is nobody's fault
            log.warning("press not answered: %s", tried.error)

    return answer


class Desk:
    """What handlers may ask for beside jobs: texts, views, files, and what a button stands for."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._db, self._wake = database, wake

    async def say(self, actor: Actor, key: str, values: Mapping[str, Any] | None = None, choices: Sequence[Choice] = ()) -> None:
        params = {**(values or {}), "choices": [asdict(choice) for choice in choices]}
        await self._owe(actor, _notice(actor, key, _key(actor), params, reply=_refused(actor, key)))

    async def screen(
        self, actor: Actor, key: str, values: Mapping[str, Any] | None = None, edit: bool = False, reply: bool = False
    ) -> bool:
        message_id = actor.message_id if edit else None
        about = None if edit else actor.message_id if reply else _refused(actor, key)
        params = dict(values or {})
        once = actor.pressed and not edit and not reply  # what comes under a picture may be answered, and so gone, by now
        stem = f"press:{_place(actor)}:{key}:{_digest(params)}:" if once else None
        return await self._owe(actor, _notice(actor, key, _key(actor), params, edit=message_id, reply=about), stem)

    async def ask(
        self,
        dialogs: Dialogs,
        actor: Actor,
        key: str,
        dialog: StorageKey,
        answer: State,
        about: Mapping[str, Any] | None = None,
    ) -> bool:
        """In one transaction: a question of which no answer was expected would have its answer drawn."""
        async with self._db.begin() as session:
            new = not (actor.pressed and await dialogs.just_asked(session, dialog, answer, about, _SAME_PRESS_S))
            if new:
                await dialogs.open(session, dialog, answer, about)
                await NoticeRepository(session).add(_notice(actor, key, _key(actor), dict(about or {})))
            await InboxRepository(session).done(actor.inbox_id)
        self._wake()
        return new

    async def show(self, actor: Actor, job: Job, index: int, back: str | None = None, new: bool = False) -> None:
        """Owe a view of a result in the message that was pressed, or (`new`) in one of its own."""
        await self._owe_once(actor, job, "view", index, edit=None if new else actor.message_id, back=back)

    async def send_file(self, actor: Actor, job: Job, index: int) -> bool:
        """Owe a picture as a file; return False if one is on its way already, or has just come."""
        return await self._owe_once(actor, job, "file", index, reply=actor.message_id, quiet_s=_SAME_PRESS_S)

    async def find_job(self, user: User, public_id: str) -> Job:
        async with self._db.read() as session:
            return await JobRepository(session).owned(public_id, user.id)

    async def find_seed(self, job: Job, index: int) -> int | None:
        async with self._db.alone() as session:
            pictures = await PictureRepository(session).of_job(job.id)
        return pictures[index - 1].seed if 0 < index <= len(pictures) else None

    async def find_choice(self, user: User, notice: str, index: int) -> str | None:
        async with self._db.read() as session:
            params = await NoticeRepository(session).params(notice, user.id)
        choices = (params or {}).get("choices", [])
        return str(choices[index]["prompt"]) if 0 <= index < len(choices) else None

    async def find_screen(self, user: User, notice: str) -> Mapping[str, Any]:
        async with self._db.read() as session:
            return await NoticeRepository(session).params(notice, user.id) or {}

    async def count_pictures(self, user: User, find: str = "") -> int:
        async with self._db.read() as session:
            return await HistoryRepository(session).count(user.id, find)

    async def change_settings(self, user: User, changes: Mapping[str, Any]) -> None:
        async with self._db.begin() as session:
            await UserRepository(session).change_settings(user.id, changes)
            if "language" in changes:  # Telegram's menu of commands speaks it, too; a chosen language is a private chat's
                await NoticeRepository(session).add(_menu(user.bot_id, user.id, user.telegram_id, new_public_id()))

    async def renew_menus(self, bot_id: int, edition: str) -> None:
        """Owe each person who chose a language the menu of commands of this edition, once: Telegram keeps the one it has."""
        async with self._db.begin() as session:
            for user_id, telegram_id in await UserRepository(session).not_owed(bot_id, "commands", edition):
                await NoticeRepository(session).add(_menu(bot_id, user_id, telegram_id, edition))

    async def report(self, actor: Actor, job: str, index: int, reason: str) -> bool:
        """Keep what this person says of a picture of theirs, or of one shown in this chat; False if it was said before.

        Raises: NotFound.
        """
        async with self._db.begin() as session:
            found = await JobRepository(session).shown(job, actor.user.id, actor.chat_id)
            if not 0 <= index <= len(await PictureRepository(session).of_job(found.id)):
                raise NotFound(f"picture {index} of job {job}")
            new = await ReportRepository(session).add(actor.user.id, found.id, index, reason)
            if new:
                log.warning("picture %d is reported: %s", index, reason, extra={"job": found.public_id})
            return new

    async def appeal(self, user: User, job: str) -> bool:
        """Keep an appeal against what the judge withheld of this person's job; False if there is one. Raises: NotFound."""
        async with self._db.begin() as session:
            found = await JobRepository(session).owned(job, user.id)
            if not found.withheld:
                raise NotFound(f"a withheld picture of job {job}")
            new = await ReportRepository(session).appeal(user.id, found.id)
        if new:
            log.warning("the judge is appealed against: %s", ", ".join(found.withheld), extra={"job": found.public_id})
        return new

    async def _owe_once(
        self,
        actor: Actor,
        job: Job,
        key: str,
        index: int,
        edit: int | None = None,
        reply: int | None = None,
        quiet_s: float = 0.0,
        back: str | None = None,
    ) -> bool:
        """Owe it and return True; presses while one is on its way, or within `quiet_s` after, are the same wish, no new one."""
        stem = f"{key}:{_place(actor)}:{job.id}:{index}:"
        async with self._db.begin() as session:
            notices = NoticeRepository(session)
            if edit is not None:
                await notices.supersede_edits(actor.user.bot_id, actor.chat_id, edit)
            key_n = f"{stem}{await notices.settled_count(stem, quiet_s)}"
            params = {"index": index} | ({"back": back} if back is not None else {})
            new = await notices.add(_notice(actor, key, key_n, params, job=job, edit=edit, reply=reply))
            await InboxRepository(session).done(actor.inbox_id)
        self._wake()
        return new

    async def _owe(self, actor: Actor, notice: NewNotice, stem: str | None = None) -> bool:
        """Owe a notice; with a stem for its key, once for all presses within `_SAME_PRESS_S`: then return False."""
        async with self._db.begin() as session:
            notices = NoticeRepository(session)
            if notice.edit_message_id is not None:
                await notices.supersede_edits(notice.bot_id, notice.chat_id, notice.edit_message_id)
            if stem is not None:
                notice = replace(notice, dedupe_key=f"{stem}{await notices.settled_count(stem, _SAME_PRESS_S)}")
            new = await notices.add(notice)
            await _handled(session, actor)
        self._wake()
        return new


def _menu(bot_id: int, user_id: int, telegram_id: int, edition: str) -> NewNotice:
    return NewNotice(bot_id, telegram_id, "commands", f"commands:{user_id}:{edition}", user_id=user_id)


async def _handled(session: AsyncSession, actor: Actor) -> None:
    """The update is done, and so is the question that it answers; part of the caller's transaction."""
    await InboxRepository(session).done(actor.inbox_id)
    if actor.ends:
        await DialogRepository(session).drop(actor.dialog)


def _place(actor: Actor) -> str:
    return f"{actor.user.bot_id}:{actor.chat_id}:{actor.message_id}"


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _key(actor: Actor) -> str:
    """An update is answered once, however often it is handled."""
    return f"u:{_place(actor)}:{actor.update_id}"


def _refused(actor: Actor, key: str) -> int | None:
    """What a refusal is about, to be shown above it: of several wishes, a person must know which one was refused."""
    return actor.message_id if key.startswith("refused.") else None


def _notice(
    actor: Actor,
    key: str,
    dedupe_key: str,
    params: dict[str, Any],
    job: Job | None = None,
    edit: int | None = None,
    reply: int | None = None,
) -> NewNotice:
    return NewNotice(
        bot_id=actor.user.bot_id,
        chat_id=actor.chat_id,
        user_id=actor.user.id,
        key=key,
        params=params,
        dedupe_key=dedupe_key,
        job_id=job.id if job else None,
        edit_message_id=edit,
        reply_to_message_id=reply,
    )

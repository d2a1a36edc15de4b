"""Around every handler: who acts, and an answer to every press."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiogram import BaseMiddleware, Bot
from aiogram.types import Chat, TelegramObject, Update
from aiogram.types import User as TelegramUser

from bot.telegram import Fate, attempt
from bot.texts import Texts, best_language
from handlers.ports import Actor, Choice, Toast
from storage.database import Database
from storage.domain import Job, NewNotice, User
from storage.repositories.inbox import InboxRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import NoticeRepository
from storage.repositories.users import UserRepository

log = logging.getLogger(__name__)

_SAME_FILE_S = 10.0  # a second press so soon is impatience, not a wish for a second file

Handler = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]


class ActorMiddleware(BaseMiddleware):
    """Find or make the person behind an update. An update without one (a channel's, say) is nobody's wish."""

    def __init__(self, database: Database, bot_id: int) -> None:
        self._db, self._bot_id = database, bot_id

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        user, chat = data.get("event_from_user"), data.get("event_chat")
        if not isinstance(event, Update) or not isinstance(user, TelegramUser) or not isinstance(chat, Chat) or user.is_bot:
            return None
        message = event.callback_query.message if event.callback_query else event.message or event.edited_message
        async with self._db.begin() as session:
            person = await UserRepository(session).ensure(self._bot_id, user.id, best_language(user.language_code))
        data["actor"] = Actor(
            user=person,
            chat_id=chat.id,
            message_id=message.message_id if message else None,
            inbox_id=data["inbox_id"],
            update_id=event.update_id,
        )
        return await handler(event, data)


def answering(bot: Bot, texts: Texts) -> Callable[[Update, Any], Awaitable[None]]:
    """Make what answers every press after its handler, whatever that did: no spinner stays on a button."""

    async def answer(update: Update, result: Any) -> None:
        query = update.callback_query
        if query is None:
            return
        toast = result if isinstance(result, Toast) else None
        text = texts.plain(best_language(query.from_user.language_code), toast.key) if toast else None
        tried = await attempt(bot.answer_callback_query(query.id, text=text, show_alert=toast.alert if toast else None))
        if tried.fate not in (Fate.DONE, Fate.REFUSED):  # "query is too old" is nobody's fault
            log.warning("press not answered: %s", tried.error)

    return answer


class Desk:
    """What handlers may ask for beside jobs: texts, views, files, and what a button stands for."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._db, self._wake = database, wake

    async def say(self, actor: Actor, key: str, values: Mapping[str, Any] | None = None, choices: Sequence[Choice] = ()) -> None:
        params = {**(values or {}), "choices": [{"label": choice.label, "prompt": choice.prompt} for choice in choices]}
        await self._owe(
            actor, _notice(actor, key, f"u:{actor.user.bot_id}:{actor.chat_id}:{actor.message_id}:{actor.update_id}", params)
        )

    async def show(self, actor: Actor, job: Job, index: int) -> None:
        await self._owe_once(actor, job, "view", index, edit=actor.message_id)

    async def send_file(self, actor: Actor, job: Job, index: int) -> None:
        await self._owe_once(actor, job, "file", index, reply=actor.message_id, quiet_s=_SAME_FILE_S)

    async def find_job(self, user: User, public_id: str) -> Job:
        async with self._db.read() as session:
            return await JobRepository(session).owned(public_id, user.id)

    async def find_choice(self, user: User, notice: str, index: int) -> str | None:
        async with self._db.read() as session:
            params = await NoticeRepository(session).params(notice, user.id)
        choices = (params or {}).get("choices", [])
        return str(choices[index]["prompt"]) if 0 <= index < len(choices) else None

    async def _owe_once(
        self,
        actor: Actor,
        job: Job,
        key: str,
        index: int,
        edit: int | None = None,
        reply: int | None = None,
        quiet_s: float = 0.0,
    ) -> None:
        """Presses while one is on its way, or within `quiet_s` after, are the same wish; a later one is new."""
        stem = f"{key}:{actor.user.bot_id}:{actor.chat_id}:{actor.message_id}:{job.id}:{index}:"
        async with self._db.begin() as session:
            notices = NoticeRepository(session)
            key_n = f"{stem}{await notices.settled_count(stem, quiet_s)}"
            await notices.add(_notice(actor, key, key_n, {"index": index}, job=job, edit=edit, reply=reply))
            await InboxRepository(session).done(actor.inbox_id)
        self._wake()

    async def _owe(self, actor: Actor, notice: NewNotice) -> None:
        async with self._db.begin() as session:
            await NoticeRepository(session).add(notice)
            await InboxRepository(session).done(actor.inbox_id)
        self._wake()


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

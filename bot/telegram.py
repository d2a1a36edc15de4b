"""Speaking to Telegram: one try, and what became of it."""

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiohttp import ClientConnectorError

from bot.logs import redact
from bot.settings import SettingsError, TelegramSettings

T = TypeVar("T")


class Fate(Enum):
    """What became of a try to send."""

    DONE = auto()
    SAME = auto()  # nothing to change: the message already says this
    NOT_APPLIED = auto()  # Telegram certainly did nothing; try again later
    AMBIGUOUS = auto()  # no answer came; it may have been applied
    GONE = auto()  # the message that should change does not exist any more
    BLOCKED = auto()  # the person or chat is out of reach for good
    REFUSED = auto()  # Telegram will never take this


@dataclass(frozen=True)
class Tried(Generic[T]):
    fate: Fate
    answer: T | None = None
    retry_s: float = 0.0
    error: str | None = None


async def attempt(call: Awaitable[T]) -> Tried[T]:
    """Make one call and classify its end; never raises what Telegram or the network raised."""
    try:
        return Tried(Fate.DONE, await call)
    except TelegramRetryAfter as error:
        return Tried(Fate.NOT_APPLIED, retry_s=float(error.retry_after), error="429")
    except TelegramForbiddenError as error:
        return Tried(Fate.BLOCKED, error=redact(error.message))
    except TelegramBadRequest as error:
        return Tried(_of_bad_request(error.message), error=redact(error.message))
    except (TelegramServerError, TelegramUnauthorizedError) as error:  # a revoked token is the operator's to mend
        return Tried(Fate.NOT_APPLIED, error=redact(error.message))
    except TelegramNetworkError as error:
        refused = isinstance(error.__cause__ or error.__context__, ClientConnectorError)
        return Tried(Fate.NOT_APPLIED if refused else Fate.AMBIGUOUS, error=redact(str(error)))
    except ClientDecodeError as error:  # no JSON: somebody in between answered, and what lies behind is unknown
        return Tried(Fate.AMBIGUOUS, error=redact(error.message))
    except TelegramAPIError as error:
        return Tried(Fate.REFUSED, error=redact(str(error)))


def _of_bad_request(message: str) -> Fate:
    text = message.lower()
    if "message is not modified" in text:
        return Fate.SAME
    if "message to edit not found" in text or "message can't be edited" in text or "message_id_invalid" in text:
        return Fate.GONE
    if "chat not found" in text or "user is deactivated" in text:
        return Fate.BLOCKED
    return Fate.REFUSED


def make_bot(settings: TelegramSettings) -> Bot:
    """Make the one `Bot` of a process. Raises: SettingsError without a token."""
    if settings.token is None:
        raise SettingsError("TELEGRAM_TOKEN: not set; get one from @BotFather, or try: kandinsky-bot demo")
    session = AiohttpSession(api=TelegramAPIServer.from_base(settings.api), timeout=40)
    return Bot(settings.token.get_secret_value(), session=session, default=DefaultBotProperties(parse_mode="HTML"))

"""Speaking to Telegram: one try, and what became of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
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
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiohttp import ClientConnectorError

from bot import metrics
from bot.logs import redact
from bot.settings import SettingsError, TelegramSettings

log = logging.getLogger(__name__)

T = TypeVar("T")

NO_SUCH_TOKEN = "TELEGRAM_TOKEN: Telegram does not know this token. Get one from @BotFather."  # noqa: S105  a sentence


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
    tried = await _attempt(call)
    metrics.telegram_call(getattr(call, "__name__", "call"), tried.fate.name, too_many=tried.retry_s > 0)
    return tried


async def _attempt(call: Awaitable[T]) -> Tried[T]:
    try:
        return Tried(Fate.DONE, await call)
    except TelegramRetryAfter as error:
        return Tried(Fate.NOT_APPLIED, retry_s=float(error.retry_after), error="429")
    except TelegramForbiddenError as error:
        return Tried(Fate.BLOCKED, error=redact(error.message))
    except TelegramBadRequest as error:
        return Tried(_of_bad_request(error.message), error=redact(error.message))
    except TelegramEntityTooLarge as error:
        return Tried(Fate.REFUSED, error=redact(error.message))
    except TelegramUnauthorizedError:  # the operator's to mend; until then everything stays owed
        return Tried(Fate.NOT_APPLIED, error=NO_SUCH_TOKEN)
    except TelegramServerError as error:
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


async def check_token(bot: Bot) -> None:
    """Ask Telegram once who we are; that it does not answer is no reason to stop. Raises: SettingsError for a wrong token."""
    try:
        await bot.get_me(request_timeout=5)
    except (TelegramUnauthorizedError, TelegramNotFound):
        raise SettingsError(NO_SUCH_TOKEN) from None
    except Exception as error:
        log.warning("Telegram does not answer: %s", redact(f"{type(error).__name__} {error}"))


async def insist(call: Callable[[], Awaitable[object]], setting: str) -> None:
    """Make a call again and again until Telegram has taken it.

    Raises: SettingsError for a token that Telegram does not know, or when it refuses the call, whose fault is `setting`.
    """
    failures = 0
    while True:
        try:
            await call()
            return
        except (TelegramUnauthorizedError, TelegramNotFound):
            raise SettingsError(NO_SUCH_TOKEN) from None
        except TelegramBadRequest as error:
            raise SettingsError(f"{setting}: Telegram refuses it: {redact(error.message)}") from None
        except TelegramRetryAfter as error:
            await asyncio.sleep(error.retry_after)
        except Exception as error:  # Telegram, or the way to it, is down; it will come back
            failures += 1
            log.warning("%s: Telegram does not answer: %s", setting, redact(f"{type(error).__name__} {error}"))
            await asyncio.sleep(min(10.0, 0.2 * 2.0 ** min(failures, 6)))


def make_bot(settings: TelegramSettings) -> Bot:
    """Make the one `Bot` of a process. Raises: SettingsError without a token."""
    if settings.token is None:
        raise SettingsError("TELEGRAM_TOKEN: not set; get one from @BotFather, or try: kandinsky-bot demo")
    session = AiohttpSession(api=TelegramAPIServer.from_base(settings.api), timeout=40)
    return Bot(settings.token.get_secret_value(), session=session, default=DefaultBotProperties(parse_mode="HTML"))

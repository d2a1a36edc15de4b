"""The one place where a refusal becomes words in a chat."""

from collections.abc import Mapping
from typing import Any

from aiogram import Router
from aiogram.filters import ExceptionTypeFilter
from aiogram.types import ErrorEvent

from engine import catalog
from engine.requests import RequestError, clean_prompt
from handlers.ports import Actor, Choice, Say, Screen, Toast
from handlers.start import examples
from storage.domain import Refused

router = Router(name=__name__)

_SCREENS = frozenset({"refused.queue-full", "refused.being-forgotten"})  # with buttons that mend it
_WITH_EXAMPLES = frozenset({"prompt-empty", "prompt-nothing-to-draw", "too-many-objects"})


@router.error(ExceptionTypeFilter(RequestError))
async def request_refused(event: ErrorEvent, actor: Actor, say: Say, family: str) -> Toast | None:
    """Say what was wrong, with the limit, the value and words to tap."""
    error = event.exception
    if not isinstance(error, RequestError):
        raise error
    values: Mapping[str, Any] = error.values
    await say(actor, f"refused.{error.code}", values, _choices(error, actor, family, _typed(event)))
    return Toast("toast.look-below") if event.update.callback_query else None


@router.error(ExceptionTypeFilter(Refused))
async def refused(event: ErrorEvent, actor: Actor, say: Say, screen: Screen) -> Toast | None:
    error = event.exception
    if not isinstance(error, Refused):
        raise error
    if event.update.callback_query and not error.values:
        return Toast(error.code, alert=True)
    if error.code in _SCREENS:
        await screen(actor, error.code, error.values)
    else:
        await say(actor, error.code, error.values)
    return Toast("toast.look-below") if event.update.callback_query else None


def _choices(error: RequestError, actor: Actor, family: str, prompt: str) -> list[Choice]:
    if error.code in _WITH_EXAMPLES:
        return examples(actor, family)
    suggestions = [str(word) for word in _list(error.values.get("suggestions"))]
    unknown = [str(word) for word in _list(error.values.get("words"))]
    return [Choice(word, _mended(prompt, unknown, word, family)) for word in suggestions]


def _mended(prompt: str, unknown: list[str], word: str, family: str) -> str:
    """Give a known word the place of the one unknown word, or of the missing object; else it speaks alone."""
    mended = prompt.replace(unknown[0], word, 1) if len(unknown) == 1 else f"{prompt} {word}" if not unknown else word
    try:
        catalog.text_to_image(family, mended, 0)
    except RequestError:
        return word
    return mended


def _typed(event: ErrorEvent) -> str:
    message = event.update.message
    return clean_prompt(message.text) if message and message.text else ""


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []

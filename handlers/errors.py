"""The one place where a refusal becomes words in a chat."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aiogram import Router
from aiogram.filters import ExceptionTypeFilter
from aiogram.types import ErrorEvent

from engine import catalog
from engine.requests import RequestError, clean_prompt
from handlers import parameters
from handlers.parameters import ParameterError
from handlers.ports import Actor, Choice, Say, Screen, Toast
from handlers.start import a_few
from handlers.typed import parse
from handlers.worded import Misread
from storage.domain import Refused

router = Router(name=__name__)

_SCREENS = frozenset({"refused.queue-full", "refused.being-forgotten"})  # with buttons that mend it
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_WITH_EXAMPLES = frozenset({"prompt-empty", "prompt-nothing-to-draw"})


@router.error(ExceptionTypeFilter(RequestError))
async def request_refused(event: ErrorEvent, actor: Actor, say: Say, family: str) -> Toast | None:
    """Say what was wrong, with the limit, the value and words to tap."""
    error = event.exception
    if not isinstance(error, RequestError):
        raise error
    await _say_refused(error, _typed(event), actor, say, family)
    return Toast("toast.look-below") if event.update.callback_query else None


@router.error(ExceptionTypeFilter(ParameterError))
async def parameter_refused(event: ErrorEvent, actor: Actor, say: Say) -> Toast | None:
    """Say what can stand there, with the whole message mended to tap, and the same without the parameter."""
    error = event.exception
    if not isinstance(error, ParameterError):
        raise error
    await _say_unreadable(error, actor, say)
    return Toast("toast.look-below") if event.update.callback_query else None


@router.error(ExceptionTypeFilter(Misread))
async def misread(event: ErrorEvent, actor: Actor, say: Say, family: str) -> Toast | None:
    """Say the same of words about a picture; what is tapped then is about that picture, too."""
    slip = event.exception
    if not isinstance(slip, Misread):
        raise slip
    about = {"about": slip.about.to_json()}
    if isinstance(slip.error, ParameterError):
        await _say_unreadable(slip.error, actor, say, about)
    else:
        await _say_refused(slip.error, slip.text, actor, say, family, about)
    return Toast("toast.look-below") if event.update.callback_query else None


async def _say_refused(
    error: RequestError, typed: str, actor: Actor, say: Say, family: str, about: Mapping[str, Any] = _NOTHING
) -> None:
    values: Mapping[str, Any] = error.values
    await say(actor, f"refused.{error.code}", {**values, **about}, _choices(error, actor, family, typed))


async def _say_unreadable(error: ParameterError, actor: Actor, say: Say, about: Mapping[str, Any] = _NOTHING) -> None:
    choices = [Choice(label, prompt) for label, prompt in error.offers]
    if error.without:
        choices.append(Choice("", error.without, key="button.without"))
    await say(actor, error.code, {**error.values, **about}, choices)


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
        return a_few(actor, family)
    if offered := _list(error.values.get("prompts")):
        flags = [flag.typed for flag in parse(prompt).flags]
        return [Choice(str(offer), " ".join([str(offer), *flags])) for offer in offered]
    suggestions = [str(word) for word in _list(error.values.get("suggestions"))]
    unknown = [str(word) for word in _list(error.values.get("words"))]
    return [Choice(word, _mended(prompt, unknown, word, family)) for word in suggestions]


def _mended(prompt: str, unknown: list[str], word: str, family: str) -> str:
    """Give a known word the place of the one unknown word, or of the missing object; else it speaks alone."""
    typed = parse(prompt)
    named = " ".join([typed.words, word, *(flag.typed for flag in typed.flags)])
    mended = prompt.replace(unknown[0], word, 1) if len(unknown) == 1 else named if not unknown else word
    try:
        parameters.read(mended, family, 0, catalog.family(family).default_size, 1)
    except (RequestError, ParameterError):
        return word
    return mended


def _typed(event: ErrorEvent) -> str:
    """What was to be drawn, without the command before it."""
    message = event.update.message
    typed = clean_prompt(message.text) if message and message.text else ""
    return typed.partition(" ")[2] if typed.startswith("/") else typed


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []

"""A button that a scripted person pressed, and what answered it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.world import Press

if TYPE_CHECKING:
    from sandbox.person import Person


@dataclass(frozen=True)
class Answer:
    """What answered a pressed button."""

    text: str
    show_alert: bool
    url: str
    seconds: float


class Tap:
    """A pressed button; the bot must stop its spinner."""

    def __init__(self, person: Person, press: Press) -> None:
        self._person = person
        self._press = press

    @property
    def id(self) -> str:
        """`callback_query.id`."""
        return self._press.id

    async def answered(self, timeout: float | None = None) -> Answer:
        """Wait for the answer.

        Raises: AssertionError with the transcript after `timeout` seconds.
        """
        what = f"an answer to the press of {self._press.data!r}"
        await self._person.until_here(lambda: self._press.answer is not None, what, timeout)
        answer = self._press.answer or {}
        return Answer(answer["text"], answer["show_alert"], answer["url"], self._press.answered_after or 0.0)

"""What a message is made of: its text, buttons and photo; and how dates, prompts and labels are written in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiogram.types import ForceReply, InlineKeyboardMarkup
from babel.dates import format_date, format_datetime, format_timedelta

from bot.texts import Marked, Texts, shorten
from engine.requests import Request
from handlers import phrases
from storage.domain import JobState

_BEAUTIFIED_IN_CAPTION = 480  # UTF-16 units


@dataclass(frozen=True)
class Said:
    """A text with its buttons; with a photo (JPEG) it is the caption. about: the jobs that it lists, as they stood."""

    text: str
    keyboard: InlineKeyboardMarkup | ForceReply | None = None
    photo: bytes | None = None
    about: frozenset[tuple[int, JobState]] = frozenset()

    @property
    def inline(self) -> InlineKeyboardMarkup | None:
        """The buttons that an edited message can have."""
        return self.keyboard if isinstance(self.keyboard, InlineKeyboardMarkup) else None


@dataclass(frozen=True)
class Label:
    """Looks up a button's words in one language."""

    texts: Texts
    language: str

    def __call__(self, key: str, values: Mapping[str, object] | None = None) -> str:
        return self.texts.plain(self.language, key, values)


def day(at: float, language: str) -> str:
    """A date in words: 21 November 2026 (UTC, for where a person is we do not know)."""
    return str(format_date(datetime.fromtimestamp(at, UTC).date(), "d MMMM y", locale=language))


def moment(at: float, language: str) -> str:
    """A date with its time in words: 21 November 2026, 17:05 (UTC)."""
    return str(format_datetime(datetime.fromtimestamp(at, UTC), "d MMMM y, HH:mm", locale=language))


def span(seconds: float, language: str) -> str:
    """A length of time in words: 1 day."""
    return str(format_timedelta(timedelta(seconds=seconds), threshold=1.2, locale=language))


def marked(parts: Sequence[phrases.Phrase], dropped: int = 0) -> Marked:
    """A prompt in which what was added is underlined, and what was dropped of that is struck through."""
    room, shown = _BEAUTIFIED_IN_CAPTION, []
    for part in parts:
        text = shorten(part.text, room) if room > 1 else ""
        room -= len(text.encode("utf-16-le")) // 2
        shown.append((text, "s" if phrases.is_dropped(part, dropped) else "u" if part.number is not None else ""))
    return Marked(tuple(shown))


def prompt_of(request: Request) -> str:
    """The words of a request; empty for one without."""
    return str(getattr(request, "prompt", ""))

"""A message as a person sees it, and dialogues written down for people to read."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.files import Files, StoredFile
from sandbox.world import Event, Json

_FILES = ("document", "sticker", "voice", "video")


def plain(label: str) -> str:
    """A label without emoji, punctuation and case: what a person would call the button."""
    letters = "".join(c if c.isalnum() or c.isspace() else " " for c in unicodedata.normalize("NFKC", label))
    return " ".join(letters.split()).casefold()


@dataclass(frozen=True)
class Shown:
    """One message of the screen."""

    raw: Json
    _files: Files = field(repr=False)
    _bot_id: int = field(repr=False)

    @property
    def id(self) -> int:
        """`message_id`."""
        return int(self.raw["message_id"])

    @property
    def from_bot(self) -> bool:
        """Whether the bot wrote it."""
        return bool(self.raw["from"]["id"] == self._bot_id)

    @property
    def text(self) -> str:
        """The text or the caption, else an empty string."""
        return str(self.raw.get("text") or self.raw.get("caption") or "")

    @property
    def entities(self) -> list[Json]:
        """Markup of the text or of the caption."""
        return list(self.raw.get("entities") or self.raw.get("caption_entities") or [])

    @property
    def reply_to(self) -> int | None:
        """The message this one answers."""
        reply = self.raw.get("reply_to_message")
        return int(reply["message_id"]) if reply else None

    @property
    def has_photo(self) -> bool:
        """Whether it shows a photo."""
        return "photo" in self.raw

    @property
    def photo(self) -> bytes:
        """The photo's bytes, largest size.

        Raises: LookupError if there is none.
        """
        if not self.has_photo:
            raise LookupError("this message has no photo")
        return self._file(self.raw["photo"][-1]).read()

    @property
    def photo_size(self) -> tuple[int, int]:
        """Width and height of the photo."""
        largest = self.raw["photo"][-1]
        return int(largest["width"]), int(largest["height"])

    @property
    def album(self) -> str | None:
        """`media_group_id` of the album it belongs to."""
        return self.raw.get("media_group_id")

    @property
    def has_document(self) -> bool:
        """Whether it carries a file."""
        return "document" in self.raw

    @property
    def document(self) -> bytes:
        """The file's bytes.

        Raises: LookupError if there is none.
        """
        if not self.has_document:
            raise LookupError("this message has no document")
        return self._file(self.raw["document"]).read()

    @property
    def document_name(self) -> str:
        """The file's name."""
        return str(self.raw["document"]["file_name"])

    @property
    def buttons(self) -> list[list[Json]]:
        """Rows of inline buttons."""
        return list((self.raw.get("reply_markup") or {}).get("inline_keyboard") or [])

    @property
    def labels(self) -> list[str]:
        """Texts of all buttons, row by row."""
        return [str(button["text"]) for row in self.buttons for button in row]

    def button(self, label: str, *, exact: bool = True) -> Json | None:
        """The button a person means by `label`, without emoji or case; with `exact` False its beginning is enough."""
        wanted = plain(label)
        for row in self.buttons:
            for button in row:
                text = str(button["text"])
                name = plain(text)
                if text == label or (wanted and (name == wanted or (not exact and name.startswith(wanted)))):
                    return button
        return None

    def describe(self) -> str:
        """One message in words: `[photo 512x512] caption [Again] [Same picture]`."""
        parts = []
        if "forward_origin" in self.raw:
            parts.append("(forwarded)")
        if self.reply_to is not None:
            parts.append(f"(in reply to {self.reply_to})")
        if self.has_photo:
            parts.append("[photo {}x{}]".format(*self.photo_size))
        for kind in _FILES:
            if kind in self.raw:
                parts.append(_file_words(kind, self.raw[kind]))
        if "location" in self.raw:
            parts.append("[location]")
        if self.text:
            parts.append(self.text)
        parts += [f"[{label}]" for label in self.labels]
        return " ".join(parts)

    def _file(self, described: Json) -> StoredFile:
        found = self._files.by_id(described["file_id"])
        if found is None:
            raise LookupError("the file is gone")
        return found[0]


def _file_words(kind: str, described: Json) -> str:
    name = described.get("file_name", "")
    return " ".join(filter(None, [f"[{kind}", str(name), f"{described['file_size']} bytes]"]))


def transcript(events: Iterable[Event], person: str, bot: str, show: Any) -> str:
    """The dialogue, line by line: time, who, what; `show` makes a Shown of a message."""
    lines = []
    labels: dict[tuple[int, str], str] = {}
    for event in events:
        at = time.strftime("%H:%M:%S", time.localtime(event.at))
        data = event.data
        if event.kind in ("message", "edit"):
            message = show(data)
            for row in message.buttons:
                for button in row:
                    labels[message.id, str(button.get("callback_data"))] = str(button["text"])
            who = bot if message.from_bot else person
            verb = "edits " if event.kind == "edit" else ""
            lines.append(f"{at} {who} {verb}#{message.id}: {message.describe()}")
        elif event.kind == "delete":
            lines.append(f"{at} #{data['message_id']} is deleted")
        elif event.kind == "press":
            label = labels.get((data["message_id"], data["data"]), data["data"])
            lines.append(f"{at} {person} presses [{label}] under #{data['message_id']}")
        elif event.kind == "answer":
            kind = "alert" if data["show_alert"] else "notice"
            lines.append(f"{at} {bot} answers the press" + (f" with the {kind}: {data['text']}" if data["text"] else ""))
        elif event.kind == "action":
            lines.append(f"{at} {bot} shows: {data['action']}")
        elif event.kind == "block":
            lines.append(f"{at} {person} {'blocks' if data['blocked'] else 'unblocks'} {bot}")
    return "\n".join(lines)

"""Telegram's HTML markup: parsed into entities whose offsets count UTF-16 units.

Source: the rules and error texts of tdlib/td td/telegram/MessageEntity.cpp: parse_html, fix_formatted_text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.errors import bad_request

Entity = dict[str, Any]

_TYPES = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler", "span": "spoiler",
    "code": "code", "pre": "pre", "a": "text_link", "blockquote": "blockquote", "tg-emoji": "custom_emoji",
}  # fmt: skip
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(lt|gt|amp|quot));?")
_ATTRIBUTE = re.compile(r"""\s*([^\s=>/"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9.-]+)))?""")
_COMMAND = re.compile(r"(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/<>])")
_URL = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]}»]")


@dataclass(frozen=True)
class FormattedText:
    """Text as shown and its entities, offsets and lengths in UTF-16 units."""

    text: str
    entities: list[Entity]


@dataclass
class _OpenTag:
    name: str
    attributes: dict[str, str]
    start: int


def utf16_length(text: str) -> int:
    """How long Telegram thinks a text is: characters above U+FFFF count twice."""
    return len(text) + sum(character > "\uffff" for character in text)


def parse_html(source: str) -> FormattedText:
    """Turn Telegram's HTML into text and entities.

    Raises: ApiError "can't parse entities: …" with the byte offset, as Telegram words it.
    """
    out: list[str] = []
    length = 0
    entities: list[Entity] = []
    stack: list[_OpenTag] = []
    i = 0
    while i < len(source):
        character = source[i]
        if character == "&" and (reference := _REFERENCE.match(source, i)) is not None:
            decoded = _decode(reference)
            if decoded:
                out.append(decoded)
                length += utf16_length(decoded)
                i = reference.end()
                continue
        if character != "<":
            out.append(character)
            length += 1 + (character > "\uffff")
            i += 1
            continue
        closing = source.startswith("</", i)
        i = _close(source, i, stack, entities, length) if closing else _open(source, i, stack, length)
    if stack:
        raise _unparsable(f'Can\'t find end tag corresponding to start tag "{stack[-1].name}"')
    for entity in entities:
        entity.pop("_language", None)
    entities.sort(key=lambda entity: (entity["offset"], -entity["length"]))
    return FormattedText("".join(out), entities)


def clean(formatted: FormattedText) -> FormattedText:
    """Drop control characters and surrounding space, move the entities along, find commands and links."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda found: "" if found.group() == "\r" else " ", formatted.text)
    if "\r" in formatted.text:  # offsets moved; markup over carriage returns is not worth keeping
        formatted = FormattedText(text, [])
    kept = text.strip(" \t\n\u200b\u2060\ufeff\u00a0\u2800\u3164")
    lead = utf16_length(text[: text.index(kept)]) if kept else 0
    size = utf16_length(kept)
    entities = []
    for entity in formatted.entities:
        start = max(entity["offset"] - lead, 0)
        end = min(entity["offset"] + entity["length"] - lead, size)
        if end > start:
            entities.append({**entity, "offset": start, "length": end - start})
    return FormattedText(kept, _with_found(kept, entities))


def _with_found(text: str, entities: list[Entity]) -> list[Entity]:
    """Add the commands and addresses that Telegram marks by itself, where nothing is marked yet."""
    found = [*entities]
    for kind, pattern in (("url", _URL), ("bot_command", _COMMAND)):
        for match in pattern.finditer(text):
            offset, length = utf16_length(text[: match.start()]), utf16_length(match.group())
            if not any(e["offset"] < offset + length and offset < e["offset"] + e["length"] for e in found):
                found.append({"type": kind, "offset": offset, "length": length})
    return sorted(found, key=lambda entity: (entity["offset"], -entity["length"]))


def _unparsable(reason: str) -> Exception:
    return bad_request(f"can't parse entities: {reason}")


def _byte_offset(source: str, i: int) -> int:
    return len(source[:i].encode("utf-8", "surrogatepass"))


def _decode(reference: re.Match[str]) -> str:
    decimal, hexadecimal, name = reference.groups()
    if name:
        return _NAMED[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if 0 < code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else ""


def _open(source: str, i: int, stack: list[_OpenTag], length: int) -> int:
    """Read a start tag at `i`; the position after it."""
    at = _byte_offset(source, i)
    end = re.compile(r"[\s>]").search(source, i + 1)
    if end is None:
        raise _unparsable(f"Unclosed start tag at byte offset {at}")
    name = source[i + 1 : end.start()].lower()
    if name not in _TYPES:
        raise _unparsable(f'Unsupported start tag "{name}" at byte offset {at}')
    position = end.start()
    attributes: dict[str, str] = {}
    while True:
        while position < len(source) and source[position].isspace():
            position += 1
        if position >= len(source):
            raise _unparsable(f"Unclosed start tag at byte offset {at}")
        if source[position] == ">":
            break
        attribute = _ATTRIBUTE.match(source, position)
        if attribute is None:
            raise _unparsable(f'Empty attribute name in the tag "{name}" at byte offset {at}')
        key, double, single, bare = attribute.groups()
        value = double or single or bare or ""
        attributes[key.lower()] = _REFERENCE.sub(lambda found: _decode(found) or found.group(), value)
        position = attribute.end()
    if name == "span" and attributes.get("class") != "tg-spoiler":
        raise _unparsable(f'Tag "span" must have class "tg-spoiler" at byte offset {at}')
    stack.append(_OpenTag(name, attributes, length))
    return position + 1


def _close(source: str, i: int, stack: list[_OpenTag], entities: list[Entity], length: int) -> int:
    """Read an end tag at `i`, store its entity; the position after it."""
    at = _byte_offset(source, i)
    if not stack:
        raise _unparsable(f"Unexpected end tag at byte offset {at}")
    end = re.compile(r"</([^\s>]*)\s*(>?)").match(source, i)
    if end is None or not end.group(2):
        raise _unparsable(f"Unclosed end tag at byte offset {at}")
    name = end.group(1).lower()
    if name and name != stack[-1].name:
        raise _unparsable(f'Unmatched end tag at byte offset {at}, expected "</{stack[-1].name}>", found "</{name}>"')
    tag = stack.pop()
    if length > tag.start:
        entity = _entity(tag, length, entities)
        if entity is not None:
            entities.append(entity)
    return end.end()


def _entity(tag: _OpenTag, length: int, entities: list[Entity]) -> Entity | None:
    entity: Entity = {"type": _TYPES[tag.name], "offset": tag.start, "length": length - tag.start}
    if tag.name == "a":
        url = tag.attributes.get("href", "")
        if not re.match(r"(https?://|tg://|mailto:|tel:)", url):
            return None  # Telegram shows a link it cannot use as plain text
        entity["url"] = url
    elif tag.name == "blockquote" and "expandable" in tag.attributes:
        entity["type"] = "expandable_blockquote"
    elif tag.name == "tg-emoji":
        entity["custom_emoji_id"] = tag.attributes.get("emoji-id", "")
    elif tag.name == "code" and (language := tag.attributes.get("class", "").removeprefix("language-")):
        entity["_language"] = language
    elif tag.name == "pre":
        inner = next((e for e in entities if e.get("_language") and e["offset"] == tag.start), None)
        if inner is not None and inner["length"] == entity["length"]:
            entities.remove(inner)
            entity["language"] = inner["_language"]
    return entity

"""Texts, captions and media of a call, checked as Telegram checks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.entities import FormattedText, clean, parse_html, utf16_length
from sandbox.errors import ApiError, bad_request
from sandbox.files import MAX_DOCUMENT, StoredFile
from sandbox.params import Params, Upload
from sandbox.world import MAX_ALBUM, Human, Json, World

MAX_TEXT = 4096
MAX_CAPTION = 1024


def formatted(text: str, parse_mode: str | None, entities: Any) -> FormattedText:
    """Text after entities parsing.

    Raises: ApiError for markup Telegram would not accept.
    """
    if parse_mode and parse_mode.lower() != "none":
        if parse_mode.lower() != "html":
            raise bad_request("unsupported parse_mode")
        return clean(parse_html(text.replace("\r", "")))
    checked = []
    for entity in entities if isinstance(entities, list) else []:
        if not isinstance(entity, dict) or not isinstance(entity.get("type"), str):
            raise bad_request('can\'t parse MessageEntity: Field "type" must be of type String')
        if not all(isinstance(entity.get(field), int) for field in ("offset", "length")):
            raise bad_request('can\'t parse MessageEntity: Field "offset" must be of type Number')
        checked.append({key: value for key, value in entity.items() if value is not None})
    return clean(FormattedText(text, checked))


def text_content(params: Params) -> Json:
    """`text` and `entities` of a message."""
    parsed = formatted(params.string("text") or "", params.string("parse_mode"), params.structure("entities"))
    if not parsed.text:
        raise bad_request("message text is empty")
    if utf16_length(parsed.text) > MAX_TEXT:
        raise bad_request("message is too long")
    return _with_entities("text", "entities", parsed)


def caption_content(caption: str | None, parse_mode: str | None, entities: Any) -> Json:
    """`caption` and `caption_entities`, nothing where there is no caption."""
    parsed = formatted(caption or "", parse_mode, entities)
    if utf16_length(parsed.text) > MAX_CAPTION:
        raise bad_request("message caption is too long")
    return _with_entities("caption", "caption_entities", parsed) if parsed.text else {}


def caption_of(params: Params) -> Json:
    """The caption of a call."""
    return caption_content(params.string("caption"), params.string("parse_mode"), params.structure("caption_entities"))


def photo_content(world: World, upload: Upload | None, file_id: str | None) -> Json:
    """`photo` from an upload or a known `file_id`."""
    file = world.files.add_photo(upload.data) if upload else _known(world, file_id, "photo")
    return {"photo": world.files.photo_sizes(file)}


def document_content(world: World, upload: Upload | None, file_id: str | None) -> Json:
    """`document` from an upload or a known `file_id`."""
    if upload is None:
        return {"document": world.files.document(_known(world, file_id, "document"))}
    if not upload.data:
        raise bad_request("file must be non-empty")
    if len(upload.data) > MAX_DOCUMENT:
        raise bad_request("file is too big")
    file = world.files.add("document", upload.data, upload.name or "file", upload.mime)
    return {"document": world.files.document(file)}


def media_content(world: World, params: Params) -> Json:
    """The new content that editMessageMedia names."""
    return input_media(params, params.structure("media"))(world)


def album_contents(world: World, params: Params) -> list[Json]:
    """The contents of the messages that sendMediaGroup sends; what is wrong with one refuses all."""
    media = params.structure("media")
    if "media" not in params:
        raise bad_request('parameter "media" is required')
    if not isinstance(media, list):
        raise bad_request("expected an Array of InputMedia")
    parsed = [input_media(params, item, for_album=True) for item in media]
    if not parsed:
        raise bad_request("there are no messages to send")
    if len(parsed) > MAX_ALBUM:
        raise bad_request("too many messages to send as an album")
    kinds = {item["type"] for item in media}
    if len(kinds) > 1:
        raise bad_request("document can't be mixed with other media types")
    if len({bool(item.get("show_caption_above_media")) for item in media}) > 1:
        raise bad_request("parameter show_caption_above_media must be the same for all messages")
    contents = []
    for number, content in enumerate(parsed, start=1):
        try:
            contents.append(content(world))
        except ApiError as error:
            reason = error.description.removeprefix("Bad Request: ")
            raise bad_request(f'failed to send message #{number} with the error message "{reason}"') from None
    return contents


def input_media(params: Params, media: Any, *, for_album: bool = False) -> Callable[[World], Json]:
    """Read one InputMedia; the function that is returned takes its file in.

    Raises: ApiError for what cannot be read; the function raises it for a file that cannot be sent.
    """
    where = "can't parse InputMedia: "
    if not isinstance(media, dict):
        raise bad_request(f"{where}expected an Object")
    caption = caption_content(media.get("caption"), media.get("parse_mode"), media.get("caption_entities"))
    kind, source = media.get("type"), media.get("media")
    if not isinstance(kind, str):
        raise bad_request(f'{where}can\'t find field "type"')
    if not isinstance(source, str) or not source:
        raise bad_request(f"{where}media not found")
    upload = params.attached(source) if source.startswith("attach://") else None
    if source.startswith("attach://") and upload is None:
        raise bad_request(f"{where}media not found")
    if kind == "animation" and for_album:
        raise bad_request(f'{where}type "{kind}" can\'t be used in sendMediaGroup')
    if kind not in ("photo", "document"):
        ours = " by the sandbox" if kind in ("video", "audio", "animation", "live_photo") else ""
        raise bad_request(f'{where}type "{kind}" is unsupported{ours}')
    content = photo_content if kind == "photo" else document_content
    spoiler = {"has_media_spoiler": True} if kind == "photo" and media.get("has_spoiler") else {}
    above = {"show_caption_above_media": True} if kind == "photo" and media.get("show_caption_above_media") else {}
    return lambda world: content(world, upload, source) | caption | spoiler | above


def reply_content(world: World, human: Human, params: Params) -> Json:
    """`reply_to_message` of a new message.

    Raises: ApiError where the message is gone and the bot insists on it.
    """
    reply = params.structure("reply_parameters")
    wanted = reply.get("message_id") if isinstance(reply, dict) else params.integer("reply_to_message_id")
    if wanted is None:
        return {}
    target = human.messages.get(int(wanted))
    if target is None:
        lenient = bool(reply.get("allow_sending_without_reply")) if isinstance(reply, dict) else False
        if lenient or params.flag("allow_sending_without_reply"):
            return {}
        raise bad_request("message to be replied not found")
    return {"reply_to_message": world.quoted(target)}


def _with_entities(text_key: str, entities_key: str, parsed: FormattedText) -> Json:
    return {text_key: parsed.text} | ({entities_key: parsed.entities} if parsed.entities else {})


def _known(world: World, file_id: str | None, kind: str) -> StoredFile:
    if not file_id:
        raise bad_request(f"there is no {kind} in the request")
    if file_id.startswith(("http://", "https://")):
        raise bad_request("failed to get HTTP URL content")
    found = world.files.by_id(file_id)
    if found is None:
        raise bad_request("wrong file identifier/HTTP URL specified")
    file, _ = found
    if file.kind != kind:
        article = {"photo": "Photo", "document": "Document"}
        actual, wanted = article.get(file.kind, file.kind.title()), article.get(kind, kind.title())
        raise bad_request(f"can't use file of type {actual} as {wanted}")
    return file

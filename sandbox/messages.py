"""Bot API methods that write into chats: send, edit, delete, answer a pressed button, show an action."""

from __future__ import annotations

import time
from typing import Any

from sandbox.content import (
    album_contents,
    caption_of,
    document_content,
    media_content,
    photo_content,
    reply_content,
    text_content,
)
from sandbox.errors import NO_PHOTOS, NOT_MODIFIED, QUERY_TOO_OLD, bad_request
from sandbox.markup import inline_keyboard
from sandbox.params import Params
from sandbox.world import Human, Json, World

_CONTENT = (
    "text", "entities", "caption", "caption_entities", "photo", "document", "has_media_spoiler",
    "show_caption_above_media",
)  # fmt: skip
_ACTIONS = {
    "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
    "choose_sticker", "find_location", "record_video_note", "upload_video_note",
}  # fmt: skip


def send_message(world: World, params: Params) -> Json:
    """sendMessage."""
    human = world.chat(params.string("chat_id"))
    return _send(world, human, params, text_content(params))


def send_photo(world: World, params: Params) -> Json:
    """sendPhoto."""
    human = world.chat(params.string("chat_id"))
    caption = caption_of(params)
    spoiler = {"has_media_spoiler": True} if params.flag("has_spoiler") else {}
    above = {"show_caption_above_media": True} if params.flag("show_caption_above_media") else {}
    photo = photo_content(world, params.upload("photo"), params.string("photo"))
    return _send(world, human, params, photo | caption | spoiler | above)


def send_document(world: World, params: Params) -> Json:
    """sendDocument."""
    human = world.chat(params.string("chat_id"))
    caption = caption_of(params)
    return _send(world, human, params, document_content(world, params.upload("document"), params.string("document")) | caption)


def send_media_group(world: World, params: Params) -> list[Json]:
    """sendMediaGroup: one item is sent as a message of its own, several as an album."""
    human = world.chat(params.string("chat_id"))
    contents = album_contents(world, params)
    _check_rights(human, contents[0])
    reply = reply_content(world, human, params)
    group = {"media_group_id": world.new_album_id()} if len(contents) > 1 else {}
    protected = {"has_protected_content": True} if params.flag("protect_content") else {}
    return [world.show(human, world.compose(human, world.bot) | reply | group | content | protected) for content in contents]


def edit_message_text(world: World, params: Params) -> Json:
    """editMessageText."""
    human, message = _editable(world, params)
    content = text_content(params)
    if "text" not in message:
        raise bad_request("there is no text in the message to edit")
    return _edit(world, human, message, content, params)


def edit_message_caption(world: World, params: Params) -> Json:
    """editMessageCaption."""
    human, message = _editable(world, params)
    caption = caption_of(params)
    if "text" in message:
        raise bad_request("there is no caption in the message to edit")
    kept = {key: message[key] for key in ("photo", "document", "has_media_spoiler") if key in message}
    above = {"show_caption_above_media": True} if params.flag("show_caption_above_media") else {}
    return _edit(world, human, message, kept | caption | above, params)


def edit_message_media(world: World, params: Params) -> Json:
    """editMessageMedia: also turns a text into a photo or a document."""
    human, message = _editable(world, params)
    content = media_content(world, params)
    _check_rights(human, content)
    return _edit(world, human, message, content, params)


def edit_message_reply_markup(world: World, params: Params) -> Json:
    """editMessageReplyMarkup."""
    human, message = _editable(world, params)
    return _edit(world, human, message, {key: message[key] for key in _CONTENT if key in message}, params)


def delete_message(world: World, params: Params) -> bool:
    """deleteMessage: in a private chat also the person's own messages."""
    human = world.chat(params.string("chat_id"))
    number = params.integer("message_id")
    if number is None:
        raise bad_request("message identifier is not specified")
    if number not in human.messages:
        raise bad_request("message to delete not found")
    world.remove(human, number)
    return True


def delete_messages(world: World, params: Params) -> bool:
    """deleteMessages: those not found are skipped."""
    human = world.chat(params.string("chat_id"))
    numbers = params.structure("message_ids")
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= 100:
        raise bad_request("message identifiers are not specified")
    for number in numbers:
        if number in human.messages:
            world.remove(human, number)
    return True


def answer_callback_query(world: World, params: Params) -> bool:
    """answerCallbackQuery: one answer for each press."""
    press = world.presses.get(params.string("callback_query_id") or "")
    text = params.string("text") or ""
    if len(text) > 200:
        raise bad_request("MESSAGE_TOO_LONG")
    if press is None or press.answer is not None:
        raise bad_request(QUERY_TOO_OLD)
    press.answer = {"text": text, "show_alert": params.flag("show_alert"), "url": params.string("url") or ""}
    press.answered_after = time.monotonic() - press.pressed_at
    data = {"id": press.id, "message_id": press.message_id, "data": press.data, **press.answer}
    world.log(world.humans[press.chat_id], "answer", data)
    return True


def send_chat_action(world: World, params: Params) -> bool:
    """sendChatAction."""
    human = world.chat(params.string("chat_id"))
    action = params.string("action")
    if action not in _ACTIONS:
        raise bad_request("wrong parameter action in request")
    world.log(human, "action", {"action": action})
    return True


def _send(world: World, human: Human, params: Params, content: Json) -> Json:
    _check_rights(human, content)
    markup = params.structure("reply_markup")
    keyboard = inline_keyboard(markup, private=human.chat["type"] == "private")
    reply = reply_content(world, human, params)
    message = world.compose(human, world.bot) | reply | content
    if keyboard:
        message["reply_markup"] = keyboard
    if params.flag("protect_content"):
        message["has_protected_content"] = True
    world.show(human, message)
    if isinstance(markup, dict) and markup.get("force_reply"):
        placeholder = str(markup.get("input_field_placeholder") or "")
        world.log(human, "force_reply", {"message_id": message["message_id"], "placeholder": placeholder})
    return message


def _check_rights(human: Human, content: Json) -> None:
    if human.photos_forbidden and "photo" in content:
        raise bad_request(NO_PHOTOS)


def _editable(world: World, params: Params) -> tuple[Human, Json]:
    if params.string("inline_message_id"):
        raise bad_request("MESSAGE_ID_INVALID")
    human = world.chat(params.string("chat_id"))
    number = params.integer("message_id")
    if number is None:
        raise bad_request("message identifier is not specified")
    message = human.messages.get(number)
    if message is None:
        raise bad_request("message to edit not found")
    if message["from"]["id"] != world.bot_id:
        raise bad_request("message can't be edited")
    return human, message


def _edit(world: World, human: Human, message: Json, content: Json, params: Params) -> Json:
    keyboard = inline_keyboard(params.structure("reply_markup"), only_inline=True, private=human.chat["type"] == "private")
    head = {key: value for key, value in message.items() if key not in _CONTENT and key != "reply_markup"}
    changed = head | content | ({"reply_markup": keyboard} if keyboard else {})
    if _seen(changed) == _seen(message):
        raise bad_request(NOT_MODIFIED)
    changed["edit_date"] = int(world.clock())
    return world.replace(human, changed)


def _seen(message: Json) -> dict[str, Any]:
    """What a person can tell apart."""
    return {key: message.get(key) for key in (*_CONTENT, "reply_markup")}

"""What people do in their chats; each act shows up in the chat and reaches the bot as an update."""

from __future__ import annotations

import secrets
import time
from typing import Any

from sandbox.entities import FormattedText, clean, utf16_length
from sandbox.files import StoredFile
from sandbox.pictures import picture_mime
from sandbox.world import MAX_ALBUM, Human, Json, Press, World


def say(world: World, human: Human, text: str, reply_to: int | None = None, entities: list[Json] | None = None) -> Json:
    """Send a text exactly as given, also one that no client would let through."""
    found = entities if entities is not None else _marks(text)
    return _sent(world, human, {"text": text} | ({"entities": found} if found else {}), reply_to)


def send_photo(world: World, human: Human, data: bytes, caption: str = "", reply_to: int | None = None) -> Json:
    """Send a photo; a picture Telegram's clients refuse raises ApiError here too."""
    photo = {"photo": world.files.photo_sizes(world.files.add_photo(data))}
    return _sent(world, human, photo | _caption(caption), reply_to)


def send_document(
    world: World,
    human: Human,
    name: str,
    data: bytes | None,
    mime: str,
    *,
    size: int | None = None,
    caption: str = "",
    reply_to: int | None = None,
) -> Json:
    """Send a file; with `data` None it is `size` zeros, made while they are read."""
    file = world.files.add("document", data, name, mime, size)
    return _sent(world, human, {"document": world.files.document(file)} | _caption(caption), reply_to)


def send_kind(world: World, human: Human, kind: str, data: bytes | None = None, caption: str = "") -> Json:
    """Send a sticker, voice note, video or location."""
    return _sent(world, human, _special(world, kind, data) | (_caption(caption) if kind != "sticker" else {}), None)


def send_album(world: World, human: Human, photos: list[bytes], caption: str = "", reply_to: int | None = None) -> list[Json]:
    """Send photos as one album; the bot gets a message, and an update, for each."""
    files = [world.files.add_photo(data) for data in photos]
    return _grouped(world, human, [{"photo": world.files.photo_sizes(file)} for file in files], caption, reply_to)


def send_documents(
    world: World, human: Human, files: list[tuple[str, bytes, str]], caption: str = "", reply_to: int | None = None
) -> list[Json]:
    """Send files (name, content, type) as one album."""
    stored = [world.files.add("document", data, name, mime) for name, data, mime in files]
    return _grouped(world, human, [{"document": world.files.document(file)} for file in stored], caption, reply_to)


def edit(world: World, human: Human, message_id: int, text: str) -> Json:
    """Change an own text or caption."""
    message = human.messages[message_id]
    if message["from"]["id"] != human.id:
        raise ValueError(f"message {message_id} is not {human.name}'s")
    field, marks = ("text", "entities") if "text" in message else ("caption", "caption_entities")
    changed = {key: value for key, value in message.items() if key not in (field, marks)}
    changed |= {field: text, "edit_date": int(world.clock())}
    if found := _marks(text):
        changed[marks] = found
    world.replace(human, changed)
    world.updates.add("edited_message", changed)
    return changed


def delete(world: World, human: Human, message_id: int) -> None:
    """Remove a message from the chat; Telegram does not tell bots."""
    world.remove(human, message_id)


def forward(world: World, human: Human, message_id: int) -> Json:
    """Send a message of this chat again, as forwarded."""
    source = human.messages[message_id]
    kept = {
        key: value
        for key, value in source.items()
        if key not in ("message_id", "from", "chat", "date", "edit_date", "reply_to_message", "reply_markup")
    }
    origin = kept.pop("forward_origin", None) or {"type": "user", "sender_user": source["from"], "date": source["date"]}
    return _sent(world, human, kept | {"forward_origin": origin}, None)


def forward_from_hidden(world: World, human: Human, content: str | bytes, sender: str) -> Json:
    """Forward a text or a photo of somebody who hides the account."""
    origin = {"type": "hidden_user", "sender_user_name": sender, "date": int(world.clock()) - 3600}
    body: Json
    if isinstance(content, str):
        body = {"text": content} | ({"entities": found} if (found := _marks(content)) else {})
    else:
        body = {"photo": world.files.photo_sizes(world.files.add_photo(content))}
    return _sent(world, human, body | {"forward_origin": origin}, None)


def press(world: World, human: Human, message_id: int, data: str) -> Press:
    """Press a button; the data may be forged and the message gone."""
    pressed = Press(str(secrets.randbelow(9 * 10**18) + 10**18), human.id, message_id, data, time.monotonic())
    world.presses[pressed.id] = pressed
    world.log(human, "press", {"id": pressed.id, "message_id": message_id, "data": data})
    message = human.messages.get(message_id) or {"message_id": message_id, "chat": human.chat, "date": 0}
    instance = str(human.id * 31)
    query = {"id": pressed.id, "from": human.user, "message": message, "chat_instance": instance, "data": data}
    world.updates.add("callback_query", query)
    return pressed


def block(world: World, human: Human, blocked: bool) -> None:
    """Block or unblock the bot."""
    if human.blocked == blocked:
        return
    human.blocked = blocked
    world.log(human, "block", {"blocked": blocked})
    kicked, member = {"user": world.bot, "status": "kicked", "until_date": 0}, {"user": world.bot, "status": "member"}
    change = {"chat": human.chat, "from": human.user, "date": int(world.clock())}
    change |= {"old_chat_member": member, "new_chat_member": kicked} if blocked else {}
    change |= {} if blocked else {"old_chat_member": kicked, "new_chat_member": member}
    world.updates.add("my_chat_member", change)


def _grouped(world: World, human: Human, contents: list[Json], caption: str, reply_to: int | None) -> list[Json]:
    """Telegram's apps write the caption under the first photo and under the last file."""
    if not 1 <= len(contents) <= MAX_ALBUM:
        raise ValueError(f"an album has 2 to {MAX_ALBUM} parts")
    group = {"media_group_id": world.new_album_id()} if len(contents) > 1 else {}
    captioned = 0 if "photo" in contents[0] else len(contents) - 1
    return [
        _sent(world, human, content | group | (_caption(caption) if index == captioned else {}), reply_to)
        for index, content in enumerate(contents)
    ]


def _sent(world: World, human: Human, content: Json, reply_to: int | None) -> Json:
    human.started = True
    message = world.compose(human, human.user)
    if reply_to is not None and reply_to in human.messages:
        message["reply_to_message"] = world.quoted(human.messages[reply_to])
    message |= content
    world.show(human, message)
    world.updates.add("message", message)
    return message


def _marks(text: str) -> list[Json]:
    """Commands and addresses, with offsets into the text as it was typed."""
    found = clean(FormattedText(text, []))
    at = text.find(found.text) if found.text else -1
    lead = utf16_length(text[:at]) if at > 0 else 0
    return [{**entity, "offset": entity["offset"] + lead} for entity in found.entities] if at >= 0 else []


def _caption(caption: str) -> Json:
    if not caption:
        return {}
    found = _marks(caption)
    return {"caption": caption} | ({"caption_entities": found} if found else {})


def _special(world: World, kind: str, data: bytes | None) -> Json:
    def file(name: str, mime: str) -> StoredFile:
        return world.files.add(kind, data or b"sandbox", name, mime)

    def described(stored: StoredFile, *left_out: str) -> dict[str, Any]:
        return {key: value for key, value in world.files.document(stored).items() if key not in left_out}

    if kind == "sticker":
        mime = (picture_mime(data) if data else None) or "image/webp"
        sticker = described(file("sticker.webp", mime), "file_name", "mime_type")
        details = {"type": "regular", "width": 512, "height": 512, "is_animated": False, "is_video": False}
        return {"sticker": sticker | details | {"emoji": "👍", "set_name": "sandbox"}}
    if kind == "voice":
        return {"voice": described(file("voice.oga", "audio/ogg"), "file_name") | {"duration": 3}}
    if kind == "video":
        return {"video": described(file("video.mp4", "video/mp4")) | {"width": 640, "height": 360, "duration": 5}}
    if kind == "location":
        return {"location": {"latitude": 59.9342, "longitude": 30.3350}}
    raise ValueError(f"no such kind of message: {kind}")

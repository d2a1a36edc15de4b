"""The Bot API methods the sandbox serves, by name; what is not here answers 404, as Telegram's unknown methods."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox import messages
from sandbox.errors import bad_request
from sandbox.files import MAX_DOWNLOAD
from sandbox.params import Params
from sandbox.world import Json, World

Method = Callable[[World, Params], Any | Awaitable[Any]]


def get_me(world: World, params: Params) -> Json:
    """getMe."""
    abilities = {
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }
    return world.bot | abilities


async def get_updates(world: World, params: Params) -> list[Json]:
    """getUpdates: holds the request for up to `timeout` seconds."""
    _allow(world, params)
    limit = min(max(params.integer("limit", 100) or 100, 1), 100)
    timeout_s = min(max(params.integer("timeout", 0) or 0, 0), 50)
    return await world.updates.poll(params.integer("offset", 0) or 0, limit, timeout_s)


async def set_webhook(world: World, params: Params) -> bool:
    """setWebhook: an empty address deletes it."""
    url = params.string("url") or ""
    if not url:
        return await delete_webhook(world, params)
    if params.flag("drop_pending_updates"):
        await world.webhook.delete()
        world.updates.drop_pending()
    secret_token = params.string("secret_token") or ""
    await world.webhook.set(url, secret_token, params.integer("max_connections", 40) or 40)
    _allow(world, params)
    return True


async def delete_webhook(world: World, params: Params) -> bool:
    """deleteWebhook."""
    await world.webhook.delete()
    if params.flag("drop_pending_updates"):
        world.updates.drop_pending()
    return True


def get_webhook_info(world: World, params: Params) -> Json:
    """getWebhookInfo."""
    return world.webhook.info()


def _allow(world: World, params: Params) -> None:
    allowed = params.structure("allowed_updates")
    if isinstance(allowed, list):
        world.updates.allowed = [str(kind) for kind in allowed]


def get_file(world: World, params: Params) -> Json:
    """getFile: up to 20 MB."""
    found = world.files.by_id(params.string("file_id") or "")
    if found is None:
        raise bad_request("invalid file_id")
    file, size = found
    if file.size > MAX_DOWNLOAD:
        raise bad_request("file is too big")
    return {
        "file_id": world.files.file_id(file, size),
        "file_unique_id": world.files.unique_id(file, size),
        "file_size": file.size,
        "file_path": file.path,
    }


def get_chat(world: World, params: Params) -> Json:
    """getChat: the parts a private chat always has."""
    human = world.chat(params.string("chat_id"))
    return human.chat | {"accent_color_id": human.id % 7, "max_reaction_count": 11, "accepted_gift_types": _GIFTS}


_GIFTS = {
    "unlimited_gifts": False, "limited_gifts": False, "unique_gifts": False, "premium_subscription": False,
    "gifts_from_channels": False,
}  # fmt: skip


def set_my_commands(world: World, params: Params) -> bool:
    """setMyCommands."""
    world.commands.set(params.structure("commands"), params.structure("scope"), params.string("language_code") or "")
    world.log(None, "commands", {})
    return True


def get_my_commands(world: World, params: Params) -> list[dict[str, str]]:
    """getMyCommands."""
    return world.commands.get(params.structure("scope"), params.string("language_code") or "")


def delete_my_commands(world: World, params: Params) -> bool:
    """deleteMyCommands."""
    world.commands.delete(params.structure("scope"), params.string("language_code") or "")
    world.log(None, "commands", {})
    return True


def set_chat_menu_button(world: World, params: Params) -> bool:
    """setChatMenuButton."""
    button = params.structure("menu_button") or {"type": "default"}
    if not isinstance(button, dict) or button.get("type") not in ("commands", "web_app", "default"):
        raise bad_request("can't parse menu button: unsupported type specified")
    world.commands.menu_buttons[params.integer("chat_id", 0) or 0] = button
    world.log(None, "commands", {})
    return True


def get_chat_menu_button(world: World, params: Params) -> Json:
    """getChatMenuButton."""
    buttons = world.commands.menu_buttons
    default = buttons.get(0, {"type": "commands"})
    return buttons.get(params.integer("chat_id", 0) or 0, default)


def _text_setter(field: str, limit: int, error: str) -> Method:
    def set_text(world: World, params: Params) -> bool:
        text = params.string(field) or ""
        if len(text) > limit:
            raise bad_request(error)
        world.commands.texts[field, params.string("language_code") or ""] = text
        world.log(None, "bot", {field: text})
        return True

    return set_text


def _text_getter(field: str) -> Method:
    def get_text(world: World, params: Params) -> dict[str, str]:
        return {field: world.commands.text(field, params.string("language_code") or "")}

    return get_text


METHODS: dict[str, Method] = {
    "getMe": get_me,
    "getUpdates": get_updates,
    "setWebhook": set_webhook,
    "deleteWebhook": delete_webhook,
    "getWebhookInfo": get_webhook_info,
    "getFile": get_file,
    "getChat": get_chat,
    "setMyCommands": set_my_commands,
    "getMyCommands": get_my_commands,
    "deleteMyCommands": delete_my_commands,
    "setChatMenuButton": set_chat_menu_button,
    "getChatMenuButton": get_chat_menu_button,
    "setMyName": _text_setter("name", 64, "BOT_TITLE_INVALID"),
    "getMyName": _text_getter("name"),
    "setMyDescription": _text_setter("description", 512, "BOT_DESCRIPTION_INVALID"),
    "getMyDescription": _text_getter("description"),
    "setMyShortDescription": _text_setter("short_description", 120, "BOT_SHORT_DESCRIPTION_INVALID"),
    "getMyShortDescription": _text_getter("short_description"),
    "sendMessage": messages.send_message,
    "sendPhoto": messages.send_photo,
    "sendDocument": messages.send_document,
    "sendMediaGroup": messages.send_media_group,
    "editMessageText": messages.edit_message_text,
    "editMessageCaption": messages.edit_message_caption,
    "editMessageMedia": messages.edit_message_media,
    "editMessageReplyMarkup": messages.edit_message_reply_markup,
    "deleteMessage": messages.delete_message,
    "deleteMessages": messages.delete_messages,
    "answerCallbackQuery": messages.answer_callback_query,
    "sendChatAction": messages.send_chat_action,
}
_BY_LOWER = {name.lower(): name for name in METHODS}


def canonical(name: str) -> str | None:
    """The method's proper name; Telegram does not mind case."""
    return _BY_LOWER.get(name.lower())


async def perform(world: World, name: str, params: Params) -> Any:
    """Run a method.

    Raises: ApiError where Telegram would refuse.
    """
    result = METHODS[name](world, params)
    return await result if inspect.isawaitable(result) else result

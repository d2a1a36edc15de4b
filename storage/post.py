"""What is owed to chats: results with their status lines, and notices. No SQL, no Telegram."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class SendState(StrEnum):
    """Where an outgoing message stands; `unknown` means that Telegram's answer never came."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    FAILED = "failed"


@dataclass(frozen=True)
class Delivery:
    """One message a job owes its chat: ordinal 0 is the status, 1 the result."""

    job_id: int
    ordinal: int
    state: SendState
    attempt: int
    message_id: int | None


@dataclass(frozen=True)
class Notice:
    """One message owed to a chat outside a job's result: a key of `locales/` and its values, never text.

    `edit_message_id` replaces that message; `job_id` alone replaces the job's status message.
    """

    id: int
    public_id: str
    bot_id: int
    user_id: int | None
    chat_id: int
    key: str
    params: dict[str, Any]
    state: SendState
    attempt: int
    job_id: int | None
    picture_id: int | None
    edit_message_id: int | None
    reply_to_message_id: int | None


@dataclass(frozen=True)
class NewNotice:
    bot_id: int
    chat_id: int
    key: str
    dedupe_key: str
    params: dict[str, Any] = field(default_factory=dict)
    user_id: int | None = None
    job_id: int | None = None
    picture_id: int | None = None
    edit_message_id: int | None = None
    reply_to_message_id: int | None = None

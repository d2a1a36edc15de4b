"""Every setting, read once from the environment or `.env`; nothing else reads the environment."""

import os
import socket
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

S = TypeVar("S", bound=BaseSettings)


class SettingsError(Exception):
    """A setting is missing or wrong: one line that names it."""


class TelegramSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TELEGRAM_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)
    token: SecretStr | None = None
    api: str = "https://api.telegram.org"

    @field_validator("token")
    @classmethod
    def _looks_like_a_token(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token is not None else "0:none"
        bot_id, _, secret = text.partition(":")
        if not bot_id.isdecimal() or not secret or len(text.split()) != 1:
            raise ValueError("must look like 123456:ABC..., as @BotFather gave it")
        return token


class StorageSettings(BaseSettings):
    """Where things are kept; the embedded defaults live in `data_dir`."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)
    data_dir: Path = Path("~/.local/share/kandinsky-bot")
    database_url: str | None = None
    broker_url: str | None = None
    media_url: str | None = None

    @property
    def folder(self) -> Path:
        return self.data_dir.expanduser().resolve()

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.folder / 'kandinsky.db'}"

    @property
    def broker(self) -> str:
        return self.broker_url or "filesystem://localhost"

    @property
    def bells(self) -> Path:
        """Folder of the embedded broker."""
        return self.folder / "bells"

    @property
    def media(self) -> str:
        return self.media_url or str(self.folder / "pictures")


class JobSettings(BaseSettings):
    """Times and limits of a job's life; tests run them at a tenth."""

    model_config = SettingsConfigDict(env_prefix="JOB_", env_file=".env", extra="ignore", frozen=True)
    lease_s: float = Field(30.0, gt=0)
    renew_s: float = Field(10.0, gt=0)
    stall_s: float = Field(60.0, gt=0)
    load_stall_s: float = Field(600.0, gt=0)
    cancel_poll_s: float = Field(0.2, gt=0)
    sweep_s: float = Field(2.0, gt=0)
    rering_s: float = Field(10.0, gt=0)
    deadline_s: float = Field(900.0, gt=0)
    worker_alive_s: float = Field(15.0, gt=0)
    leader_s: float = Field(4.0, gt=0)
    drain_s: float = Field(20.0, ge=0, description="how long a worker that was told to stop may go on with what it draws")

    @model_validator(mode="after")
    def _renewed_in_time(self) -> "JobSettings":
        if self.renew_s * 2 > self.lease_s:
            raise ValueError("JOB_RENEW_S must be at most half of JOB_LEASE_S, or a lease ends while its worker lives")
        return self

    max_active: int = Field(3, ge=1)
    max_crashes: int = Field(3, ge=1)
    per_day: int = Field(0, ge=0, description="pictures a person may draw in 24 hours; 0 is no limit")


class LimitSettings(BaseSettings):
    """How fast the bot may speak: Telegram's usual limits. Paid broadcasts or an own Bot API server allow more."""

    model_config = SettingsConfigDict(env_prefix="LIMIT_", env_file=".env", extra="ignore", frozen=True)
    messages_per_s: float = Field(25.0, ge=1, description="over all chats")
    chat_messages_per_s: float = Field(1.0, gt=0, description="in one chat; three may come at once")
    group_messages_per_min: float = Field(18.0, gt=0, description="in one group")


class DrawingSettings(BaseSettings):
    """What a plain message draws with."""

    model_config = SettingsConfigDict(env_prefix="DRAW_", env_file=".env", extra="ignore", frozen=True)
    family: str = "kandinsky-nano"


class WorkerSettings(BaseSettings):
    """What one worker loads; the command line writes these for its child."""

    model_config = SettingsConfigDict(env_prefix="WORKER_", env_file=".env", extra="ignore", frozen=True)
    family: str = "kandinsky-nano"
    lanes: str = "flash,base"
    device: str = "cpu"
    memory: str | None = None

    @property
    def lane_names(self) -> tuple[str, ...]:
        return tuple(lane for lane in self.lanes.split(",") if lane)


def process_name(pid: int | None = None) -> str:
    """Name a process of this machine, the same for a worker and for whoever watches it."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def read(kind: type[S]) -> S:
    """Read one class of settings. Raises: SettingsError naming the first wrong one."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        prefix = kind.model_config.get("env_prefix", "")
        name = f"{prefix}{first['loc'][0] if first['loc'] else ''}".upper()
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None

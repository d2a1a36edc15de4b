"""Every setting, read once from the environment or `.env`; nothing else reads the environment."""

import os
import re
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

S = TypeVar("S", bound=BaseSettings)

_DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
_BROKERS = ("filesystem", "redis", "rediss", "amqp", "amqps")
_LOOPBACK = "127.0.0.1"
_SCRIPT = "https://telegram.org/js/telegram-web-app.js"
_HOST = r"^[A-Za-z0-9.:_-]+$"
_HERE = (_LOOPBACK, "localhost", "::1")


class SettingsError(Exception):
    """A setting is missing or wrong: one line that names it."""


def found_in(prefix: str = "", empty_wins: bool = False) -> SettingsConfigDict:
    """Where a class finds its settings; an empty one is as good as none, or (`empty_wins`) also hides what `.env` says."""
    ignored = not empty_wins
    return SettingsConfigDict(env_prefix=prefix, env_file=".env", env_ignore_empty=ignored, extra="ignore", frozen=True)


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


class TelegramSettings(BaseSettings):
    """Who the bot is, and where Telegram is."""

    model_config = found_in("TELEGRAM_")
    token: SecretStr | None = Field(None, description="the bot's token, as @BotFather gave it")
    api: str = Field("https://api.telegram.org", description="address of the Bot API: Telegram's, or a server of your own")

    @field_validator("token")
    @classmethod
    def _looks_like_a_token(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token is not None else "0:none"
        bot_id, _, secret = text.partition(":")
        if not bot_id.isdecimal() or not secret or len(text.split()) != 1:
            raise ValueError("must look like 123456:ABC..., as @BotFather gave it")
        return token

    @field_validator("api")
    @classmethod
    def _is_an_address(cls, api: str) -> str:
        parts = _split(api)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address such as https://api.telegram.org")
        return api


class WebhookSettings(BaseSettings):
    """Where Telegram sends updates; without an address the bot asks for them."""

    model_config = found_in("WEBHOOK_", empty_wins=True)
    url: str | None = Field(None, description="public https address, path included; without it the bot polls")
    secret: SecretStr | None = Field(None, description="what Telegram must send along: 32 to 256 of A-Z a-z 0-9 _ -")

    _empty = field_validator("url", "secret", mode="before")(_none_if_empty)

    @field_validator("url")
    @classmethod
    def _is_public(cls, url: str | None) -> str | None:
        if url is not None and not _is_reachable(url):
            raise ValueError("must be an https address that Telegram can reach, such as https://example.org/telegram/x7Qk")
        return url

    @field_validator("secret")
    @classmethod
    def _is_hard_to_guess(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not re.fullmatch(r"[A-Za-z0-9_-]{32,256}", secret.get_secret_value()):
            raise ValueError("must be 32 to 256 characters of A-Z a-z 0-9 _ -; make one with: openssl rand -hex 32")
        return secret

    @model_validator(mode="after")
    def _has_its_secret(self) -> "WebhookSettings":
        if self.url is not None and self.secret is None:
            raise ValueError("WEBHOOK_SECRET: not set, and WEBHOOK_URL needs it; make one with: openssl rand -hex 32")
        return self

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.url or "").path) or "/"


class MiniAppSettings(BaseSettings):
    """Where people reach the mask editor; without an address its button hides."""

    model_config = found_in("MINI_APP_", empty_wins=True)
    url: str | None = Field(None, description="public https address of the mask editor; without it masks are drawn by pencil")
    script: str = Field(_SCRIPT, description="address of Telegram's script for Mini Apps")

    _empty = field_validator("url", mode="before")(_none_if_empty)

    @field_validator("url")
    @classmethod
    def _is_public(cls, url: str | None) -> str | None:
        if url is not None and (not _is_reachable(url) or urlsplit(url).query or urlsplit(url).fragment):
            raise ValueError("must be an https address that browsers can reach, such as https://example.org/editor")
        return url

    @field_validator("script", mode="before")
    @classmethod
    def _is_a_script(cls, script: str) -> str:
        """It stands in the page and in the page's policy."""
        if script and not (re.fullmatch(r"[A-Za-z0-9:/._~%-]+", script) and _is_reachable(script)):
            raise ValueError(f"must be an https address such as {_SCRIPT}")
        return script or _SCRIPT

    @property
    def path(self) -> str:
        """Where the editor lies on this server: empty, or as /editor."""
        return unquote(urlsplit(self.url or "").path).rstrip("/")


class WebSettings(BaseSettings):
    """Where the bot listens for its webhook and the mask editor, behind a proxy that speaks TLS."""

    model_config = found_in("WEB_")
    host: str = Field(_LOOPBACK, pattern=_HOST, description="address to listen on")
    port: int = Field(8081, ge=1, le=65535, description="port to listen on")


class OpsSettings(BaseSettings):
    """Where a process answers GET /health and /metrics."""

    model_config = found_in("OPS_", empty_wins=True)
    host: str = Field(_LOOPBACK, pattern=_HOST, description="address to listen on; keep it off the internet")
    port: int | None = Field(None, ge=1, le=65535, description="port to listen on; none by default. Each process needs its own")

    _empty = field_validator("port", mode="before")(_none_if_empty)

    @field_validator("host", mode="before")
    @classmethod
    def _somewhere(cls, host: str) -> str:
        return host or _LOOPBACK


class LogSettings(BaseSettings):
    """How lines of the log look."""

    model_config = found_in("LOG_")
    format: Literal["text", "json"] = Field("text", description="how a line looks: text, or json for a collector")


class StorageSettings(BaseSettings):
    """Where things are kept; the embedded defaults live in `data_dir`."""

    model_config = found_in()
    data_dir: Path = Field(Path("~/.local/share/kandinsky-bot"), description="folder of everything embedded")
    database_url: str | None = Field(
        None, description="database, as postgresql://user:password@host/name; by default SQLite in DATA_DIR"
    )
    broker_url: str | None = Field(
        None, description="broker, as redis://host:6379/0 or amqp://user:password@host; by default a folder in DATA_DIR"
    )
    media_url: str | None = Field(None, description="folder or address for pictures, such as s3://bucket; by default in DATA_DIR")

    @field_validator("database_url")
    @classmethod
    def _has_its_driver(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme, colon, rest = url.partition("://")
        if not colon or scheme.lower() not in _DRIVERS:
            raise ValueError("must begin with postgresql:// or sqlite:///")
        _split(url)
        return f"{_DRIVERS[scheme.lower()]}://{rest}"

    @field_validator("broker_url")
    @classmethod
    def _is_a_broker(cls, url: str | None) -> str | None:
        if url is not None and (_split(url).scheme not in _BROKERS or "://" not in url):
            raise ValueError(f"must begin with one of: {', '.join(f'{name}://' for name in _BROKERS)}")
        return url

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

    model_config = found_in("JOB_")
    lease_s: float = Field(30.0, gt=0, allow_inf_nan=False, description="seconds a worker may be silent before its job is taken")
    renew_s: float = Field(10.0, gt=0, allow_inf_nan=False, description="seconds between two renewals of that lease")
    stall_s: float = Field(60.0, gt=0, allow_inf_nan=False, description="seconds without a step before a drawing is broken off")
    load_stall_s: float = Field(600.0, gt=0, allow_inf_nan=False, description="seconds that loading weights may take")
    cancel_poll_s: float = Field(0.2, gt=0, allow_inf_nan=False, description="seconds between two looks for a cancel")
    sweep_s: float = Field(2.0, gt=0, allow_inf_nan=False, description="seconds between two sweeps")
    rering_s: float = Field(10.0, gt=0, allow_inf_nan=False, description="seconds before a lost bell is rung again")
    deadline_s: float = Field(900.0, gt=0, allow_inf_nan=False, description="seconds from accepted to given up, at least")
    worker_alive_s: float = Field(15.0, gt=0, allow_inf_nan=False, description="seconds of silence that make a worker gone")
    leader_s: float = Field(4.0, gt=0, allow_inf_nan=False, description="seconds before another bot process takes over")
    writing_s: float = Field(
        10.0, gt=0, allow_inf_nan=False, description="seconds that a prompt's text may take before its own words are drawn"
    )
    drain_s: float = Field(20.0, ge=0, allow_inf_nan=False, description="seconds a worker told to stop may go on drawing")
    preview_s: float = Field(
        4.0, ge=0, allow_inf_nan=False, description="seconds between two rough pictures of a long drawing; 0 for none"
    )
    max_active: int = Field(3, ge=1, description="jobs a person may have in work")
    max_crashes: int = Field(3, ge=1, description="crashes before a job is given up")
    per_day: int = Field(0, ge=0, description="pictures a person may draw in 24 hours; 0 is no limit")

    @model_validator(mode="after")
    def _renewed_in_time(self) -> "JobSettings":
        if self.renew_s * 2 > self.lease_s:
            raise ValueError("JOB_RENEW_S: must be at most half of JOB_LEASE_S, or a lease ends while its worker lives")
        return self


class LimitSettings(BaseSettings):
    """How fast the bot may speak: Telegram's usual limits. Paid broadcasts or an own Bot API server allow more."""

    model_config = found_in("LIMIT_")
    messages_per_s: float = Field(25.0, ge=1, description="messages a second over all chats")
    chat_messages_per_s: float = Field(1.0, gt=0, description="messages a second in one chat; three may come at once")
    group_messages_per_min: float = Field(18.0, gt=0, description="messages a minute in one group")


class PrivacySettings(BaseSettings):
    """What people may do about what is kept of them."""

    model_config = found_in("PRIVACY_")
    grace_s: float = Field(
        86400.0, ge=0, le=30 * 86400, allow_inf_nan=False, description="seconds in which a person may take /forget back"
    )
    part_mb: int = Field(45, ge=1, le=2000, description="megabytes of pictures in one file of /export; Telegram takes 50 in all")
    contact: str = Field("", max_length=200, description="whom people may write to about their data, as /terms and /privacy say")


class DrawingSettings(BaseSettings):
    """What a plain message draws with."""

    model_config = found_in("DRAW_")
    family: str = Field("kandinsky-nano", description="set of weights that a plain message is drawn with")
    lanes: str = Field("", description="lanes that workers here have, with commas, where not all of the family's: flash")
    beautify: Literal["always", "ask", "never"] = Field(
        "always", description="whether short prompts are made richer, for people who chose nothing: always, ask or never"
    )

    @property
    def lane_names(self) -> frozenset[str] | None:
        """What is offered; None for all that the family has."""
        return frozenset(filter(None, self.lanes.split(","))) or None


class WorkerSettings(BaseSettings):
    """What one worker loads; the command line writes these for its child."""

    model_config = found_in("WORKER_")
    family: str = Field("kandinsky-nano", description="set of weights; `worker --family` sets it")
    lanes: str = Field("", description="lanes of the family, with commas, where not all; `worker --lanes` sets it")
    device: str = Field("cpu", description="device to draw on: cpu, cuda or cuda:N; `worker --device` sets it")
    memory: str | None = Field(None, description="one of the family's memory plans; by default what suits the device")
    loras: str = Field("", description="LoRA files with weights, with commas: style.safetensors:0.8,line.safetensors")
    judge: str = Field("", description="your own judge of pictures, package.module:function; by default the family's")
    recipe: bool = Field(True, description="write into each picture's file how to draw it again; 'AI-generated' is always there")

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, device: str) -> str:
        if not re.fullmatch(r"(cpu|mps|cuda)(:\d+)?", device):
            raise ValueError(f"must be cpu, cuda or cuda:0, not {device!a:.40}")
        return device

    @field_validator("judge")
    @classmethod
    def _is_a_function(cls, judge: str) -> str:
        """Its package is there, at least: the worker's parent imports nothing heavy, and the child says what else is wrong."""
        if judge and not (re.fullmatch(r"[\w.]+:\w+", judge) and find_spec(judge.partition(":")[0].partition(".")[0])):
            raise ValueError(f"{judge!a:.80} is no function of an installed package; name it as package.module:function")
        return judge

    @field_validator("loras")
    @classmethod
    def _are_files(cls, loras: str) -> str:
        for each in filter(None, loras.split(",")):
            if not any(Path(name).is_file() for name in (each, each.rpartition(":")[0])):
                raise ValueError(f"{each!a:.80} is no file; name LoRA files, with a weight behind a colon if you like")
        return loras

    @property
    def lora_files(self) -> tuple[str, ...]:
        return tuple(each for each in self.loras.split(",") if each)

    @property
    def lane_names(self) -> tuple[str, ...]:
        return tuple(lane for lane in self.lanes.split(",") if lane)


EVERY: tuple[type[BaseSettings], ...] = (
    TelegramSettings,
    WebhookSettings,
    MiniAppSettings,
    WebSettings,
    OpsSettings,
    LogSettings,
    StorageSettings,
    JobSettings,
    LimitSettings,
    PrivacySettings,
    DrawingSettings,
    WorkerSettings,
)


def setting_name(kind: type[BaseSettings], field: str) -> str:
    """Name of a field in the environment."""
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def process_name(pid: int | None = None) -> str:
    """Name a process of this machine, the same for a worker and for whoever watches it."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


def read(kind: type[S]) -> S:
    """Read one class of settings. Raises: SettingsError naming the first wrong one."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # about two settings at once: the sentence names them itself
            raise SettingsError(said) from None
        raise SettingsError(f"{setting_name(kind, str(first['loc'][0]))}: {said}") from None
    except (UnicodeDecodeError, OSError) as error:
        raise SettingsError(f".env: cannot be read: {error}") from None


def _is_reachable(url: str) -> bool:
    """Whether it is an https address, or an http one on this very machine."""
    parts = _split(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only here, and wrong only here
    except ValueError:
        raise ValueError("is not an address; in a password, write special characters as %XX") from None
    return parts

"""Every setting is read once; a wrong one is one line that names it."""

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from bot.hidden import known_secrets
from bot.settings import (
    EVERY,
    JobSettings,
    LimitSettings,
    MiniAppSettings,
    OpsSettings,
    SettingsError,
    StorageSettings,
    TelegramSettings,
    WebhookSettings,
    WorkerSettings,
    process_name,
    read,
    setting_name,
)
from bot.telegram import make_bot

ROOT = Path(__file__).parent.parent.parent
TIMES = [
    name for name, info in JobSettings.model_fields.items() if info.annotation is float and name not in ("drain_s", "preview_s")
]


@pytest.mark.parametrize("kind", EVERY)
def test_every_setting_has_a_default(kind: type[BaseSettings]) -> None:
    read(kind)


@pytest.mark.parametrize("kind", EVERY)
def test_settings_are_frozen(kind: type[BaseSettings]) -> None:
    settings = read(kind)
    with pytest.raises(Exception, match="frozen"):
        setattr(settings, next(iter(kind.model_fields)), "other")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (TelegramSettings, "TELEGRAM_TOKEN", "no-token"),
        (TelegramSettings, "TELEGRAM_TOKEN", "12345:"),
        (TelegramSettings, "TELEGRAM_TOKEN", "12345:with space"),
        (TelegramSettings, "TELEGRAM_TOKEN", "²:secret"),
        (JobSettings, "JOB_MAX_ACTIVE", "0"),
        (JobSettings, "JOB_MAX_CRASHES", "many"),
        (JobSettings, "JOB_PER_DAY", "-1"),
        (LimitSettings, "LIMIT_MESSAGES_PER_S", "0"),  # less than one at a time is none, ever
        (LimitSettings, "LIMIT_CHAT_MESSAGES_PER_S", "0"),
        (LimitSettings, "LIMIT_GROUP_MESSAGES_PER_MIN", "-1"),
        *((JobSettings, f"JOB_{name.upper()}", value) for name in TIMES for value in ("0", "-1", "soon")),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseSettings], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        read(kind)
    assert str(error.value).startswith(f"{name}: ")
    assert "\n" not in str(error.value)
    assert "Value error" not in str(error.value)


def test_a_wrong_token_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", "my-secret-without-a-colon")
    with pytest.raises(SettingsError) as error:
        read(TelegramSettings)
    assert "my-secret" not in str(error.value)


def test_an_empty_token_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", "")
    with pytest.raises(SettingsError, match="TELEGRAM_TOKEN: not set"):
        make_bot(read(TelegramSettings))


def test_the_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", "12345:canary")
    settings = read(TelegramSettings)
    assert settings.token is not None
    assert settings.token.get_secret_value() == "12345:canary"
    assert "canary" not in repr(settings)


def test_a_file_named_env_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("JOB_MAX_ACTIVE=7\nJOB_PER_DAY=9\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("JOB_PER_DAY", "8")
    settings = read(JobSettings)
    assert (settings.max_active, settings.per_day) == (7, 8)


def test_everything_embedded_lives_in_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    settings = read(StorageSettings)
    assert settings.database == f"sqlite+aiosqlite:///{tmp_path}/data/kandinsky.db"
    assert settings.media == f"{tmp_path}/data/pictures"
    assert settings.bells == tmp_path / "data" / "bells"
    assert settings.broker.startswith("filesystem://")


def test_servers_named_by_url_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://me:pw@db/kandinsky")
    monkeypatch.setenv("BROKER_URL", "rediss://:pw@redis:6380/1")
    monkeypatch.setenv("MEDIA_URL", "s3://bucket/pictures")
    settings = read(StorageSettings)
    assert settings.database == "postgresql+asyncpg://me:pw@db/kandinsky"
    assert settings.broker == "rediss://:pw@redis:6380/1"
    assert settings.media == "s3://bucket/pictures"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("postgres://me:pw@db:5432/k?ssl=require", "postgresql+asyncpg://me:pw@db:5432/k?ssl=require"),
        ("postgresql://db/k", "postgresql+asyncpg://db/k"),
        ("postgresql://db/k?sslmode=require", "postgresql+asyncpg://db/k?sslmode=require"),
        ("POSTGRES://db/k", "postgresql+asyncpg://db/k"),
        ("sqlite:////var/k.db", "sqlite+aiosqlite:////var/k.db"),
        ("sqlite+aiosqlite:///k.db", "sqlite+aiosqlite:///k.db"),
    ],
)
def test_a_database_may_be_named_without_its_driver(monkeypatch: pytest.MonkeyPatch, written: str, meant: str) -> None:
    monkeypatch.setenv("DATABASE_URL", written)
    assert read(StorageSettings).database == meant


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in EVERY:
        for name in kind.model_fields:
            monkeypatch.setenv(setting_name(kind, name), "")
        assert read(kind) == kind.model_construct()


def test_an_empty_webhook_hides_the_one_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a demo started where a real bot lives does not serve that bot's webhook."""
    Path(".env").write_text(f"WEBHOOK_URL=https://example.org/x\nWEBHOOK_SECRET={'x' * 32}\nOPS_PORT=9000\n")
    monkeypatch.setenv("WEBHOOK_URL", "")
    monkeypatch.setenv("OPS_PORT", "")
    assert read(WebhookSettings).url is None
    assert read(OpsSettings).port is None


@pytest.mark.parametrize(
    ("url", "path"),
    [("https://example.org/a/b", "/a/b"), ("https://example.org", "/"), ("http://127.0.0.1:9/x%20y", "/x y")],
)
def test_the_webhook_is_served_where_its_address_says(url: str, path: str) -> None:
    assert WebhookSettings(url=url, secret="x" * 32).path == path  # type: ignore[arg-type]


def test_every_secret_is_known_also_where_it_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "TELEGRAM_TOKEN": ("123456:token-canary", "token-canary"),
        "WEBHOOK_SECRET": ("too-short-canary!", "too-short-canary!"),
        "DATABASE_URL": ("nonsense://me:p%40canary:x@db:port/k", "p@canary:x"),
        "BROKER_URL": ("redis://:broker-canary@redis:6379/0", "broker-canary"),
        "MEDIA_URL": ("s3://key-canary:s3-canary@bucket?secret_key=ask-canary", "ask-canary"),
        "AWS_SECRET_ACCESS_KEY": ("aws-canary", "aws-canary"),
    }
    for name, (written, _) in secrets.items():
        monkeypatch.setenv(name, written)
    assert {secret for _, secret in secrets.values()} | {"key-canary", "s3-canary"} <= known_secrets()


def test_the_example_names_every_setting() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = [setting_name(kind, name) for kind in EVERY for name in kind.model_fields]
    assert [name for name in names if f"\n# {name}=" not in example and f"\n{name}=" not in example] == []


def test_the_example_names_nothing_else_and_can_be_used_as_it_is() -> None:
    known = {setting_name(kind, name) for kind in EVERY for name in kind.model_fields}
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = re.findall(r"^(?:# )?([A-Z0-9_]+)=", text, re.MULTILINE)
    others = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"}  # read by s3fs
    assert set(named) == known | others
    assert len(named) == len(set(named))
    Path(".env").write_text(text.replace("\n# AWS", "\n#AWS").replace("\n# ", "\n"))
    for kind in EVERY:
        shown = {name: value for name, value in read(kind).model_dump().items() if name != "memory"}
        assert shown == {name: value for name, value in kind.model_construct().model_dump().items() if name != "memory"}, kind


def test_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA_DIR", "~/pictures")
    assert read(StorageSettings).folder == tmp_path / "pictures"


def test_lanes_are_named_with_commas() -> None:
    assert WorkerSettings(lanes="flash,base").lane_names == ("flash", "base")
    assert WorkerSettings(lanes="flash").lane_names == ("flash",)


def test_a_process_has_one_name_on_its_machine() -> None:
    assert process_name(7) == process_name(7)
    assert process_name(7) != process_name(8)
    assert process_name(7).endswith(":7")


@pytest.mark.parametrize(
    "url", ["http://example.org/edit", "example.org", "https://", "https://example.org/?a=1", "https://example.org/#a"]
)
def test_the_editor_needs_an_address_that_browsers_reach(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MINI_APP_URL", url)
    with pytest.raises(SettingsError, match="MINI_APP_URL: must be an https address"):
        read(MiniAppSettings)


@pytest.mark.parametrize(
    "script", ["http://example.org/x.js", "https://example.org/x.js; script-src *", 'https://example.org/">', "x.js"]
)
def test_the_script_stands_in_the_page_and_its_policy_and_breaks_neither(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setenv("MINI_APP_SCRIPT", script)
    with pytest.raises(SettingsError, match="MINI_APP_SCRIPT: must be an https address"):
        read(MiniAppSettings)

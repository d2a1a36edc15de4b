"""Every setting is read once; a wrong one is one line that names it."""

from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from bot.settings import (
    DrawingSettings,
    JobSettings,
    LimitSettings,
    SettingsError,
    StorageSettings,
    TelegramSettings,
    WorkerSettings,
    process_name,
    read,
)
from bot.telegram import make_bot

ALL = (TelegramSettings, StorageSettings, JobSettings, LimitSettings, DrawingSettings, WorkerSettings)
TIMES = [name for name, info in JobSettings.model_fields.items() if info.annotation is float]


@pytest.mark.parametrize("kind", ALL)
def test_every_setting_has_a_default(kind: type[BaseSettings]) -> None:
    read(kind)


@pytest.mark.parametrize("kind", ALL)
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
    for name in ("DATABASE_URL", "BROKER_URL", "MEDIA_URL"):
        monkeypatch.setenv(name, f"toy://{name}")
    settings = read(StorageSettings)
    assert (settings.database, settings.broker, settings.media) == (
        "toy://DATABASE_URL",
        "toy://BROKER_URL",
        "toy://MEDIA_URL",
    )


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

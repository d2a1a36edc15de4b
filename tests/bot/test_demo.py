"""A demo keeps to a folder of its own."""

from pathlib import Path

import pytest

from bot.demo import demo_storage


def test_a_demo_touches_no_server_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "BROKER_URL", "MEDIA_URL"):
        monkeypatch.setenv(name, f"toy://{name}")
    Path(".env").write_text("DATABASE_URL=toy://real\n")
    storage = demo_storage(tmp_path)
    assert storage.database == f"sqlite+aiosqlite:///{tmp_path}/kandinsky.db"
    assert storage.broker == "filesystem://localhost"
    assert storage.media == f"{tmp_path}/pictures"

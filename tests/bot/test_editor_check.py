"""What the doctor says about the mask editor."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.editor_check import check_editor
from bot.settings import MiniAppSettings, SettingsError, WebSettings
from sandbox.server import Sandbox
from tests.bot.editing import Editing, editing

CLOSED = WebSettings(host="127.0.0.1", port=1)  # nobody listens there


@pytest.fixture
async def edits(box: Sandbox, tmp_path: Path) -> AsyncIterator[Editing]:
    async with editing(box, tmp_path) as edits:
        yield edits


def listening(box: Sandbox) -> WebSettings:
    return WebSettings(host="127.0.0.1", port=int(box.url.rpartition(":")[2]))


async def test_an_editor_that_is_served_is_found(edits: Editing) -> None:
    assert "shows the editor" in await check_editor(edits.settings, CLOSED)


async def test_without_an_address_the_pencil_is_named(edits: Editing) -> None:
    assert "pencil" in await check_editor(MiniAppSettings(url=None), CLOSED)


async def test_before_the_bot_runs_nothing_is_wrong(edits: Editing) -> None:
    settings = edits.settings.model_copy(update={"url": "http://127.0.0.1:1/editor"})
    assert "kandinsky-bot run" in await check_editor(settings, CLOSED)


@pytest.mark.parametrize("there", ["", "/editor"])
async def test_an_address_that_leads_elsewhere_is_named_with_what_to_mend(box: Sandbox, edits: Editing, there: str) -> None:
    """The chat page is at the first, and nothing at the second."""
    settings = edits.settings.model_copy(update={"url": box.url + there})
    with pytest.raises(SettingsError, match=r"^MINI_APP_URL: .* does not show the editor .* proxy"):
        await check_editor(settings, listening(box))


async def test_a_script_that_is_not_there_is_named(box: Sandbox, edits: Editing) -> None:
    settings = edits.settings.model_copy(update={"script": f"{box.url}/no.js"})
    with pytest.raises(SettingsError, match=r"^MINI_APP_SCRIPT: .*status 404"):
        await check_editor(settings, CLOSED)

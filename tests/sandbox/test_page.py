"""The chat page in a real browser, driven over the DevTools protocol; nothing to install beside Chromium."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.types import BufferedInputFile, InlineKeyboardButton, InlineKeyboardMarkup, InputMediaPhoto

from sandbox.server import Sandbox

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--window-size=390,844", "--remote-debugging-port=0",
)  # fmt: skip
HELPERS = """
window.when = (condition) => new Promise((resolve) => {
  const look = () => { const found = condition(); if (found) { observer.disconnect(); resolve(found); } };
  const observer = new MutationObserver(look);
  observer.observe(document, { childList: true, subtree: true, attributes: true, characterData: true });
  look();
});
window.$$ = (selector) => [...document.querySelectorAll(selector)];
window.shows = (selector, text) => when(() => $$(selector).find((e) => e.textContent.includes(text)));
"""


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.errors: list[str] = []

    async def do(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = json.loads((await self._socket.receive(timeout=20)).data)
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    async def run(self, script: str) -> Any:
        """The value of an expression, awaited."""
        result = await self.do("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def shows(self, selector: str, text: str) -> None:
        await self.run(f"shows({json.dumps(selector)}, {json.dumps(text)}).then(() => true)")

    async def types(self, text: str) -> None:
        await self.run("document.querySelector('#text').focus()")
        await self.do("Input.insertText", text=text)
        await self.do("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13)


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing")
        pytest.skip("Chromium is missing")
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path}", "about:blank", stderr=asyncio.subprocess.PIPE
    )
    assert browser.stderr is not None
    port = ""
    while not port:
        line = (await asyncio.wait_for(browser.stderr.readline(), 30)).decode()
        port = line.split("ws://127.0.0.1:")[1].split("/")[0] if "DevTools listening" in line else ""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            target = next(t for t in await answer.json(content_type=None) if t["type"] == "page")
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            tab = Page(socket)
            await tab.do("Runtime.enable")
            await tab.do("Page.enable")
            await tab.do("Page.addScriptToEvaluateOnNewDocument", source=HELPERS)
            yield tab
    browser.kill()
    await browser.wait()


async def test_a_whole_dialogue_on_the_page(box: Sandbox, bot: Bot, page: Page, png) -> None:
    anna = box.person("Анна", "ru", patience=20)
    await page.do("Page.navigate", url=f"{box.url}/")
    await page.shows("#start", "Начать")
    await page.run("document.querySelector('#start').click()")
    await anna.until(lambda: len(anna.chat) == 1, "the person's /start", 20)
    assert anna.chat[0].text == "/start"

    await page.shows("#log li.own", "/start")
    nasty = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
    await page.types(nasty)
    await anna.until(lambda: len(anna.chat) == 2, "the person's text", 20)
    await page.shows("#log li.own", nasty)  # as text, to the letter
    assert await page.run("document.title") == "Kandinsky"

    keyboard = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="🔁 Ещё", callback_data="again")]])
    status = await bot.send_message(anna.id, "<b>Рисую</b>", parse_mode="HTML")
    await page.shows("#log li:not(.own) b", "Рисую")
    media = InputMediaPhoto(media=BufferedInputFile(png(256, 256), "p.png"), caption="готово")
    await bot.edit_message_media(media, chat_id=anna.id, message_id=status.message_id, reply_markup=keyboard)
    await page.shows("#log li:not(.own) .text", "готово")
    assert await page.run("$$('.photo img')[0].decode().then(() => $$('.photo img')[0].naturalWidth)") == 256

    await page.run("document.querySelector('.key').click()")
    await page.run("when(() => document.querySelector('.key.waiting')).then(() => true)")
    await anna.until(lambda: bool(box.world.presses), "the press", 20)
    await bot.answer_callback_query(next(iter(box.world.presses)), "уже рисую")
    await page.shows("#toast", "уже рисую")
    assert await page.run("$$('.key.waiting').length") == 0

    await bot.delete_message(anna.id, status.message_id)
    await page.run("when(() => !document.querySelector('#log li:not(.own)')).then(() => true)")
    assert page.errors == []

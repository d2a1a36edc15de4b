"""Chromium for tests of the chat page: one way to start it, and what every page must keep to."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser; without Chromium the test is skipped, except in CI."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing")
        pytest.skip("Chromium is missing")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, url: str, size: str = "phone", scheme: str = "light", refused: bool = False
) -> AsyncIterator[Page]:
    """The chat page at a size and in a colour scheme; it may leave no error in the console and not scroll sideways.

    With `refused`, a server may refuse what the page asks for: browsers note that whatever the page makes of it.
    """
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=size == "phone", accept_downloads=True
    )
    page = await context.new_page()
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not (refused and message.text.startswith("Failed to load resource")):
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        await page.goto(url)
        await page.wait_for_selector("#log", state="attached")
        yield page
        assert await overflow(page) <= 0
        assert errors == []
    finally:
        await context.close()


async def overflow(page: Page) -> int:
    """By how many pixels the page or the list of messages is wider than what it is seen through."""
    return await page.evaluate(
        """() => Math.max(...[document.documentElement, document.body, document.querySelector("#scroll")]
            .map((box) => box.scrollWidth - box.clientWidth))"""
    )


async def drawn(image: Locator) -> tuple[int, int]:
    """Wait until a picture is decoded; its own width, and the width it is shown at."""
    await image.wait_for()
    await image.evaluate("(image) => image.decode()")
    assert await image.evaluate("(image) => image.complete")
    box = await image.bounding_box()
    assert box is not None
    return await image.evaluate("(image) => image.naturalWidth"), round(box["width"])

"""A person in a real browser: types a sentence in Russian, sees the picture, presses a button."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from sandbox.person import Person
from tests.line import Line
from tests.sandbox.browser import chromium, drawn, opened

PROMPT = "большой красный круг на синем фоне"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def colour(page: Page, selector: str) -> tuple[int, ...]:
    """The background of an element, as it is computed."""
    words = await page.locator(selector).first.evaluate("(element) => getComputedStyle(element).backgroundColor")
    return tuple(int(number) for number in re.findall(r"\d+", words)[:3])


@pytest.mark.parametrize("size", ["phone", "desktop"])
async def test_a_sentence_becomes_a_picture_on_the_screen(line: Line, browser: Browser, boris: Person, size: str) -> None:
    colours = {}
    async with opened(browser, f"{line.sandbox.url}/#{boris.id}", size, "light") as page:
        await expect(page.locator("#start")).to_have_text("Начать")
        await page.locator("#start").click()
        await expect(page.locator("#log li:not(.own) .text").first).to_contain_text("Привет")

        await page.locator("#text").fill(PROMPT)
        await page.locator("#send").click()
        await expect(page.locator("#log li.own").last).to_contain_text(PROMPT)
        result = page.locator("#log li:not(.own):has(.photo)")
        await expect(result).to_have_count(1, timeout=60_000)
        own_width, shown_width = await drawn(result.locator("img"))
        assert own_width == 1032
        assert 200 < shown_width <= 500
        await expect(result.locator(".text")).to_contain_text(PROMPT)

        await result.get_by_role("button", name="Файлом").click()
        tile = page.locator("#log li:not(.own) a.tile").first
        await expect(tile).to_be_visible(timeout=30_000)
        assert (await drawn(tile.locator("img")))[0] >= 512
        await expect(page.locator(".key.waiting")).to_have_count(0)
        colours["light"] = [await colour(page, selector) for selector in (".chat-head", "#log li:not(.own) .bubble")]

    async with opened(browser, f"{line.sandbox.url}/#{boris.id}", size, "dark") as page:
        result = page.locator("#log li:not(.own):has(.photo)")
        assert (await drawn(result.locator("img")))[0] == 1032
        colours["dark"] = [await colour(page, selector) for selector in (".chat-head", "#log li:not(.own) .bubble")]
    assert all(min(light) > 220 and max(dark) < 80 for light, dark in zip(colours["light"], colours["dark"], strict=True))

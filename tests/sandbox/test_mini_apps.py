"""Mini Apps as Telegram has them: addresses of buttons, launch data, and the panel that opens one."""

import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import pytest_asyncio
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, WebAppInfo
from aiogram.utils.web_app import safe_parse_webapp_init_data
from aiohttp import web
from playwright.async_api import Browser, expect

from sandbox.mini_apps import VERSION
from sandbox.person import Person
from sandbox.server import Sandbox
from tests.sandbox.browser import chromium, opened


async def offer(bot: Bot, person: Person, url: str) -> int:
    keys = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Open", web_app=WebAppInfo(url=url))]])
    return (await bot.send_message(person.id, "here", reply_markup=keys)).message_id


@pytest.mark.parametrize("url", ["https://example.org/app?x=1", "http://127.0.0.1:8081/app/", "http://localhost:1/"])
async def test_a_button_may_open_what_telegram_or_this_machine_serves(bot: Bot, anna: Person, url: str) -> None:
    assert anna.opens("open", await offer(bot, anna, url)).url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/", "Only HTTPS links are allowed"),
        ("http://127.0.0.1.example.org/", "Only HTTPS links are allowed"),
        ("ftp://example.org/", "Wrong HTTP URL"),
        ("example", "Wrong HTTP URL"),
        ("https://", "Wrong HTTP URL"),
    ],
)
async def test_other_addresses_are_refused_in_telegrams_words(bot: Bot, anna: Person, url: str, words: str) -> None:
    with pytest.raises(TelegramBadRequest, match=rf"inline keyboard button Web App URL '.*' is invalid: {words}"):
        await offer(bot, anna, url)


async def test_a_group_has_no_buttons_that_open_mini_apps(bot: Bot, anna: Person) -> None:
    group = await anna.migrates()
    keys = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Open", web_app=WebAppInfo(url="https://x.org"))]])
    with pytest.raises(TelegramBadRequest, match="BUTTON_TYPE_INVALID"):
        await bot.send_message(group, "here", reply_markup=keys)


async def test_launch_data_is_signed_for_the_bot_alone(box: Sandbox, bot: Bot, anna: Person) -> None:
    message = await offer(bot, anna, "https://example.org/")
    data = anna.opens("open", message).init_data
    told = safe_parse_webapp_init_data(box.token, data)  # raises for any other signature
    assert told.user is not None
    assert (told.user.id, told.user.first_name, told.user.language_code) == (anna.id, "Anna", "en")
    with pytest.raises(ValueError, match="Invalid"):
        safe_parse_webapp_init_data("43:other", data)
    assert anna.opens("open", message).init_data != data
    aged = dict(parse_qsl(anna.opens("open", message, age_s=3600).init_data))
    assert 3590 < int(dict(parse_qsl(data))["auth_date"]) - int(aged["auth_date"]) < 3610


async def test_only_a_button_that_is_there_can_be_opened(bot: Bot, anna: Person) -> None:
    message = await offer(bot, anna, "https://example.org/")
    with pytest.raises(LookupError):
        anna.opens("shut", message)


async def test_launch_parameters_stand_behind_the_hash_and_can_be_read_back(bot: Bot, anna: Person) -> None:
    launch = anna.opens("open", await offer(bot, anna, "https://example.org/?picture=a"))
    parts = urlsplit(launch.address("ios", '{"bg_color": "#ffffff"}'))
    assert parts.query == "picture=a"
    assert parse_qs(parts.fragment, strict_parsing=True) == {
        "tgWebAppData": [launch.init_data],
        "tgWebAppVersion": [VERSION],
        "tgWebAppPlatform": ["ios"],
        "tgWebAppThemeParams": ['{"bg_color": "#ffffff"}'],
    }


APP = """<!doctype html><title>app</title><script src="{script}"></script><body><pre></pre><script>
const app = Telegram.WebApp;
const tell = () => document.querySelector("pre").textContent = JSON.stringify({{
    user: app.initDataUnsafe.user?.first_name, scheme: app.colorScheme, background: app.themeParams.bg_color,
    expanded: app.isExpanded, full: app.isFullscreen, top: app.contentSafeAreaInset.top, height: app.viewportStableHeight,
    inner: innerHeight, variable: getComputedStyle(document.documentElement).getPropertyValue("--tg-theme-bg-color") }});
for (const name of ["themeChanged", "viewportChanged", "fullscreenChanged", "contentSafeAreaChanged"]) app.onEvent(name, tell);
app.ready(); tell();
</script>"""


@pytest_asyncio.fixture
async def app_url(box: Sandbox) -> AsyncIterator[str]:
    """A Mini App that shows what it was told."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=APP.format(script=f"{box.url}/telegram-web-app.js"), content_type="text/html")

    served = web.Application()
    served.router.add_get("/", page)
    runner = web.AppRunner(served)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def test_the_panel_is_the_client_to_a_mini_app(
    box: Sandbox, bot: Bot, anna: Person, app_url: str, browser: Browser
) -> None:
    """It tells who opened it and in which colours, grows, fills the screen, and shuts when it is asked to."""
    await offer(bot, anna, app_url)
    async with opened(browser, f"{box.url}/#{anna.id}", "desktop") as page:
        await page.locator(".key").click()
        frame = page.frame_locator("#mini-app iframe")
        told = frame.locator("pre")

        async def told_now() -> dict[str, object]:
            values: dict[str, object] = json.loads(await told.inner_text())
            return values

        await expect(told).to_contain_text('"background":"#ffffff"')
        first = await told_now()
        assert (first["user"], first["scheme"], first["variable"]) == ("Anna", "light", "#ffffff")
        assert first["height"] == first["inner"]
        assert (first["expanded"], first["full"]) == (False, False)

        await frame.locator("body").evaluate("() => Telegram.WebApp.expand()")
        await expect(told).to_contain_text('"expanded":true')
        await page.emulate_media(color_scheme="dark")
        await expect(told).to_contain_text('"scheme":"dark"')
        await frame.locator("body").evaluate("() => Telegram.WebApp.requestFullscreen()")
        await expect(told).to_contain_text('"full":true')
        await expect(told).to_contain_text('"top":48')
        await expect(told).to_contain_text('"height":800')
        await frame.locator("body").evaluate("() => Telegram.WebApp.close()")
        await expect(page.locator("#mini-app iframe")).to_have_count(0)

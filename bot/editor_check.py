"""Whether people reach the mask editor: its page where its button leads, and Telegram's script where the page looks for it."""

import asyncio
import contextlib

import aiohttp

from bot.settings import MiniAppSettings, SettingsError, WebSettings

_LIMIT_S = 6.0


async def check_editor(settings: MiniAppSettings, web: WebSettings) -> str:
    """Say in one line how the editor fares. Raises: SettingsError with what to mend."""
    if settings.url is None:
        return "none, so its button hides and masks are drawn with the pencil; MINI_APP_URL makes one"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_LIMIT_S)) as session:
        fault, _ = await _fetched(session, settings.script)
        if fault:
            raise SettingsError(f"MINI_APP_SCRIPT: {settings.script} cannot be had ({fault}); mend the address")
        page = f"{settings.url.rstrip('/')}/"
        fault, body = await _fetched(session, page)
    if not fault and settings.script.encode() in body:
        return f"{page} shows the editor"
    place = f"{web.host}:{web.port}"
    if not await _listened_on(web):
        return f"{page} is not served yet: nobody listens on {place}; kandinsky-bot run does"
    raise SettingsError(
        f"MINI_APP_URL: {page} does not show the editor ({fault or 'another page is there'}); let your proxy pass it to {place}"
    )


async def _fetched(session: aiohttp.ClientSession, url: str) -> tuple[str, bytes]:
    """What is wrong with an address, if anything, and what is there."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            return ("" if response.status == 200 else f"status {response.status}"), await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return type(error).__name__, b""


async def _listened_on(web: WebSettings) -> bool:
    try:
        async with asyncio.timeout(_LIMIT_S):
            _, writer = await asyncio.open_connection(web.host, web.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True

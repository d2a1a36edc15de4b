"""Telegram on one machine: the Bot API, people, and a chat page on one port of the loopback."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from sandbox.api import BotApi
from sandbox.faults import Faults
from sandbox.ledger import Ledger
from sandbox.observer import Observer
from sandbox.person import Person
from sandbox.rest import Rest, guard
from sandbox.updates import UpdateQueue
from sandbox.webhook import Webhook
from sandbox.world import World

_BODY_LIMIT = 64 * 1024 * 1024


class Sandbox:
    """Runs in the event loop that enters it; `url` is what the bot takes for api.telegram.org."""

    def __init__(
        self,
        token: str = "42:TEST-sandbox",  # noqa: S107 - a token for the sandbox alone
        bot_username: str = "kandinsky_bot",
        port: int = 0,
        ledger_path: Path | str | None = None,
        bot_name: str = "Kandinsky",
        ledger_fsync: bool = False,
    ) -> None:
        self.token = token
        self.world = World(token, bot_username, bot_name)
        self.ledger = Ledger(Path(ledger_path) if ledger_path is not None else None, fsync=ledger_fsync)
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address of the Bot API and of the chat page."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def faults(self) -> Faults:
        """Switches that break things."""
        return self.world.faults

    @property
    def updates(self) -> UpdateQueue:
        """What waits for the bot; also replays old updates and makes the ids jump."""
        return self.world.updates

    @property
    def webhook(self) -> Webhook:
        """The bot's webhook, how patient Telegram is with it, and how it fares."""
        return self.world.webhook

    def person(self, name: str, language_code: str = "en", *, user_id: int | None = None, patience: float = 10.0) -> Person:
        """A new person with an empty private chat."""
        return Person(self.world, self.world.add_human(name, language_code, user_id), patience)

    @property
    def people(self) -> list[Person]:
        """Everybody, also those who were added on the page."""
        return [Person(self.world, human) for human in self.world.humans.values()]

    async def start(self) -> None:
        """Listen on 127.0.0.1; with port 0 the system chooses one."""
        app = web.Application(client_max_size=_BODY_LIMIT, middlewares=[guard])
        app.add_routes(BotApi(self.world, self.ledger).routes())
        app.add_routes(Rest(self.world).routes())
        app.add_routes(Observer(self.world, self.ledger).routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End every waiting request and stop listening."""
        self.world.close()
        await self.world.webhook.delete()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.ledger.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

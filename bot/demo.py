"""Try everything on one machine: the sandbox as Telegram, the bot and a worker as they always are.

The only module that knows the sandbox.
"""

import asyncio
import contextlib
import fcntl
import socket
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bot.settings import SettingsError, StorageSettings
from bot.supervise import ChildGivesUp, Supervisor, engine_children
from engine import catalog
from handlers.waiting import CancelButton
from sandbox.person import Person
from sandbox.server import Sandbox
from sandbox.shown import Shown
from storage.database import Database
from storage.schema import migrate

_LAST_PORT = 65535
_TOKEN = "424242:SANDBOX-token-that-opens-nothing-else"  # noqa: S105  the sandbox's own
_NAMES = {"en": "Anna", "ru": "Анна"}
_ANSWER_S = 60.0


def demo_storage(data: Path) -> StorageSettings:
    """Embedded storage in a folder of its own, whatever DATABASE_URL and its like say: a demo touches nothing real."""
    return StorageSettings(data_dir=data, database_url=None, broker_url=None, media_url=None)


def _lock(folder: Path) -> IO[bytes]:
    """Hold a folder for one demo at a time; the lock goes with the process."""
    file = (folder / "demo.lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise SettingsError(f"Another demo runs in {folder}. Stop it, or give this one a folder: --data DIR") from None
    return file


def _free_port() -> int:
    """A port that nobody listens on now; a child will in a moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def sandbox_environment(sandbox: Sandbox, storage: StorageSettings) -> dict[str, str]:
    """Settings of children that take the sandbox for Telegram, whatever the shell's own settings are."""
    web_port = _free_port()
    return {
        "MINI_APP_URL": f"http://127.0.0.1:{web_port}/editor",
        "MINI_APP_SCRIPT": f"{sandbox.url}/telegram-web-app.js",
        "WEB_HOST": "127.0.0.1",
        "WEB_PORT": str(web_port),
        "TELEGRAM_API": sandbox.url,
        "TELEGRAM_TOKEN": sandbox.token,
        "DATA_DIR": str(storage.folder),
        "DATABASE_URL": storage.database,
        "BROKER_URL": storage.broker,
        "MEDIA_URL": storage.media,
        "WEBHOOK_URL": "",
        "OPS_PORT": "",
    }


@dataclass
class Demo:
    """A chat in the browser, or played steps; see `kandinsky-bot demo --help`."""

    port: int
    language: str
    data: Path
    out: Path | None
    steps: list[tuple[str, str]] = field(default_factory=list)
    _acted: int = 0  # the person's last step, as a moment of the sandbox
    _owed: bool = False  # whether its answer is still awaited

    def __post_init__(self) -> None:
        try:
            self._photos = {path: Path(path).read_bytes() for kind, path in self.steps if kind == "photo"}
        except OSError as error:
            raise SettingsError(f"--photo: {error.filename}: {error.strerror}") from None

    async def run(self) -> int:
        """Run the demo; with steps, play them and end: 0, or 1 when an answer did not come in time."""
        storage = demo_storage(self.data)
        if not 0 <= self.port <= _LAST_PORT:
            raise SettingsError(f"--port: goes from 0 (any free one) to {_LAST_PORT}, not {self.port}")
        try:
            storage.folder.mkdir(parents=True, exist_ok=True)
            lock = _lock(storage.folder)
        except OSError as error:
            raise SettingsError(f"--data: {storage.folder} cannot be used: {error.strerror}. Give another folder.") from None
        await self._migrate(storage)
        sandbox = await self._open_sandbox()
        children = engine_children(catalog.DEFAULT_FAMILY, sandbox_environment(sandbox, storage))
        stop_s = 2.0 if self.steps else 10.0  # nothing is lost by insisting: SQL has everything
        supervisor = asyncio.create_task(Supervisor(children, storage, stop_s).run())
        try:
            person = sandbox.person(_NAMES[self.language], self.language)
            if self.steps:
                return await self._with(supervisor, self._play(person))
            print(f"Open the chat: {sandbox.url}/   (stop with Ctrl+C)", flush=True)
            print("The bot and its model load for some seconds more; what you write meanwhile waits for them.", flush=True)
            await supervisor
            return 0
        finally:
            supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError, ChildGivesUp):
                await supervisor
            await sandbox.stop()
            lock.close()

    async def _open_sandbox(self) -> Sandbox:
        sandbox = Sandbox(token=_TOKEN, port=0 if self.steps else self.port)
        try:
            await sandbox.start()
        except OSError as error:
            raise SettingsError(f"--port: {self.port} cannot be used ({error.strerror}). Try another, or 0 for any.") from None
        return sandbox

    async def _migrate(self, storage: StorageSettings) -> None:
        database = Database(storage.database)
        try:
            await migrate(database)
        finally:
            await database.close()

    async def _with(self, supervisor: "asyncio.Task[None]", play: Coroutine[Any, Any, int]) -> int:
        """Play while the children live; if they cannot, that is what the person hears."""
        playing = asyncio.create_task(play)
        await asyncio.wait({supervisor, playing}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await supervisor  # raises what stopped it
        return playing.result()

    async def _play(self, person: Person) -> int:
        code = 0
        try:
            for kind, value in self.steps:
                await self._step(person, kind, value)
            await self._answered(person)
        except AssertionError as error:
            print(f"No answer within {_ANSWER_S:.0f} s. {str(error).splitlines()[0]}", file=sys.stderr)
            code = 1
        self._save(person)
        return code

    async def _step(self, person: Person, kind: str, value: str) -> None:
        """Play one step as a person would: words once the last answer is there, a press once the button is."""
        if kind == "press":
            await person.until(lambda: self._offers(person, value), f"a button {value!r}", _ANSWER_S)
            self._acted = person.now
            answer = await (await person.presses(value)).answered(_ANSWER_S)
            self._owed = not answer.show_alert
            return
        await self._answered(person)
        self._acted, self._owed = person.now, True
        if kind == "say":
            await person.says(value)
        else:
            await person.sends_photo(self._photos[value])

    async def _answered(self, person: Person) -> None:
        if self._owed:
            await person.until(lambda: any(map(_final, person.history(self._acted))), "an answer", _ANSWER_S)
            self._owed = False

    def _offers(self, person: Person, label: str) -> bool:
        """Whether the button can be pressed now: on an answer to the last step, or anywhere once that is final."""
        fresh = person.history(self._acted)
        ids = {message.id for message in fresh}
        done = not self._owed or any(map(_final, fresh))
        return any(message.button(label, exact=False) for message in person.chat if done or message.id in ids)

    def _save(self, person: Person) -> None:
        print(person.transcript())
        if self.out is None:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "transcript.txt").write_text(person.transcript() + "\n", encoding="utf-8")
        pictures = [(m.photo, "jpg") if m.has_photo else (m.document, "png") for m in person.history() if _pictured(m)]
        for number, (data, suffix) in enumerate(dict.fromkeys(pictures), start=1):
            (self.out / f"{number:02d}.{suffix}").write_bytes(data)


def _pictured(message: Shown) -> bool:
    return message.has_photo or message.has_document


def _final(message: Shown) -> bool:
    """Whether a message ends a wait: anything but a status, which bears the cancel button or says that it stops."""
    datas = [str(button.get("callback_data")) for row in message.buttons for button in row]
    waiting = any(data.startswith(f"{CancelButton.__prefix__}:") for data in datas)
    news = message.text.startswith("⏳") or message.text.endswith("↑")  # it stops; it is ready, above
    return not (waiting or news)

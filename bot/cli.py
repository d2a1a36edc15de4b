"""The command line. Each command imports what it needs when it runs, so that `--help` and children start at once."""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from bot.cli_engine import add_commands
from bot.cli_weights import add_weights
from bot.redraw import add_redraw


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. What a person can mend is one line on standard error and code 2."""
    options = _parser().parse_args(arguments)
    from bot.hidden import known_secrets
    from bot.logs import hide, redact, redacted_traceback
    from bot.settings import SettingsError
    from bot.supervise import ChildGivesUp
    from bot.texts import TextsError
    from engine.errors import EngineError
    from engine.requests import RequestError
    from storage.errors import StorageError

    mendable = (SettingsError, TextsError, StorageError, RequestError, EngineError, ChildGivesUp)
    try:
        return int(options.run(options) or 0)
    except mendable as error:
        hide(known_secrets())
        print(redact(f"kandinsky-bot: {' '.join(str(error).split())}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # a fault of ours: say where, but no secret with it
        print(redacted_traceback(error), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kandinsky-bot", description="Kandinsky 3.1 in a Telegram chat.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="try the bot in a browser: no token, no GPU, no server")
    demo.add_argument("--port", type=int, default=8080, help="port of the chat page (0: any free one)")
    demo.add_argument("--lang", default="en", choices=["en", "ru"], help="language of the person in the chat")
    demo.add_argument("--out", type=Path, help="save every picture the bot sends, and the transcript, here")
    demo.add_argument("--data", type=Path, help="data folder (default: one for demos; with steps, a new one)")
    for step, shape, what in (
        ("say", "TEXT", "play: write this"),
        ("photo", "FILE", "play: send this photo"),
        ("press", "LABEL", "play: press the button with this label, emoji and case aside"),
    ):
        demo.add_argument(f"--{step}", action=_Step, metavar=shape, dest="steps", help=what)
    demo.set_defaults(run=_demo, steps=[])

    up = commands.add_parser("up", help="the bot and its worker on this machine, for a real token")
    up.set_defaults(run=_up)
    commands.add_parser("run", help="the bot process alone").set_defaults(run=_run)

    worker = commands.add_parser("worker", help="one render worker alone")
    worker.add_argument("--family", help="set of weights (default: WORKER_FAMILY, or kandinsky-nano)")
    worker.add_argument("--lanes", help="comma-separated (default: WORKER_LANES, or all that are here)")
    worker.add_argument("--device", help="cpu, cuda or cuda:N (default: WORKER_DEVICE, or cpu)")
    worker.set_defaults(run=_worker)

    add_commands(commands)
    add_weights(commands)
    add_redraw(commands)
    commands.add_parser("migrate", help="bring the database to this version").set_defaults(run=_migrate)
    commands.add_parser("doctor", help="check every setting against the real thing").set_defaults(run=_doctor)
    commands.add_parser("stats", help="jobs, queues, workers and times of the last day").set_defaults(run=_stats)
    return parser


class _Step(argparse.Action):
    """Collects --say, --photo and --press in the order given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        namespace.steps = [*namespace.steps, ((option_string or "").lstrip("-"), values)]


def _demo(options: argparse.Namespace) -> int:
    from bot.demo import Demo

    def play(data: Path) -> int:
        demo = Demo(port=options.port, language=options.lang, data=data, out=options.out, steps=options.steps)
        return _until_stopped(demo.run())

    if options.steps and not options.data:  # played steps need no past, and must not meet a demo that is open in a browser
        with tempfile.TemporaryDirectory(prefix="kandinsky-demo-") as folder:
            return play(Path(folder))
    return play(options.data or _data_folder() / "demo")


def _up(options: argparse.Namespace) -> int:
    from bot.logs import set_up_logs
    from bot.settings import (
        DrawingSettings,
        MiniAppSettings,
        OpsSettings,
        StorageSettings,
        TelegramSettings,
        WebhookSettings,
        WorkerSettings,
        read,
    )
    from bot.supervise import Supervisor, engine_children
    from bot.telegram import make_bot

    set_up_logs("up")
    make_bot(read(TelegramSettings))  # says what is wrong with the token before anything starts
    read(WebhookSettings)
    pencil = "" if read(MiniAppSettings).url else " MINI_APP_URL is not set: masks are drawn with Telegram's pencil."
    _migrate(options)
    family = read(DrawingSettings).family
    small = " It knows a small world only; the weights of kandinsky-3.1 are not here." if family == "kandinsky-nano" else ""
    children = engine_children(family, {})
    ops_port = read(OpsSettings).port
    for number, child in enumerate(children):  # two processes cannot answer on one port
        child.environment = {**child.environment, **({"OPS_PORT": str(ops_port + number)} if ops_port else {})}
    device = read(WorkerSettings).device
    where = _memory_plan() if device != "cpu" else f"{family} draws on this machine's CPU."
    print(f"{where}{small}{pencil} Stop with Ctrl+C.", flush=True)
    return _until_stopped(Supervisor(children, read(StorageSettings)).run())


def _memory_plan() -> str:
    """The plan by which the worker's GPU holds its networks, found in another process: this one stays without torch."""
    import subprocess

    look = "from bot.doctor import memory_line; print(memory_line() + '.')"
    command = [sys.executable, "-c", look]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (nothing of it comes from outside)
    return answer.stdout.strip() or f"What the GPU holds is not known: {answer.stderr.strip().splitlines()[-1:]}."


def _run(options: argparse.Namespace) -> int:
    gc.disable()
    from bot.app import serve
    from bot.logs import set_up_logs

    gc.freeze()  # what the imports made lives as long as the process: no collection has to walk through it
    gc.enable()

    set_up_logs("bot")
    return _until_stopped(serve())


def _worker(options: argparse.Namespace) -> int:
    from bot.settings import (
        JobSettings,
        LogSettings,
        OpsSettings,
        SettingsError,
        StorageSettings,
        WorkerSettings,
        read,
        setting_name,
    )
    from engine import catalog
    from engine.requests import RequestError
    from storage.database import Database
    from storage.media import MediaStore
    from storage.schema import check_schema

    for name in ("family", "lanes", "device"):
        if (given := getattr(options, name)) is not None:
            os.environ[setting_name(WorkerSettings, name)] = given  # for the child, too
    settings = read(WorkerSettings)
    try:
        family = catalog.family(settings.family)
    except RequestError as error:
        raise SettingsError(f"WORKER_FAMILY (--family): {error}") from None
    if not settings.lanes:
        os.environ[setting_name(WorkerSettings, "lanes")] = ",".join(catalog.lanes_here(family.name) or family.lanes)
        settings = read(WorkerSettings)
    unknown = [lane for lane in settings.lane_names if lane not in family.lanes]
    if unknown or not settings.lane_names:
        lane = ascii(unknown[0]) if unknown else "''"
        raise SettingsError(f"WORKER_LANES (--lanes): {family.name} has no lane {lane}; it has {', '.join(family.lanes)}")
    if not catalog.available(family.name):
        raise SettingsError(f"WORKER_FAMILY (--family): the weights of {family.name} are not here; {family.mend}")
    plans = [plan.name for plan in family.memory]
    if settings.memory is not None and settings.memory not in plans:
        raise SettingsError(f"WORKER_MEMORY: {family.name} has the plans {', '.join(plans)}, not {settings.memory!a}")
    for kind in (JobSettings, OpsSettings, LogSettings):
        read(kind)  # the child reads them too, but would say so only by dying
    storage = read(StorageSettings)
    MediaStore(storage.media)

    async def check() -> None:
        database = Database(storage.database)
        try:
            await check_schema(database)
        finally:
            await database.close()

    asyncio.run(check())
    import warnings

    from celery.exceptions import SecurityWarning

    from bot.tasks import app

    queues = ",".join(f"{settings.family}.{lane}" for lane in settings.lane_names)
    warnings.filterwarnings("ignore", category=SecurityWarning)  # who runs it as root in a container knows
    plain = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    app.start(["--quiet", "worker", "--pool", "prefork", "--concurrency", "1", "--queues", queues, *plain])
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from bot.settings import SettingsError, StorageSettings, read
    from storage.database import Database
    from storage.schema import migrate

    settings = read(StorageSettings)
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"DATA_DIR: {settings.folder} cannot be made: {error.strerror}") from None

    async def run() -> str:
        database = Database(settings.database)
        try:
            return await migrate(database)
        finally:
            await database.close()

    print(f"The database is at revision {asyncio.run(run())}.")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from bot.doctor import report

    return report()


def _stats(options: argparse.Namespace) -> int:
    from bot.settings import StorageSettings, read
    from bot.stats import gather, render
    from storage.database import Database
    from storage.schema import check_schema

    async def run() -> str:
        database = Database(read(StorageSettings).database)
        try:
            await check_schema(database)
            return render(await gather(database))
        finally:
            await database.close()

    print(asyncio.run(run()))
    return 0


def _data_folder() -> Path:
    from bot.settings import StorageSettings, read

    return read(StorageSettings).folder


def _until_stopped(work: Coroutine[Any, Any, int | None]) -> int:
    """Run until done, or until SIGTERM or Ctrl+C, which cancel it in order. Errors of one task come out as themselves."""
    import signal

    async def run() -> int:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            return await task or 0
        except asyncio.CancelledError:
            return 0
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())

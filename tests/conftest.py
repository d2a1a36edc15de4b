"""One running line for all scenario tests: each makes people of its own."""

import asyncio
import functools
import itertools
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.person import Person
from storage.database import Database
from storage.schema import migrate
from tests.line import Line, new_line
from tests.servers import TEMPLATE, Postgres, Rabbit, Redis, running
from tests.storage.reused import ReusedDatabase

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    """Sandbox, bot in this process, one worker process with the nano family."""
    async with new_line(tmp_path_factory.mktemp("line")) as line, line.bot_running(), line.children_running("worker"):
        yield line


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL with a migrated, empty template."""

    async def make(url: str) -> None:
        database = Database(url)
        await migrate(database)
        await database.close()

    with running(Postgres) as server:
        server.sql(f"CREATE DATABASE {TEMPLATE}")
        asyncio.run(make(server.url(TEMPLATE)))
        yield server


@pytest.fixture(scope="session")
def reused_database(postgres: Postgres) -> Iterator[ReusedDatabase]:
    reused = ReusedDatabase(postgres)
    yield reused
    reused.close()


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with running(Redis) as server:
        yield server


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    with running(Rabbit) as server:
        yield server


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """Address of an empty bucket in a private object store that speaks S3."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "moto-key-id", "AWS_SECRET_ACCESS_KEY": "moto-secret", "AWS_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem().mkdir("kandinsky")
        yield "s3://kandinsky/pictures"
        server.stop()


@pytest.fixture
def new_person(line: Line) -> Callable[..., Person]:
    """Make a person with a private chat; generous patience, since the machine may be busy."""

    def make(language: str = "en") -> Person:
        return line.sandbox.person(f"Person {next(_numbers)}", language, patience=60.0)

    return make


@pytest.fixture
def anna(new_person: Callable[..., Person]) -> Person:
    return new_person("en")


@pytest.fixture
def boris(new_person: Callable[..., Person]) -> Person:
    return new_person("ru")


@pytest.fixture(scope="session", autouse=True)
def one_set_of_certificates() -> Iterator[None]:
    """Every bot's session reads the authorities' certificates, in a twentieth of a second: here they are read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(autouse=True)
def no_errors_in_the_log(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """A scenario leaves no error in the bot's log, unless it says that it means to."""
    yield
    if "line" in request.fixturenames and not request.node.get_closest_marker("errors_expected"):
        bad = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert not bad, [record.getMessage() for record in bad]


_WAITING = (  # files whose tests take longest, and mostly wait for processes that they start
    "test_machine.py", "test_kills.py", "test_drain.py", "test_production.py", "test_broker.py", "test_cli.py", "test_browser.py",
    "test_lora.py", "test_secrets.py", "test_editor.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenarios share one loop, the one that the session's line runs on, and one process: so there is one line.

    They come first, having most to do. Files that wait come early, between files that compute: at the end nobody would compute
    beside them.
    """
    scenarios: list[pytest.Item] = []
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        on_the_line = "line" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("line" if on_the_line else item.nodeid.partition("::")[0]))
        if on_the_line:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            scenarios.append(item)
        else:
            files.setdefault(item.path, []).append(item)
    waiting = [files.pop(path) for path in list(files) if path.name in _WAITING]
    computing = sorted(files.values(), key=len, reverse=True)
    both = itertools.zip_longest(waiting, computing, fillvalue=())
    items[:] = [*scenarios, *itertools.chain.from_iterable(itertools.chain.from_iterable(both))]

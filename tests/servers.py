"""Real servers for tests: each private to the test run, on a free port, in a folder of its own, gone with the run."""

import contextlib
import ctypes
import getpass
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

TEMPLATE = "migrated"  # the database that tests copy
S = TypeVar("S", bound="Server")

_READY_S = 60.0
_DEBIAN = ("postgresql/*/bin", "rabbitmq/bin")  # below /usr/lib: programs that are not in PATH, or only as wrappers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NotInstalled(Exception):
    """The server's program is not on this machine."""


@dataclass
class Server:
    """A server process that may be killed and started again on the same port and data."""

    name: ClassVar[str]
    program: ClassVar[str]
    ready: ClassVar[str]  # what it prints once it serves
    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="kandinsky-")))
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self.prepare()

    def prepare(self) -> None:
        """Make what the server needs before its first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def start(self) -> None:
        """Start and return once it serves; a data folder that a killed process still holds is tried again."""
        for _ in range(20):
            said = self._try()
            if said is None:
                return
        raise AssertionError(f"{self.name} does not start:\n{said}")

    def _try(self) -> str | None:
        serves = threading.Event()
        self.process = subprocess.Popen(
            self.command(),
            env={**os.environ, **self.environment()},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_tests,
        )
        said: list[str] = []

        def read(process: subprocess.Popen[str]) -> None:
            assert process.stdout
            for line in process.stdout:
                if not serves.is_set():
                    said.append(line)
                    if self.ready in line:
                        serves.set()
            serves.set()  # it ended

        threading.Thread(target=read, args=(self.process,), daemon=True).start()
        serves.wait(_READY_S)
        if said and self.ready in said[-1]:
            return None
        self.kill()
        return "".join(said[-20:])

    def kill(self) -> None:
        """`kill -9` of the whole group."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """Redis without persistence: whatever it knew is gone when it dies."""

    name = "redis"
    program = "redis-server"
    ready = "Ready to accept connections"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        listen = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [_program(self.program), *listen, "--save", "", "--appendonly", "no"]


class Postgres(Server):
    """PostgreSQL with one template database; `fresh` copies it."""

    name = "postgresql"
    program = "postgres"
    ready = "database system is ready to accept connections"

    def prepare(self) -> None:
        self._numbers = itertools.count(1)
        self._run("initdb", "--pgdata", str(self.data), "--auth", "trust", "--username", "kandinsky", "--no-sync")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+asyncpg://kandinsky@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        listen = ["-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1", "--max_connections=200"]
        quick = ["--fsync=off", "--full_page_writes=off", "--autovacuum=off"]  # a killed process loses nothing
        return [*self._as(), _program(self.program), "-D", str(self.data), *listen, *quick]

    def fresh(self, template: str) -> str:
        """Make a new database as a copy of another; return its name."""
        name = f"{template}_{next(self._numbers)}"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return name

    def drop(self, name: str) -> None:
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def sql(self, statement: str) -> None:
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "kandinsky", "-d", "postgres"]
        self._run("psql", "-q", "-v", "ON_ERROR_STOP=1", *where, "-c", statement)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as(), _program(program), *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"{program}: {done.stderr}")

    def _as(self) -> list[str]:
        """PostgreSQL refuses root; its own user runs it then."""
        if os.getuid():
            return []
        shutil.chown(self.folder, "postgres")
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


class Rabbit(Server):
    """RabbitMQ as one node that knows no other."""

    name = "rabbitmq"
    program = "rabbitmq-server"
    ready = "Server startup complete"

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def command(self) -> list[str]:
        return [_program(self.program)]

    def prepare(self) -> None:
        """Start Erlang's name server as a child of ours: the one that Erlang starts by itself outlives everybody."""
        self._names, self._distribution = str(free_port()), str(free_port())
        self._name_server = subprocess.Popen([_program("epmd"), "-port", self._names], preexec_fn=_end_with_tests)
        (self.folder / "enabled_plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text("log.console = true\nlog.console.level = info\nlog.file = false\n")

    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.folder),
            "LOGNAME": getpass.getuser(),
            "ERL_EPMD_PORT": self._names,
            "RABBITMQ_DIST_PORT": self._distribution,
            "RABBITMQ_NODENAME": f"kandinsky{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",  # no turning while idle
        }

    def stop(self) -> None:
        super().stop()
        self._name_server.kill()
        self._name_server.wait()


def _program(name: str) -> str:
    found = [str(path) for folder in _DEBIAN for path in sorted(Path("/usr/lib").glob(f"{folder}/{name}"))]
    where = found[-1] if found else shutil.which(name)
    if where is None:
        raise NotInstalled(name)
    return where


def _end_with_tests() -> None:
    """In the server: end with the test run, however that ends."""
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextlib.contextmanager
def running(kind: type[S]) -> Iterator[S]:
    """Run a private server; where it is not installed, skip, except in CI, which must have everything."""
    require(kind)
    server = kind()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def require(kind: type[Server]) -> None:
    """Skip the test where this server is not installed; in CI that is a failure."""
    try:
        _program(kind.program)
    except NotInstalled:
        if os.environ.get("CI"):
            pytest.fail(f"{kind.name} is not installed")
        pytest.skip(f"{kind.name} is not installed here; `make test` as root installs it")

"""PostgreSQL's addresses as libpq takes them."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from storage.address import for_asyncpg
from storage.database import Database
from storage.errors import NoDatabase
from storage.schema import check_schema
from tests.servers import TEMPLATE, Postgres

HERE = "postgresql+asyncpg://me:pw@db:5432/k"
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ("", {}),
        ("?sslmode=require", {"dsn": "postgresql://?sslmode=require"}),
        ("?ssl=require", {"dsn": "postgresql://?sslmode=require"}),
        ("?ssl=true", {"dsn": "postgresql://?sslmode=require"}),
        ("?sslmode=verify-full&sslrootcert=system", {"ssl": True}),
        ("?sslmode=disable&channel_binding=prefer&gssencmode=disable", {"dsn": "postgresql://?sslmode=disable"}),
        ("?sslmode=", {}),
        ("?connect_timeout=3&command_timeout=1.5", {"timeout": 3.0, "command_timeout": 1.5}),
        ("?connect_timeout=0", {"timeout": None}),
        ("?prepared_statement_cache_size=0", {"prepared_statement_cache_size": 0}),
        ("?application_name=my+bot", {"dsn": "postgresql://?application_name=my+bot"}),
    ],
)
def test_what_libpq_understands_is_said_to_asyncpg(written: str, arguments: dict[str, object]) -> None:
    url, found = for_asyncpg(make_url(HERE + written))
    assert url.render_as_string(hide_password=False) == HERE
    assert found == arguments


def test_files_are_handed_on(tmp_path: Path) -> None:
    (tmp_path / "a b.pem").write_text("")
    _, found = for_asyncpg(make_url(f"{HERE}?sslmode=verify-ca&sslrootcert={tmp_path}/a%20b.pem"))
    assert str(found["dsn"]).endswith("a+b.pem")


@pytest.mark.parametrize("host", ["?host=/var/run/postgresql", "?host=one:5432&host=two:5433", "?host=db&port=6432&user=me"])
def test_hosts_are_sqlalchemys_to_read(host: str) -> None:
    written = make_url(f"postgresql+asyncpg:///k{host}")
    assert for_asyncpg(written) == (written, {})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("sslmode=maybe", "sslmode=maybe is none of disable, allow, prefer, require, verify-ca, verify-full"),
        ("sslrootcert=/no/such.pem", "sslrootcert=/no/such.pem is no file on this machine"),
        ("channel_binding=require", "channel_binding=require is nothing that asyncpg can do; leave it out"),
        ("pgbouncer=true", "pgbouncer=true is nothing that asyncpg can do; leave it out"),
        ("connect_timeout=soon", "connect_timeout=soon is no number"),
    ],
)
def test_what_cannot_be_said_is_one_sentence(written: str, said: str) -> None:
    with pytest.raises(NoDatabase) as error:
        Database(f"{HERE}?{written}")
    assert str(error.value) == f"DATABASE_URL: {said}"


@pytest.mark.parametrize(
    "words", ["sslmode=disable", "sslmode=prefer", "application_name=kandinsky", "connect_timeout=5&options=-c%20work_mem%3D8MB"]
)
async def test_a_server_is_reached_with_libpqs_words(postgres: Postgres, words: str) -> None:
    database = Database(f"{postgres.url(TEMPLATE)}?{words}")
    async with database.read() as session:
        shown = await session.execute(text("SELECT current_setting('application_name'), current_setting('work_mem')"))
    await database.close()
    assert shown.one() == ("kandinsky" if "name" in words else "", "8MB" if "work_mem" in words else "4MB")


async def test_a_server_is_reached_over_its_socket(postgres: Postgres) -> None:
    database = Database(f"postgresql+asyncpg://kandinsky@/{TEMPLATE}?host={postgres.folder}&port={postgres.port}")
    await check_schema(database)
    await database.close()


@pytest.mark.parametrize(("mode", "asks"), [("disable", False), ("require", True)])
async def test_a_connection_is_protected_as_asked(mode: str, asks: bool) -> None:
    heard = asyncio.Queue[bytes]()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.readexactly(8))
        writer.write(b"N")  # no TLS here
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        database = Database(f"postgresql+asyncpg://me@127.0.0.1:{port}/k?sslmode={mode}")
        with pytest.raises(NoDatabase) as error:
            await check_schema(database)
        await database.close()
        assert ((await heard.get()) == _SSL_REQUEST) is asks
    assert "\n" not in str(error.value)

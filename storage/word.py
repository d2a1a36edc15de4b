"""Word from whoever stores a result to whoever delivers it: PostgreSQL carries it, and it may be lost.

With SQLite nobody hears anything. Nothing depends on it but how soon a result is found.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from storage.database import Database

log = logging.getLogger(__name__)

_CHANNEL = "kandinsky_owed"
_AGAIN_S = 2.0


class send_word(GenericFunction[str]):
    """As a column of a statement: who listens hears of it once the transaction is committed."""

    type = String()
    inherit_cache = True


@compiles(send_word, "sqlite")
def _silent(element: send_word, compiler: SQLCompiler, **kw: Any) -> str:
    return "NULL"


@compiles(send_word, "postgresql")
def _notify(element: send_word, compiler: SQLCompiler, **kw: Any) -> str:
    return f"pg_notify('{_CHANNEL}', '')"


async def listen(database: Database, heard: Callable[[], None]) -> None:
    """Call `heard` at every word until cancelled, on a connection of its own that is made anew when it is lost."""
    if database.engine.dialect.name != "postgresql":
        return
    while True:
        try:
            await _listen_once(database, heard)
        except Exception as error:
            log.warning("no word from workers: %s; results are looked for instead", type(error).__name__)
        await asyncio.sleep(_AGAIN_S)


async def _listen_once(database: Database, heard: Callable[[], None]) -> None:
    ended = asyncio.Event()
    async with database.engine.connect() as connection:
        listening: Any = (await connection.get_raw_connection()).driver_connection  # asyncpg's own
        try:
            listening.add_termination_listener(lambda _: ended.set())
            await listening.add_listener(_CHANNEL, lambda *_: heard())
            await ended.wait()
        finally:
            await connection.invalidate()  # it must not go back to the others with its ears open

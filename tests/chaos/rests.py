"""Every rest that bots wrote down, and when: the table `pause` keeps only the longest of a chat."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text

from storage.database import Database, db_now


class Rest(NamedTuple):
    """A chat (0: all of them) is sent nothing until then; both times in seconds since 1970."""

    chat_id: int
    until: float
    written_at: float


_TABLE = "CREATE TABLE chaos_rest (chat_id BIGINT, until DOUBLE PRECISION, written_at DOUBLE PRECISION)"
_NOTE = "INSERT INTO chaos_rest VALUES (NEW.chat_id, NEW.until, {now})"
_TRIGGERS = {
    "sqlite": [f"CREATE TRIGGER chaos_rest_{event} AFTER {event} ON pause BEGIN {_NOTE}; END" for event in ("INSERT", "UPDATE")],
    "postgresql": [
        f"CREATE FUNCTION note_rest() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_NOTE}; RETURN NULL; END $$",
        "CREATE TRIGGER chaos_rest AFTER INSERT OR UPDATE ON pause FOR EACH ROW EXECUTE FUNCTION note_rest()",
    ],
}


async def note_rests(database: Database) -> None:
    """From now on keep a note of every rest that is written."""
    dialect = database.engine.dialect
    now = str(db_now().compile(dialect=dialect))
    async with database.engine.begin() as connection:
        for statement in [_TABLE, *_TRIGGERS[dialect.name]]:
            await connection.execute(text(statement.format(now=now)))


def known_until(chat_id: int | None, at: float, rests: Sequence[Rest]) -> float:
    """Until when a chat rested by what was written down at that moment; 0 if by nothing."""
    return max((rest.until for rest in rests if rest.chat_id in (chat_id, 0) and rest.written_at <= at), default=0.0)

"""PostgreSQL's addresses as everybody writes them (libpq's words), said to asyncpg, which has others for some things."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import URL

from storage.errors import NoDatabase

_SAME = {"host", "port", "user", "password", "passfile", "service", "servicefile", "target_session_attrs", "krbsrvname", "gsslib"}
_NUMBERS: Mapping[str, tuple[str, type[int] | type[float]]] = {
    "connect_timeout": ("timeout", float),
    "timeout": ("timeout", float),
    "command_timeout": ("command_timeout", float),
    "statement_cache_size": ("statement_cache_size", int),
    "prepared_statement_cache_size": ("prepared_statement_cache_size", int),
}
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# asyncpg knows these in an address of its own alone, not as arguments
_IN_ADDRESS = {
    *("sslmode", *_FILES, "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    *("dbname", "application_name", "options"),
}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_AS_IT_IS = {  # values that ask for what is so anyway
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "client_encoding": ("utf8", "utf-8", "auto"),
    "sslsni": ("1",),
}


def for_asyncpg(url: URL) -> tuple[URL, dict[str, Any]]:
    """Take what SQLAlchemy cannot hand on out of an address; return it and asyncpg's arguments for the rest.

    Raises: NoDatabase for a word that asyncpg has nothing for, since to leave it out could mean to connect unprotected.
    """
    asked = {word: value if isinstance(value, str) else value[-1] for word, value in url.query.items() if word != "host"}
    if "ssl" in asked:  # asyncpg's own word, and JDBC's
        ssl = asked.pop("ssl")
        asked["sslmode"] = {"true": "require", "false": "disable"}.get(ssl, ssl)
    arguments: dict[str, Any] = {}
    in_address: dict[str, str] = {}
    for word, value in asked.items():
        if not value or value.lower() in _AS_IT_IS.get(word, ()):
            continue
        if word in _NUMBERS:
            name, kind = _NUMBERS[word]
            arguments[name] = _number(word, value, kind)
        elif word in _IN_ADDRESS:
            in_address[word] = value
        elif word not in _SAME:
            raise NoDatabase(f"DATABASE_URL: {word}={value:.20} is nothing that asyncpg can do; leave it out")
    _check_ssl(in_address)
    if in_address.get("sslrootcert") == "system":
        arguments["ssl"] = True  # the machine's certificates, and the host's name
        in_address = {word: value for word, value in in_address.items() if word not in ("sslmode", "sslrootcert")}
    if in_address:
        arguments["dsn"] = f"postgresql://?{urlencode(in_address)}"
    return url.set(query={word: value for word, value in url.query.items() if word in _SAME}), arguments


def _number(word: str, value: str, kind: type[int] | type[float]) -> float | None:
    try:
        number = kind(value)
    except ValueError:
        raise NoDatabase(f"DATABASE_URL: {word}={value:.20} is no number") from None
    return number or (None if kind is float else 0)  # to libpq, 0 seconds are no limit


def _check_ssl(asked: Mapping[str, str]) -> None:
    mode = asked.get("sslmode")
    if mode is not None and mode not in _SSL_MODES:
        raise NoDatabase(f"DATABASE_URL: sslmode={mode:.20} is none of {', '.join(_SSL_MODES)}")
    for word in _FILES:
        path = asked.get(word)
        if path is not None and path != "system" and not Path(path).is_file():
            raise NoDatabase(f"DATABASE_URL: {word}={path} is no file on this machine")

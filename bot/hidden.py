"""What no log may show: every secret among the settings."""

import re
from urllib.parse import unquote

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from bot.settings import found_in


class _Secrets(BaseSettings):
    """Everything secret as it was written, be it right or wrong; the last ones are read by s3fs, not by us."""

    model_config = found_in()
    telegram_token: str | None = None
    webhook_secret: str | None = None
    database_url: str | None = None
    broker_url: str | None = None
    media_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    fsspec_s3_key: str | None = None
    fsspec_s3_secret: str | None = None


def known_secrets() -> frozenset[str]:
    """Every secret value of this process's settings; never fails, since a wrong setting must not be shown either."""
    try:
        written = {name: value for name, value in _Secrets().model_dump().items() if value}
    except (ValidationError, UnicodeDecodeError, OSError):
        return frozenset()
    found = {value for name, value in written.items() if not name.endswith("_url")}
    found |= {part for value in [written.get("telegram_token", "")] for part in value.split(":")[1:]}
    for name, value in written.items():
        if name.endswith("_url"):
            found |= _secrets_of_url(value)
    return frozenset(found)


def _secrets_of_url(url: str) -> set[str]:
    """Whatever of an address may be a password, also where the address is malformed."""
    _, _, rest = url.partition("://")
    user, _, password = rest.rpartition("@")[0].partition(":")
    asked = re.findall(r"[?&](?:\w*password|\w*secret\w*|\w*key\w*|\w*token)=([^&]+)", url, re.IGNORECASE)
    parts = {password, *asked} | ({user} if url.startswith("s3:") else set())
    return {form for part in parts if part for form in (part, unquote(part))}

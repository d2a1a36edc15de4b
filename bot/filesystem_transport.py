"""Celery's folder-as-a-broker, made safe: a message appears whole or not at all.

The stock channel writes a message in place; a worker that looks between create and write reads an empty file and dies.
It also keeps exchange tables in files with the same flaw: here every queue has one direct exchange of its own name.
"""

import os
import time
import uuid
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import bytes_to_str, str_to_bytes
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    def get_table(self, exchange: str) -> list[Any]:
        return [filesystem.exchange_queue_t(exchange, "", exchange)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Nothing to remember: see `get_table`."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        # 20 digits sort as numbers; the stock name has milliseconds, so messages of one of them come out of order
        name = f"{time.monotonic_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        path = os.path.join(self.data_folder_out, name)
        with open(f"{path}.part", "wb") as file:
            file.write(str_to_bytes(dumps(payload)))
        os.replace(f"{path}.part", path)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        suffix = f".{queue}.msg"
        for name in sorted(os.listdir(self.data_folder_in)):
            if not name.endswith(suffix) or name.partition(".")[2] != suffix[1:]:
                continue
            path = os.path.join(self.data_folder_in, name)
            taken = f"{path}.{os.getpid()}.taken"
            try:
                os.rename(path, taken)  # only one of several workers wins
            except FileNotFoundError:
                continue
            with open(taken, "rb") as file:
                payload = file.read()
            os.remove(taken)
            return loads(bytes_to_str(payload))
        raise Empty


class Transport(filesystem.Transport):
    Channel = Channel


def register() -> None:
    """Make `filesystem://` mean this transport."""
    TRANSPORT_ALIASES["filesystem"] = "bot.filesystem_transport:Transport"

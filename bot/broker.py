"""The one block of Celery settings, and the bell."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

from bot import filesystem_transport, metrics, redis_transport
from bot.settings import SettingsError, StorageSettings

log = logging.getLogger(__name__)

_PUBLISH_LIMIT_S = 3.0
_SILENCE_S = 5  # of a broker, before it counts as dead


def make_celery(storage: StorageSettings) -> Celery:
    """Configure Celery as a doorbell: its messages carry no work, and may be lost or repeated."""
    app = Celery("kandinsky", broker=storage.broker, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,  # a crash is counted by the sweep; here it would loop for ever
        task_default_exchange_type="direct",
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_pool_start_method="spawn",  # a GPU does not survive a fork
        worker_proc_alive_timeout=60,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(storage),
    )
    return app


def _transport_options(storage: StorageSettings) -> dict[str, object]:
    if storage.broker.startswith("filesystem:"):
        filesystem_transport.register()
        folder = str(storage.bells)
        try:
            storage.bells.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"DATA_DIR: {storage.bells} cannot be made: {error.strerror}") from None
        return {"data_folder_in": folder, "data_folder_out": folder, "polling_interval": 0.03}
    if storage.broker.startswith("redis"):
        redis_transport.register()
        return {
            "visibility_timeout": 3600,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": _SILENCE_S,
            "socket_connect_timeout": _SILENCE_S,
        }
    return {
        "confirm_publish": True,  # else what goes to a broker that dies is lost without an error
        "connect_timeout": _SILENCE_S,
        "read_timeout": _SILENCE_S,
        "write_timeout": _SILENCE_S,
    }


class Bell:
    """Ring a queue's bell from asyncio: publishing blocks, so one thread does it, with a time limit.

    A bell that cannot be rung is logged and forgotten; the sweep rings again.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bell")

    async def ring(self, queue: str, times: int = 1) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PUBLISH_LIMIT_S):
                for _ in range(times):
                    await loop.run_in_executor(self._thread, self._publish, queue)
            metrics.bell(queue, "rung", times)
        except Exception as error:
            metrics.bell(queue, "failed")
            log.warning("BROKER_URL: bell of %s not rung: %s", queue, type(error).__name__)

    def _publish(self, queue: str) -> None:
        self._app.send_task("render", queue=queue, retry=False, ignore_result=True)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

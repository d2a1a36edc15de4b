"""The Celery app as workers import it: one task, and what parent and child do around it."""

import asyncio
import logging
import os
import sys
import threading
from typing import Any, Literal

from billiard.pool import RUN
from celery.concurrency.prefork import TaskPool
from celery.signals import (
    setup_logging,
    task_failure,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from bot.broker import Bell, make_celery
from bot.jobs import Jobs
from bot.logs import set_up_logs
from bot.settings import JobSettings, OpsSettings, StorageSettings, WorkerSettings, process_name, read
from bot.worker import CANNOT_LOAD, RenderChild
from storage.database import Database
from storage.domain import WorkerState
from storage.repositories.workers import WorkerRepository

log = logging.getLogger(__name__)

storage = read(StorageSettings)
app = make_celery(storage)
_child: list[RenderChild] = []  # one per process, made after it was spawned
_stopping = threading.Event()
_SIGNAL_S = 0.5  # how much later than its child a parent may hear of a signal to both


@app.task(name="render")  # type: ignore[untyped-decorator]
def render() -> None:
    _child[0].render()


@setup_logging.connect  # type: ignore[untyped-decorator]
def _logs(**_: Any) -> None:
    set_up_logs("worker")


@worker_init.connect  # type: ignore[untyped-decorator]
def _clean_up_after_namesake(**_: Any) -> None:
    """A restarted container has the same host name and process id: what its last life left is nobody's.

    A worker that stops in order leaves nothing, so a job found here may be what killed it, and is counted.
    """
    asyncio.run(_in_parent(lost="crashed", gone=True))


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _start_child(**_: Any) -> None:
    child = RenderChild(storage, read(JobSettings), read(WorkerSettings), Bell(app), read(OpsSettings))
    child.start()
    _child.append(child)


@task_failure.connect  # type: ignore[untyped-decorator]
def _child_lost(exception: BaseException | None = None, **_: Any) -> None:
    """In the parent: its child died with a job in hand; give the job back at once."""
    if _child:
        return  # the child itself has seen an ordinary exception, and dealt with it
    log.warning("render child failed: %s", type(exception).__name__)
    asyncio.run(_in_parent(lost="crashed"))


@worker_ready.connect  # type: ignore[untyped-decorator]
def _watch_child(sender: Any, **_: Any) -> None:
    """With a broker that is polled (the embedded one), begin anew when the child dies.

    There parent and child share one locked pipe: a child that is killed while it waits for work takes the lock along,
    and no later child ever gets a task. Celery's event-driven pool gives each child a pipe of its own.
    """
    pool = sender.pool._pool
    if isinstance(pool, TaskPool.BlockingPool):
        pool.on_process_down = lambda child: _begin_anew(child.exitcode) if pool._state == RUN else None


def _begin_anew(exitcode: int) -> None:
    if exitcode == CANNOT_LOAD:
        os._exit(2)  # the child has said why; another try would end the same way
    if _stopping.wait(_SIGNAL_S):
        return  # whoever stopped this worker signalled its child too
    log.warning("render child ended with code %d; the worker begins anew", exitcode)
    try:
        asyncio.run(_in_parent(lost="crashed", state=WorkerState.LOADING))
    except Exception as error:
        log.error("its job was not given back: %s; the sweep will", type(error).__name__)
    settings = read(WorkerSettings)
    arguments = ["--family", settings.family, "--lanes", settings.lanes, "--device", settings.device]
    os.execv(sys.executable, [sys.executable, "-P", "-m", "bot.cli", "worker", *arguments])  # noqa: S606


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _draining(**_: Any) -> None:
    if _stopping.is_set():
        return  # a second signal while the first is being dealt with
    _stopping.set()
    try:
        asyncio.run(_in_parent(state=WorkerState.DRAINING))
    except Exception as error:  # the child then goes on to the end of what it draws
        log.error("draining not written: %s", type(error).__name__)


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _gone(**_: Any) -> None:
    try:
        asyncio.run(_in_parent(lost="stopped", gone=True))
    except Exception as error:
        log.warning("not signed off: %s; the sweep will see it", type(error).__name__)


async def _in_parent(
    *, lost: Literal["crashed", "stopped"] | None = None, gone: bool = False, state: WorkerState | None = None
) -> None:
    """Settle in SQL what became of this worker: its job given back, its row changed or removed."""
    database, me = Database(storage.database), process_name()
    bell = Bell(app)
    try:
        if lost:
            await Jobs(database, read(JobSettings), bell.ring).release(me, f"worker {lost}", crashed=lost == "crashed")
        async with database.begin() as session:
            if state:
                await WorkerRepository(session).set_state(me, state)
            if gone:
                await WorkerRepository(session).gone(me)
    finally:
        bell.close()
        await database.close()

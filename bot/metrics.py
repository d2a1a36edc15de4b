"""What a process counts, for Prometheus, and when each of its loops last moved, for its health.

Every function is one call that cannot fail its caller: a broken metric never blocks a job.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from storage.repositories.stats import InboxLoad, QueueLoad, WorkerSeen

log = logging.getLogger(__name__)
P = ParamSpec("P")

REGISTRY = CollectorRegistry(auto_describe=True)
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_loops: dict[str, float] = {}  # loop -> when it last moved, on the monotonic clock


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"kandinsky_{name}", what, labels, registry=REGISTRY)


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    return Gauge(f"kandinsky_{name}", what, labels, registry=REGISTRY)


_jobs = _counter("jobs", "Jobs that came into a state, and why", "state", "why")
_waited = Histogram("kandinsky_job_waited_seconds", "From accepted to claimed", ["queue"], buckets=_SECONDS, registry=REGISTRY)
_drawn = Histogram("kandinsky_job_drawn_seconds", "From claimed to stored", ["queue"], buckets=_SECONDS, registry=REGISTRY)
_calls = _counter("deliveries", "Calls to Telegram by what became of them", "call", "fate")
_too_many = _counter("too_many_requests", "Calls that Telegram answered with 429")
_webhook = _counter("webhook_requests", "Requests to the webhook by status", "status")
_mini_app = _counter("mini_app_requests", "Requests of the mask editor for data, by status", "method", "status")
_updates = _counter("updates", "Updates by what became of them", "end")
_floods = _counter("floods", "Times that updates of a flooding chat were left out")
_bells = _counter("bells", "Bells of queues", "queue", "end")
_sweeps = _counter("sweep_actions", "What the sweep did", "action")
_queue = _gauge("queue_jobs", "Waiting jobs of a queue (of all bots on this database)", "queue")
_queue_age = _gauge("queue_oldest_seconds", "How long the oldest waiting job of a queue has waited", "queue")
_workers = _gauge("workers", "Workers seen lately, by state", "family", "state")
_inbox = _gauge("inbox_updates", "Updates in the inbox that wait, or were set aside", "state")
_inbox_age = _gauge("inbox_oldest_seconds", "How long the oldest waiting update has waited")


def _harmless(function: Callable[P, None]) -> Callable[P, None]:
    @wraps(function)
    def safe(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:
            log.warning("metric %s: %s", function.__name__, type(error).__name__)

    return safe


@_harmless
def job(state: str, why: str = "") -> None:
    """A job came into a state."""
    _jobs.labels(state, why).inc()


@_harmless
def waited(queue: str, seconds: float) -> None:
    _waited.labels(queue).observe(max(0.0, seconds))


@_harmless
def drawn(queue: str, seconds: float) -> None:
    _drawn.labels(queue).observe(max(0.0, seconds))


@_harmless
def telegram_call(call: str, fate: str, too_many: bool) -> None:
    _calls.labels(call.strip("_"), fate.lower()).inc()
    if too_many:
        _too_many.inc()


@_harmless
def webhook(status: int) -> None:
    _webhook.labels(str(status)).inc()


@_harmless
def mini_app(method: str, status: int) -> None:
    _mini_app.labels(method, str(status)).inc()


@_harmless
def update(end: str) -> None:
    """An update was done, retried or set aside as poison."""
    _updates.labels(end).inc()


@_harmless
def flooded() -> None:
    _floods.inc()


@_harmless
def bell(queue: str, end: str, times: int = 1) -> None:
    """A bell was rung, or could not be."""
    _bells.labels(queue, end).inc(times)


@_harmless
def swept(action: str, times: int = 1) -> None:
    _sweeps.labels(action).inc(times)


@_harmless
def in_sql(queues: Sequence[QueueLoad], workers: Sequence[WorkerSeen], inbox: InboxLoad) -> None:
    """What SQL says now; a queue or worker that is gone goes from the figures, too."""
    for gauge in (_queue, _queue_age, _workers):
        gauge.clear()
    for load in queues:
        _queue.labels(load.queue).set(load.waiting)
        _queue_age.labels(load.queue).set(load.oldest_s)
    for worker in workers:
        _workers.labels(worker.family, worker.state).inc()
    _inbox.labels("waiting").set(inbox.waiting)
    _inbox.labels("poison").set(inbox.poison)
    _inbox_age.set(inbox.oldest_s)


def moved(loop: str) -> None:
    """A loop of this process has just come round."""
    _loops[loop] = time.monotonic()


def ended(loop: str) -> None:
    """A loop is no longer this process's to turn."""
    _loops.pop(loop, None)


def stuck(limit_s: float) -> list[str]:
    """One sentence for each loop that has not come round for too long."""
    now = time.monotonic()
    return [f"{loop} has not moved for {now - at:.0f} s" for loop, at in sorted(_loops.items()) if now - at > limit_s]

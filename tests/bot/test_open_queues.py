"""A list of what waits is drawn anew when something of it has moved on, now and then, and not for ever."""

from dataclasses import replace

from bot.open_queues import OpenQueues
from bot.said import Said
from storage.domain import Job, JobState
from storage.post import Notice, SendState
from tests.bot.wishes import job_of

RUNNING = JobState.RUNNING
NOTICE = Notice(1, "n", 42, 5, 77, "queue.menu", {}, SendState.SENT, 0, None, None, None, None)
MESSAGE = 10


def listing(*jobs: Job) -> Said:
    return Said("a list", about=frozenset((each.id, each.state) for each in jobs))


def opened(*jobs: Job) -> tuple[OpenQueues, list[float]]:
    now = [100.0]
    queues = OpenQueues(lambda: now[0])
    queues.shown(NOTICE, listing(*jobs), MESSAGE)
    now[0] += 10
    return queues, now


def test_a_list_is_stale_when_a_job_of_it_ends_or_begins() -> None:
    queues, _ = opened(job_of(1), job_of(2))
    assert list(queues.stale([job_of(1), job_of(2), job_of(3)])) == []
    assert [queue.message_id for queue in queues.stale([job_of(2)])] == [MESSAGE]
    assert [queue.message_id for queue in queues.stale([job_of(1, RUNNING), job_of(2)])] == [MESSAGE]


def test_it_is_redrawn_now_and_then() -> None:
    queues, now = opened(job_of(1), job_of(2))
    [queue] = queues.stale([job_of(2)])
    queues.redrawn(queue, listing(job_of(2)))
    assert list(queues.stale([])) == []
    now[0] += 3
    assert len(list(queues.stale([]))) == 1


def test_a_try_that_failed_is_made_again() -> None:
    queues, now = opened(job_of(1))
    [queue] = queues.stale([])
    queues.redrawn(queue, None)
    assert list(queues.stale([])) == []
    now[0] += 3
    assert len(list(queues.stale([]))) == 1


def test_it_ends_with_its_last_job_with_its_message_and_with_time() -> None:
    for end in ("empty", "deleted", "old"):
        queues, now = opened(job_of(1))
        [queue] = queues.stale([])
        if end == "empty":
            queues.redrawn(queue, Said("nothing"))
        elif end == "deleted":
            queues.forget(queue)
        now[0] += 3600 if end == "old" else 60
        assert list(queues.stale([])) == [], end


def test_what_takes_the_place_of_a_list_is_not_overwritten() -> None:
    queues, _ = opened(job_of(1))
    queues.shown(replace(NOTICE, id=2, key="cancel.all-ask"), Said("All?"), MESSAGE)
    assert list(queues.stale([])) == []


def test_of_two_lists_the_newer_is_kept_up_to_date() -> None:
    queues, now = opened(job_of(1))
    [old] = queues.stale([])
    queues.shown(replace(NOTICE, id=2), listing(job_of(1)), 11)
    queues.redrawn(old, listing(job_of(1)))
    now[0] += 10
    assert [queue.message_id for queue in queues.stale([])] == [11]

"""What the deliverer writes down after an error of its own."""

import pytest

from storage.domain import Job
from storage.post import Delivery, Notice, SendState
from tests.bot.post import Post


async def _notice(post: Post) -> Notice:
    await post.owe(key="cancel.nothing")
    due = await post.deliverer._outbox.due()
    return due.notices[0][0]


def _owed(job: Job, ordinal: int) -> Delivery:
    return Delivery(job.id, ordinal, SendState.PENDING, 0, None)


@pytest.mark.parametrize("state", [SendState.SENT, SendState.FAILED])
async def test_what_has_ended_stays_ended(post: Post, state: SendState) -> None:
    """Only the answer to the last commit was lost: to owe it again would send it twice."""
    job, notice = await post.drawn(), await _notice(post)
    await post.mark(job, 1, state)
    await post.store.sql("UPDATE notice SET state = :state", state=state)
    for owed in (_owed(job, 1), notice):
        assert not await post.deliverer._outbox.after_own_error(owed, 0.0, "OSError")
    assert await post.states() == ["pending", state]
    assert await post.notice_states() == [state]


@pytest.mark.parametrize(
    ("ordinal", "state", "becomes", "still_owed"),
    [
        (0, SendState.PENDING, "pending", True),
        (0, SendState.SENDING, "unknown", False),  # a status is sent at most once
        (1, SendState.PENDING, "pending", True),
        (1, SendState.SENDING, "unknown", True),
        (1, SendState.UNKNOWN, "unknown", True),
    ],
)
async def test_what_may_have_been_sent_is_of_unknown_fate(
    post: Post, ordinal: int, state: SendState, becomes: str, still_owed: bool
) -> None:
    job = await post.drawn()
    await post.mark(job, ordinal, state)
    assert await post.deliverer._outbox.after_own_error(_owed(job, ordinal), 0.0, "OSError") is still_owed
    assert (await post.states())[ordinal] == becomes

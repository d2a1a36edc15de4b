"""What delivery gives up, and what it may not wait for."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text

from bot.jobs import stop_failed
from engine.requests import RequestError
from storage.domain import JobState
from storage.tables import JobRow
from tests.bot.post import Post
from tests.bot.wishes import somebody_waits
from tests.chaos.invariants import broken


async def test_a_result_that_telegram_does_not_take_for_a_day_ends_with_a_refund_and_a_word(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    post.box.faults.server_error("editMessageMedia", times=9)
    await post.turns(5)
    await post.store.sql("UPDATE job SET deadline_at = deadline_at - 90000")
    await post.deliverer.jobs.sweep()
    await post.turns(2)
    assert (await post.store.get(job)).error_class == "undeliverable"
    assert await post.states() == ["sent", "failed"]
    (said,) = post.said
    assert "your limit is untouched" in said.text
    assert await broken(post.store.database, max_active=3) == []


async def test_a_try_that_is_under_way_when_its_result_is_given_up_makes_it_owed_no_more(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    post.box.faults.server_error("editMessageMedia")
    again = post.deliverer._outbox.again

    async def given_up_before(*args: Any, **kwargs: Any) -> None:
        await post.store.sql("UPDATE job SET deadline_at = deadline_at - 90000")
        await post.deliverer.jobs.sweep()
        await again(*args, **kwargs)

    post.deliverer._outbox.again = given_up_before  # type: ignore[method-assign]
    await post.turns(3)
    assert (await post.store.get(job)).state == JobState.FAILED
    assert await post.states() == ["sent", "failed"]
    assert await broken(post.store.database, max_active=3) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_blocks_the_bot_while_their_job_is_claimed_holds_up_no_worker(post: Post) -> None:
    """A claim takes the job's row and then the person's; were the person marked first, each would wait for the other."""
    job = await post.store.job(post.user)
    async with post.store.database.begin() as session:
        await session.execute(select(JobRow.id).where(JobRow.id == job.id).with_for_update())
        blocked = asyncio.create_task(post.deliverer._outbox.blocked(post.user.id, post.person.id))
        await somebody_waits(post.store)
        await session.execute(text('UPDATE "user" SET running = running'))
    await blocked
    assert (await post.store.get(job)).state == JobState.CANCELLED
    assert await post.store.number('SELECT blocked_at IS NOT NULL FROM "user" WHERE id = :id', id=post.user.id)


async def test_what_went_wrong_on_the_way_is_forgotten_at_the_end(post: Post) -> None:
    for write in ("status_sent", "delivered", "notice_done"):
        post.breaks(write)
    job = await post.drawn()
    await post.turns(5)
    assert (await post.store.get(job)).state == JobState.DELIVERED
    await post.owe(key="cancel.nothing")
    await post.turns(3)
    assert await post.notice_states() == ["sent"]
    assert not post.deliverer._own_errors._count


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_would_fail_again_is_said_with_its_limit_and_not_offered_again(post: Post) -> None:
    values = {"value": "20000x16", "limit": 25}
    refusal = RequestError("picture-too-large", "The picture is too large.", values)
    for error_class, why, says in (
        ("refused", refusal, "That picture is 20000x16; I read at most 25 megapixels. Please make it smaller."),
        ("oom", None, "It was 4 × 128×128."),
    ):
        await post.store.job(post.user)
        await stop_failed(post.store.database, await post.store.claimed(), error_class, refusal=why)
        await post.turns(2)
        said = post.said[-1]
        assert says in said.text
        assert "your limit is untouched" in said.text
        assert said.labels == []
    await post.store.job(post.user)
    await stop_failed(post.store.database, await post.store.claimed(), "engine")
    await post.turns(2)
    assert post.said[-1].labels == ["🔂 Try again"]

"""Being forgotten, from the wish to the last file, whatever breaks in between."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from bot.forgetting import Forgetting
from bot.jobs import stop_cancelled
from storage.domain import Job, JobState, NewPicture, Refused, User
from storage.errors import MediaMissing
from storage.media import MediaStore
from storage.repositories.jobs import JobRepository
from storage.repositories.pictures import PictureRepository
from tests.bot.post import COLOURS, Post, _png
from tests.bot.wishes import REQUEST, Wishes
from tests.chaos.invariants import broken
from tests.storage.made import BOT, Store

GRACE_S = 86400.0


@pytest.fixture
def forgetting(post: Post) -> Forgetting:
    return Forgetting(post.store.database, post.media, post.deliverer.jobs, GRACE_S)


async def time_passes(post: Post, seconds: float = 2 * GRACE_S) -> None:
    """Move everything back by so much, on the database's clock and on the files'."""
    for change in ("erasure SET asked_at = asked_at - :s, due_at = due_at - :s", "job SET finished_at = finished_at - :s"):
        await post.store.sql(f"UPDATE {change}", s=seconds)
    for path in post.media._fs.find(post.media._root):
        at = post.media._fs.modified(path).timestamp() - seconds
        os.utime(path, (at, at))


async def is_there(post: Post, user: User) -> bool:
    return bool(await post.store.number('SELECT count(*) FROM "user" WHERE id = :id', id=user.id))


def has(media: MediaStore, media_id: str) -> bool:
    try:
        media.get(media_id)
    except MediaMissing:
        return False
    return True


async def files_of(store: Store, user: User) -> list[str]:
    return [str(media_id) for (media_id,) in await store.sql("SELECT media_id FROM picture WHERE user_id = :id", id=user.id)]


@contextlib.contextmanager
def breaking(store: Store, at: int) -> Iterator[list[int]]:
    """Let the database go away at its `at`-th statement from now on; what is yielded counts them."""
    count = [0]

    def before(*_: Any) -> None:
        count[0] += 1
        if count[0] == at:
            raise ConnectionError("gone")

    engine = store.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", before)
    try:
        yield count
    finally:
        event.remove(engine, "before_cursor_execute", before)


async def test_nothing_goes_before_its_time_and_all_after(post: Post, forgetting: Forgetting) -> None:
    await post.delivered()
    files = await files_of(post.store, post.user)
    erasure = await forgetting.ask(post.user)
    await forgetting.sweep(BOT)
    assert await is_there(post, post.user)
    await time_passes(post)
    await forgetting.sweep(BOT + 1)  # another bot's sweep leaves it alone
    assert await is_there(post, post.user)
    await forgetting.sweep(BOT)
    assert not await is_there(post, post.user)
    assert not any(has(post.media, media_id) for media_id in files)
    await post.turns(2)
    assert f"Receipt: {erasure.public_id}" in post.said[-1].text
    assert "Pictures: 4" in post.said[-1].text
    assert await broken(post.store.database, max_active=3, media=post.media) == []
    await post.store.sql("UPDATE notice SET created_at = created_at - 7200")
    await forgetting.sweep(BOT)
    assert await post.store.sql("SELECT * FROM notice") == []  # the last word named a chat


async def test_it_breaks_off_at_any_statement_and_is_done_at_last(post: Post, forgetting: Forgetting) -> None:
    await post.delivered(2)
    files = await files_of(post.store, post.user)
    await forgetting.ask(post.user)
    await time_passes(post)
    everything = [f"SELECT count(*) FROM {table}" for table in ("picture", "job", "audit", "notice")]  # noqa: S608
    before = [await post.store.number(count) for count in everything]
    whole, done = 0, 0
    for at in range(1, 200):
        with breaking(post.store, at) as count:
            try:
                await forgetting.sweep(BOT)
            except Exception as error:
                assert "gone" in str(error)  # noqa: PT017
        there = await is_there(post, post.user)
        whole, done = whole + there, done + (not there)
        if there:
            assert [await post.store.number(each) for each in everything] == before
            assert all(has(post.media, media_id) for media_id in files)
        if count[0] < at:
            break
    assert whole > 15
    assert done > 1  # also while its files were removed
    assert not any(has(post.media, media_id) for media_id in files)
    assert await post.store.sql("SELECT * FROM erased_file") == []
    await post.turns(3)
    assert [message.text for message in post.said if "Everything was deleted" in message.text] == [post.said[-1].text]


async def test_a_file_that_somebody_else_has_stays(post: Post, forgetting: Forgetting) -> None:
    await post.delivered(2)
    boris = await post.store.user(77)
    first, second = await files_of(post.store, post.user)
    await post.store.sql(
        "INSERT INTO picture (public_id, user_id, ordinal, media_id, seed, width, height, operation, favourite, created_at) "
        "VALUES ('other', :id, 0, :media, 1, 128, 128, 'upload', false, 1)",
        id=boris.id, media=first,
    )  # fmt: skip
    await forgetting.ask(post.user)
    await time_passes(post)
    await forgetting.sweep(BOT)
    assert (has(post.media, first), has(post.media, second)) == (True, False)


async def test_a_file_that_was_put_again_just_now_waits_for_its_row(post: Post, forgetting: Forgetting) -> None:
    await post.delivered(1)
    (media_id,) = await files_of(post.store, post.user)
    await forgetting.ask(post.user)
    await time_passes(post)
    post.media.put(post.media.get(media_id), ".png")
    await forgetting.sweep(BOT)
    assert not await is_there(post, post.user)
    assert has(post.media, media_id)
    await time_passes(post)
    await forgetting.sweep(BOT)
    assert not has(post.media, media_id)


async def test_what_is_under_way_is_cancelled_and_nothing_new_taken(post: Post, forgetting: Forgetting, wishes: Wishes) -> None:
    running, waiting = await post.store.job(post.user), await post.store.job(post.user)
    assert (await post.store.claimed()).id == running.id
    erasure = await forgetting.ask(post.user)
    assert await post.store.number("SELECT stopped FROM erasure") == 2
    assert (await forgetting.ask(post.user)).public_id == erasure.public_id
    assert await post.store.number("SELECT stopped FROM erasure") == 2
    assert (await post.store.get(waiting)).state == JobState.CANCELLED
    assert (await post.store.get(running)).cancel_requested
    with pytest.raises(Refused, match="being-forgotten"):
        await post.deliverer.jobs.submit(await wishes.message(post.user), REQUEST)
    await time_passes(post)
    await forgetting.sweep(BOT)
    assert await is_there(post, post.user)  # a worker still has one in hand
    await post.store.finish(await post.store.get(running), JobState.CANCELLED, refund=True)
    await post.turns(4)
    await time_passes(post)
    await forgetting.sweep(BOT)
    assert not await is_there(post, post.user)


async def test_a_wish_that_is_taken_back_is_none(post: Post, forgetting: Forgetting, wishes: Wishes) -> None:
    await post.delivered(1)
    await forgetting.ask(post.user)
    await time_passes(post)
    assert await forgetting.keep(post.user)
    await forgetting.sweep(BOT)
    assert await is_there(post, post.user)
    assert not await forgetting.keep(post.user)
    assert (await post.deliverer.jobs.submit(await wishes.message(post.user), REQUEST)).created


async def test_what_was_drawn_for_nobody_is_removed(post: Post, forgetting: Forgetting) -> None:
    """A person cancels while the drawn picture is being stored: no row will name its file."""
    await post.store.job(post.user)
    media_id = post.media.put(b"drawn in vain", ".png")
    await stop_cancelled(post.store.database, await post.store.claimed(), 4, 4, [media_id])
    await forgetting.sweep(BOT)
    assert has(post.media, media_id)  # just now
    await time_passes(post)
    await forgetting.sweep(BOT)
    assert not has(post.media, media_id)
    assert await is_there(post, post.user)


STEPS = ("asked for", "told", "claimed", "drawn", "brought")


@pytest.mark.parametrize("point", [*(pytest.param(at, marks=pytest.mark.long) for at in (0, 1, 5)), 2, 3, 4])
async def test_a_person_who_leaves_at_any_point_of_a_job_leaves_nothing(
    post: Post, forgetting: Forgetting, wishes: Wishes, point: int
) -> None:
    """What is under way then is cancelled or brought, by whoever has it in hand; nobody writes for them afterwards."""
    store, jobs = post.store, post.deliverer.jobs
    running: Job | None = None
    for number, step in enumerate(STEPS):
        if number == point:
            await forgetting.ask(post.user)
        if step == "asked for":
            with contextlib.suppress(Refused):
                await jobs.submit(await wishes.message(post.user), REQUEST)
        elif step in ("told", "brought"):
            await post.turns(2)
        elif step == "claimed":
            running = await store.claim()
        elif running is not None:
            async with store.database.alone() as session:
                stops = await JobRepository(session).wants_cancel(running)
            files = [post.media.put(_png(colour), ".png") for colour in COLOURS[:4]]
            if stops:
                await stop_cancelled(store.database, running, 4, 4, files)
            else:
                async with store.database.begin() as session:
                    await JobRepository(session).rendered(running, "toy", "00" * 32)
                    pictures = [NewPicture(at, media_id, at, 128, 128) for at, media_id in enumerate(files)]
                    await PictureRepository(session).add_results(running, pictures)
    await forgetting.ask(post.user)
    await store.sql("UPDATE inbox SET state = 'done'")  # as the pump does it
    for _ in range(4):
        await time_passes(post)
        await forgetting.sweep(BOT)
        await post.turns(2)
    assert not await is_there(post, post.user)
    for table in ("job", "picture", "audit", "quota_ledger", "delivery", "erased_file"):
        assert await store.number(f"SELECT count(*) FROM {table}") == 0  # noqa: S608
    assert await broken(store.database, max_active=3) == []
    assert post.media._fs.find(post.media._root) == []
    assert [message.text for message in post.said if "Everything was deleted" in message.text] != []

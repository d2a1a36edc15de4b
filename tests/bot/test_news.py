"""What a person sees of a long drawing before it is done, and what becomes of that when it ends."""

import io

import pytest
from PIL import Image

from bot.jobs import POLICY, fail, stop_cancelled
from storage.domain import Job, JobState, NewPicture
from storage.repositories.jobs import JobRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.previews import PreviewRepository
from tests.bot.post import Post

# what is asked of the database here is tried on both in tests/storage
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def jpeg(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "JPEG")
    return buffer.getvalue()


async def looked_at(post: Post, job: Job, step: int, colour: str = "gray") -> None:
    async with post.store.database.begin() as session:
        await JobRepository(session).heartbeat(job, "step", step, 50, 30)
        await PreviewRepository(session).put(job, step, jpeg(colour))


async def drawing(post: Post) -> Job:
    """A job that is being drawn, with its status in the chat, which shows a look at it."""
    await post.store.job(post.user, 1)
    await post.turn()
    job = await post.store.claimed()
    await looked_at(post, job, 10)
    await post.turn()
    return await post.store.get(job)


async def rendered(post: Post, job: Job) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), "red").save(buffer, "PNG")
    media_id = post.media.put(buffer.getvalue(), ".png")
    async with post.store.database.begin() as session:
        await JobRepository(session).rendered(job, "toy", media_id.partition(".")[0])
        await PictureRepository(session).add_results(job, [NewPicture(0, media_id, 7, 128, 128)])


async def test_a_look_takes_the_place_of_the_status_and_the_picture_takes_its_place(post: Post) -> None:
    job = await drawing(post)
    (status,) = post.said
    assert status.photo_size == (64, 64)
    assert "10/50" in status.text
    assert status.button("Cancel")
    assert job.previewed
    await rendered(post, job)
    await post.turn()
    (result,) = post.said
    assert (result.id, result.photo_size, bool(result.button("Cancel"))) == (status.id, (512, 512), False)
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_between_two_looks_the_bar_goes_on_under_the_first(post: Post) -> None:
    job = await drawing(post)
    async with post.store.database.begin() as session:
        await JobRepository(session).heartbeat(job, "step", 25, 50, 30)
    post.deliverer._news.forget()
    await post.turn()
    (status,) = post.said
    assert (status.photo_size, "25/50" in status.text) == ((64, 64), True)
    assert len(post.box.ledger.of("editMessageMedia")) == 1
    assert post.box.ledger.refused == []


async def test_the_next_look_comes_a_few_seconds_later_at_the_earliest(post: Post) -> None:
    job = await drawing(post)
    await looked_at(post, job, 20)
    await post.turn()
    assert len(post.box.ledger.of("editMessageMedia")) == 1
    post.deliverer._news._seen = {job.id: ((1, 10), 0.0)}  # long ago
    await post.turn()
    assert len(post.box.ledger.of("editMessageMedia")) == 2
    assert "20/50" in post.said[0].text


async def test_a_chat_without_tokens_to_spare_gets_no_look(post: Post) -> None:
    await post.store.job(post.user, 1)
    await post.turn()
    job = await post.store.claimed()
    await looked_at(post, job, 10)
    post.deliverer.limiter._chats[job.chat_id].tokens = 1.5  # enough for one message: that one may be the result
    await post.turn(0.0)
    assert not post.said[0].has_photo
    await post.turn()
    assert post.said[0].has_photo


async def test_a_cancelled_drawing_keeps_its_last_look_under_the_word(post: Post) -> None:
    job = await drawing(post)
    await stop_cancelled(post.store.database, job, 10, 50)
    await post.turn()
    (ended,) = post.said
    assert (ended.photo_size, "Cancelled" in ended.text, bool(ended.button("Try again"))) == ((64, 64), True, True)
    assert post.box.ledger.refused == []


@pytest.mark.parametrize("fails", [0, 1])
async def test_of_a_picture_that_may_not_be_shown_no_look_stays(post: Post, fails: int) -> None:
    """Each look was judged, and yet: the message with it goes, and a new one says why."""
    job = await drawing(post)
    if fails:
        post.box.faults.server_error("deleteMessage")
    async with post.store.database.begin() as session:
        await fail(session, job, POLICY, ["forbidden"])
    await post.turns(1 + fails)
    (card,) = post.said
    assert (card.has_photo, card.id == job.status_message_id) == (False, False)
    assert "The picture was judged, not your words" in card.text
    assert [card.button("Another seed") is not None, card.button("The judge is wrong") is not None] == [True, True]


async def test_of_what_some_is_withheld_the_rest_comes_and_a_card_under_it(post: Post) -> None:
    job = await post.drawn(3)
    await post.store.sql("UPDATE job SET withheld = '[\"sexual\"]'")
    await post.store.sql("UPDATE quota_ledger SET amount = 4")
    await post.turns(3)
    result, card = post.said
    assert result.has_photo
    assert card.reply_to == result.id
    assert "1 picture of 3 stays hidden: the judge sees nakedness" in card.text
    assert await post.store.quota(job) == {"reserve": 4, "commit": 3, "refund": 1}


async def test_after_some_categories_there_is_no_other_seed(post: Post) -> None:
    job = await drawing(post)
    async with post.store.database.begin() as session:
        await fail(session, job, POLICY, ["minors"])
    await post.turn()
    (card,) = post.said
    assert (card.labels, "Another seed" in card.text) == (["⚖️ The judge is wrong"], False)


async def test_a_look_that_telegram_refuses_costs_only_itself(post: Post) -> None:
    post.box.faults.refuse("editMessageMedia", description="Bad Request: PHOTO_INVALID_DIMENSIONS")
    job = await drawing(post)
    assert not post.said[0].has_photo
    await looked_at(post, job, 20)
    post.deliverer._news._seen.clear()
    post.deliverer._news.forget()
    await post.turn()
    assert (post.said[0].has_photo, len(post.box.ledger.of("editMessageMedia"))) == (False, 0)
    await rendered(post, job)
    await post.turn()
    assert post.photos[0].photo_size == (512, 512)


@pytest.mark.parametrize("applied", [True, False])
async def test_a_look_that_comes_late_does_not_stay_over_the_picture(post: Post, applied: bool) -> None:
    """Nobody knows whether it will still come, so the picture is put there twice."""
    drop = post.box.faults.drop_after_applying if applied else post.box.faults.drop_before_applying
    drop("editMessageMedia")
    job = await drawing(post)
    await rendered(post, job)
    await post.turn()
    assert post.photos[0].photo_size == (512, 512)
    assert (await post.store.get(job)).state == JobState.RENDERED
    await post.turn()
    assert (await post.store.get(job)).state == JobState.DELIVERED
    assert len(post.said) == len(post.photos) == 1
    assert len(post.box.ledger.of("editMessageMedia")) == 2 + applied


async def test_a_drawing_that_is_over_is_not_looked_at(post: Post) -> None:
    await post.store.job(post.user, 1)
    await post.turn()
    job = await post.store.claimed()
    await looked_at(post, job, 10)
    due = await post.deliverer._outbox.due()
    await rendered(post, job)
    assert due.watched is not None
    post.now[0] += 100
    await post.deliverer._news.watch(due.watched, due.previews)
    await post.turn()
    assert len(post.box.ledger.of("editMessageMedia")) == 1
    assert post.photos[0].photo_size == (512, 512)


async def test_the_chat_shows_that_a_photo_is_on_its_way(post: Post) -> None:
    await post.store.job(post.user, 1)
    await post.turn()
    await post.store.claimed()
    await post.turn()
    assert post.box.ledger.of("sendChatAction") == []  # most are done by the next look
    await post.turn()
    await post.turn()
    assert [call.params["action"] for call in post.box.ledger.of("sendChatAction")] == ["upload_photo"]

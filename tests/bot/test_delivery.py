"""The status of a job reaches the chat once at most, and chats do not wait for each other."""

import pytest

from storage.domain import JobState, WorkerState
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import PauseRepository
from storage.repositories.workers import WorkerRepository
from tests.bot.post import Post
from tests.storage.made import BOT, FAMILY, LANES


async def test_an_accepted_wish_gets_one_status_under_the_message_with_a_way_to_stop(post: Post) -> None:
    asked = post.person.chat[-1].id
    await post.store.job(post.user, reply_to_message_id=asked)
    await post.turns(3)
    (status,) = post.said
    assert status.reply_to == asked
    assert status.button("Cancel")
    assert (await post.store.number("SELECT status_message_id FROM job")) == status.id


async def test_the_status_speaks_the_persons_language(post: Post) -> None:
    await post.store.job(await post.store.user(post.person.id, "ru"))
    await post.turn()
    assert post.said[0].button("Отменить") or post.said[0].button("Отмена")


async def test_a_status_is_sent_again_only_when_telegram_certainly_did_nothing(post: Post) -> None:
    post.box.faults.too_many_requests("sendMessage")
    post.box.faults.server_error("sendMessage")
    await post.store.job(post.user)
    await post.turns(4)
    assert len(post.said) == 1


@pytest.mark.parametrize("applied", [True, False])
async def test_a_status_of_unknown_fate_is_left_alone(post: Post, applied: bool) -> None:
    drop = post.box.faults.drop_after_applying if applied else post.box.faults.drop_before_applying
    drop("sendMessage")
    await post.store.job(post.user)
    await post.turns(3)
    assert len(post.said) == applied
    assert await post.states() == ["unknown"]


@pytest.mark.parametrize("applied", [True, False])
async def test_a_result_whose_status_is_unknown_comes_as_one_new_message(post: Post, applied: bool) -> None:
    drop = post.box.faults.drop_after_applying if applied else post.box.faults.drop_before_applying
    drop("sendMessage")
    asked = post.person.chat[-1].id
    await post.drawn(reply_to_message_id=asked)
    await post.turns(3)
    (photo,) = post.photos
    assert photo.reply_to == asked
    assert "sent again" not in photo.text
    assert len(post.box.ledger.of("sendPhoto")) == 1


@pytest.mark.parametrize("write_fails_too", [False, True])
async def test_a_status_that_could_not_be_written_down_is_never_sent_again(post: Post, write_fails_too: bool) -> None:
    post.breaks("status_sent")
    post.breaks("after_own_error", times=int(write_fails_too))
    await post.store.job(post.user)
    await post.turns(4)
    assert len(post.said) == 1
    assert await post.states() == ["unknown"]


async def test_a_status_that_was_not_sent_yet_survives_an_error_of_our_own(post: Post) -> None:
    post.breaks("sending")
    await post.store.job(post.user)
    await post.turns(3)
    assert len(post.said) == 1
    assert await post.states() == ["sent"]


async def test_progress_is_shown_in_the_status(post: Post) -> None:
    job = await post.store.job(post.user)
    await post.turn()
    running = await post.store.claimed()
    async with post.store.database.begin() as session:
        await JobRepository(session).heartbeat(running, "step", 2, 4, 30)
    post.deliverer._news.forget()  # long ago
    await post.turn()
    assert "2/4" in post.said[0].text
    assert (await post.store.get(job)).status_message_id == post.said[0].id


@pytest.mark.parametrize("fails", [0, 1])
async def test_who_delivers_next_obeys_what_its_predecessor_was_told(post: Post, fails: int) -> None:
    post.breaks("resting", times=fails)
    post.box.faults.too_many_requests("sendMessage", retry_after=30)
    await post.owe(key="cancel.nothing")
    await post.turn(1)
    await post.store.job(post.user)
    await post.hand_over()
    await post.turn(29)
    assert post.said == []
    await post.turn(4)
    await post.turn(4)
    assert len(post.said) == 2


async def test_what_a_predecessor_is_still_told_counts_at_once(post: Post) -> None:
    await post.hand_over()
    async with post.store.database.begin() as session:
        await PauseRepository(session).put(BOT, {post.person.id: 30})
    await post.owe(key="cancel.nothing")
    await post.turn(29)
    assert post.said == []
    await post.turn(4)
    assert len(post.said) == 1


async def test_what_was_told_about_progress_counts_for_who_delivers_next(post: Post) -> None:
    await post.store.job(post.user)
    await post.turn()
    running = await post.store.claimed()
    async with post.store.database.begin() as session:
        await JobRepository(session).heartbeat(running, "step", 2, 4, 30)
    post.box.faults.too_many_requests("editMessageText", retry_after=30)
    post.deliverer._news.forget()  # long ago
    await post.turn()
    await post.owe(key="cancel.nothing")
    await post.hand_over()
    await post.turn(29)
    assert len(post.said) == 1
    await post.turn(4)
    assert len(post.said) == 2


async def test_a_status_that_has_not_changed_is_not_edited(post: Post) -> None:
    await post.store.job(post.user)
    async with post.running():
        await post.person.sees_text("Nobody is there to draw")
    assert post.box.ledger.of("editMessageText") == []
    assert post.box.ledger.refused == []


async def test_the_status_says_when_machines_are_up(post: Post) -> None:
    async with post.store.database.begin() as session:
        await WorkerRepository(session).seen("w1", FAMILY, LANES, "cpu", WorkerState.IDLE)
    await post.store.job(post.user)
    await post.turn()
    assert "In the queue, 1st." in post.said[0].text


# Several chats, by the deliverer's own clock


async def test_a_chat_that_hangs_does_not_hold_up_another(post: Post) -> None:
    post.box.faults.hang("sendMessage", applied=True)
    await post.owe(key="cancel.nothing")
    boris = post.box.person("Boris")
    await boris.says("hello")
    async with post.running():
        await post.person.sees_text("Nothing of yours")
        await post.owe(key="fallback.voice", chat_id=boris.id, dedupe_key="boris")
        await boris.sees_text("cannot listen")
        assert (await post.notice_states())[0] == "sending"
        post.box.faults.release()


async def test_many_notices_to_one_chat_do_not_starve_another(post: Post) -> None:
    boris = post.box.person("Boris")
    await boris.says("hello")
    for number in range(200):
        await post.owe(key="cancel.nothing", dedupe_key=f"many:{number}")
    await post.owe(key="fallback.voice", chat_id=boris.id, dedupe_key="boris")
    await post.turn()
    assert [message.from_bot for message in boris.chat] == [False, True]
    assert len(post.said) == 1


async def test_waking_delivers_at_once(post: Post) -> None:
    async with post.running():
        await post.owe(key="cancel.nothing")
        post.deliverer.wake()
        await post.person.sees_text("Nothing of yours")


async def test_a_whole_job_is_delivered_by_itself(post: Post) -> None:
    async with post.running():
        job = await post.store.job(post.user)
        status = await post.person.sees_text("Accepted")
        post.now[0] += 5
        await post.draw(job)
        await post.person.sees_photo(message_id=status.id)
    assert (await post.store.get(job)).state == JobState.DELIVERED

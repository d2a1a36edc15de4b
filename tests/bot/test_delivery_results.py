"""A result reaches the chat: by edit exactly once, else as well as can be known."""

import io
import logging
from dataclasses import replace

import pytest
from PIL import Image

from bot.messages import Messages
from bot.texts import Texts
from storage.domain import JobState
from storage.errors import MediaAway
from storage.post import SendState
from storage.repositories.users import UserRepository
from tests.bot.post import Post
from tests.storage.made import PROMPT


async def test_a_result_takes_the_place_of_its_status(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    status = post.said[0].id
    await post.turn()
    (shown,) = post.said
    assert shown.id == status
    assert shown.photo_size == (1032, 1032)
    assert PROMPT in shown.text
    assert [label for label in shown.labels if label.isdigit()] == ["1", "2", "3", "4"]
    assert not shown.button("Cancel")
    assert (await post.store.get(job)).state == JobState.DELIVERED
    assert await post.store.quota(job) == {"reserve": 4, "commit": 4}
    assert await post.states() == ["sent", "sent"]


async def test_one_picture_comes_without_numbers(post: Post) -> None:
    await post.delivered(count=1)
    assert post.photos[0].photo_size == (512, 512)
    assert not [label for label in post.photos[0].labels if label.isdigit()]


@pytest.mark.parametrize("applied", [True, False])
async def test_an_edit_without_an_answer_is_repeated_and_nobody_sees_two(post: Post, applied: bool) -> None:
    drop = post.box.faults.drop_after_applying if applied else post.box.faults.drop_before_applying
    drop("editMessageMedia", times=2)
    job = await post.drawn()
    await post.turns(6)
    assert len(post.said) == len(post.photos) == 1
    assert "sent again" not in post.photos[0].text
    assert (await post.store.get(job)).state == JobState.DELIVERED
    assert await post.store.quota(job) == {"reserve": 4, "commit": 4}


async def test_a_silent_telegram_gets_the_result_later_once(post: Post) -> None:
    post.box.faults.server_error("editMessageMedia", times=3)
    post.box.faults.server_error("editMessageMedia", html=True)
    job = await post.drawn()
    await post.turns(7)
    assert len(post.said) == len(post.photos) == 1
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_429_is_obeyed(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    post.box.faults.too_many_requests("editMessageMedia", retry_after=30)
    await post.turn(1)
    assert await post.store.number("SELECT attempt FROM delivery WHERE ordinal = 1") == 1
    for _ in range(3):
        await post.turn(9.9)
        assert post.photos == []
    await post.turn(7)
    assert len(post.photos) == 1
    assert len(post.box.ledger.of("editMessageMedia")) == 1
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_chat_that_must_wait_gets_nothing_at_all_meanwhile(post: Post) -> None:
    post.box.faults.too_many_requests("sendMessage", retry_after=30)
    await post.store.job(post.user)
    await post.turn(1)
    await post.owe(key="cancel.nothing")
    await post.turn(1)
    assert post.said == []
    await post.turn(40)
    await post.turn(1)
    assert len(post.said) == 2


async def test_a_result_whose_status_was_deleted_comes_as_a_new_message(post: Post) -> None:
    asked = post.person.chat[-1].id
    job = await post.drawn(reply_to_message_id=asked)
    await post.turn()
    await post.person.deletes(post.said[0].id)
    await post.turns(2)
    (photo,) = post.photos
    assert photo.reply_to == asked
    assert "sent again" not in photo.text
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_new_message_without_an_answer_is_sent_once_more_and_says_so(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    await post.person.deletes(post.said[0].id)
    post.box.faults.drop_after_applying("sendPhoto")
    await post.turns(4)
    assert ["sent again" in photo.text for photo in post.photos] == [False, True]
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_new_messages_that_never_get_an_answer_show_a_picture_twice_at_most(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    await post.person.deletes(post.said[0].id)
    post.box.faults.drop_after_applying("sendPhoto", times=5)
    post.box.faults.drop_after_applying("sendMessage", times=3)
    post.box.faults.drop_after_applying("editMessageMedia", times=2)
    await post.turns(12)
    assert ["sent again" in photo.text for photo in post.photos] == [False, True]
    assert (await post.store.get(job)).state == JobState.DELIVERED
    assert await post.store.quota(job) == {"reserve": 4, "commit": 4}


async def test_what_a_dead_deliverer_was_sending_is_sent_once_more_and_says_so(post: Post) -> None:
    job = await post.drawn()
    await post.mark(job, 0, SendState.UNKNOWN)
    await post.mark(job, 1, SendState.SENDING)
    await post.turns(2)
    assert post.photos == []
    await post.deliverer.take_over()
    await post.turns(3)
    (photo,) = post.photos
    assert "sent again" in photo.text
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_new_message_that_could_not_be_written_down_is_sent_once_more_and_says_so(post: Post) -> None:
    job = await post.drawn()
    await post.mark(job, 0, SendState.UNKNOWN)
    post.breaks("delivered")
    await post.turns(4)
    assert ["sent again" in photo.text for photo in post.photos] == [False, True]
    assert (await post.store.get(job)).state == JobState.DELIVERED
    assert await post.store.quota(job) == {"reserve": 4, "commit": 4}


async def test_a_new_message_that_can_never_be_written_down_is_sent_twice_at_most(post: Post) -> None:
    job = await post.drawn()
    await post.mark(job, 0, SendState.UNKNOWN)
    post.breaks("delivered", times=9)
    await post.turns(9)
    assert len(post.photos) == 2
    assert (await post.store.get(job)).error_class == "undeliverable"
    assert await post.store.quota(job) == {"reserve": 4, "refund": 4}


async def test_a_result_whose_fate_cannot_be_written_down_at_all_is_looked_after_later(post: Post) -> None:
    job = await post.drawn()
    await post.mark(job, 0, SendState.UNKNOWN)
    post.breaks("delivered")
    post.breaks("after_own_error")
    await post.turn()
    assert (await post.states())[1] == "sending"
    await post.turns(2)
    assert ["sent again" in photo.text for photo in post.photos] == [False, True]
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_dead_deliverers_edit_is_simply_made_again(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    await post.deliverer.take_over()
    await post.turn()
    assert len(post.said) == len(post.photos) == 1
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_result_is_never_sent_before_its_status_is_settled(post: Post) -> None:
    job = await post.drawn()
    await post.mark(job, 0, SendState.SENDING)
    await post.turns(2)
    assert post.said == []


async def test_a_long_wait_ends_with_a_short_word(post: Post) -> None:
    job = await post.drawn()
    await post.store.sql("UPDATE job SET created_at = created_at - 30")
    await post.turns(4)
    photo, ready = post.said
    assert photo.has_photo
    assert ready.reply_to == photo.id
    assert ready.text.startswith("Ready")
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_short_wait_ends_without_one(post: Post) -> None:
    await post.delivered()
    await post.turn()
    assert len(post.said) == 1


async def test_a_picture_that_is_missing_is_given_up_at_last_and_others_go_out(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    job = await post.drawn()
    await post.turn()
    await post.store.sql("UPDATE picture SET media_id = 'none.png'")
    with caplog.at_level(logging.CRITICAL):
        await post.turns(7)
        assert (await post.store.get(job)).state == JobState.RENDERED
        await post.turn()
    now = await post.store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "undeliverable")
    assert await post.store.quota(job) == {"reserve": 4, "refund": 4}
    await post.turn()
    assert "your limit is untouched" in post.said[0].text
    await post.delivered()


async def test_errors_of_our_own_are_counted_apart_from_telegrams(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    post.box.faults.too_many_requests("editMessageMedia", times=20)
    await post.turns(20)
    assert await post.store.number("SELECT attempt FROM delivery WHERE ordinal = 1") == 20
    post.breaks("delivered")
    await post.turn()
    assert (await post.store.get(job)).state == JobState.RENDERED
    await post.turn()
    assert (await post.store.get(job)).state == JobState.DELIVERED
    assert len(post.said) == len(post.photos) == 1


async def test_a_result_outlives_a_media_store_that_is_away(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(media_id: str) -> bytes:
        raise MediaAway("MEDIA_URL: EndpointConnectionError")

    job = await post.drawn()
    await post.turn()
    with monkeypatch.context() as gone:
        gone.setattr(post.media, "get", away)
        gone.setattr(post.deliverer.media, "get", away)
        await post.turns(20)
    assert (await post.store.get(job)).state == JobState.RENDERED
    await post.turn()
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_result_that_telegram_refuses_ends_with_a_refund_and_a_word(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await post.drawn()
    await post.turn()
    monkeypatch.setattr("bot.views.as_sheet", lambda *_: b"no picture")
    await post.turns(3)
    assert "IMAGE_PROCESS_FAILED" in post.box.ledger.refused[0].error
    now = await post.store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "undeliverable")
    assert await post.store.quota(job) == {"reserve": 4, "refund": 4}
    (said,) = post.said
    assert said.text.startswith("😔 Telegram would not take the picture; your limit is untouched.")


async def test_who_blocked_the_bot_keeps_the_picture_and_loses_the_queue(post: Post) -> None:
    drawn = await post.drawn()
    await post.turn()
    waiting = await post.store.job(post.user)
    await post.person.blocks()
    await post.turns(3)
    now = await post.store.get(drawn)
    assert (now.state, now.error_class) == (JobState.FAILED, "undeliverable")
    assert await post.store.quota(drawn) == {"reserve": 4, "commit": 4}
    assert (await post.store.get(waiting)).state == JobState.CANCELLED
    assert await post.store.quota(waiting) == {"reserve": 4, "refund": 4}
    assert await post.store.number('SELECT blocked_at IS NOT NULL FROM "user" WHERE id = :id', id=post.user.id)
    assert await post.store.number("SELECT count(*) FROM picture") == 4
    assert await post.notice_states() == []  # nothing to say to who does not listen


async def test_a_drawing_of_who_blocked_the_bot_is_asked_to_stop(post: Post) -> None:
    job = await post.store.job(post.user)
    await post.store.claimed()
    await post.person.blocks()
    await post.turn()
    now = await post.store.get(job)
    assert (now.state, now.cancel_requested) == (JobState.RUNNING, True)


async def _wants(post: Post, form: str) -> None:
    async with post.store.database.begin() as session:
        await UserRepository(session).change_settings(post.user.id, {"delivery": form})


@pytest.mark.parametrize(("count", "size"), [(1, (512, 512)), (4, (1032, 1032))])
async def test_a_result_can_come_as_a_file_in_the_place_of_its_status(post: Post, count: int, size: tuple[int, int]) -> None:
    await _wants(post, "file")
    post.box.faults.drop_after_applying("editMessageMedia")
    job = await post.drawn(count)
    await post.turns(4)
    (shown,) = post.said
    picture = Image.open(io.BytesIO(shown.document))
    assert (picture.format, picture.size) == ("PNG", size)
    assert PROMPT in shown.text
    assert shown.button("Again")
    assert (await post.store.get(job)).state == JobState.DELIVERED


async def test_a_file_whose_status_is_gone_is_sent_with_its_buttons(post: Post) -> None:
    await _wants(post, "file")
    await post.drawn()
    await post.turn()
    await post.person.deletes(post.said[0].id)
    await post.turns(2)
    (shown,) = post.said
    assert shown.has_document
    assert shown.button("Again")


async def test_the_pictures_of_a_file_can_be_opened_and_left_again(post: Post) -> None:
    await _wants(post, "file")
    job = await post.delivered()
    for index in (2, 0):
        await post.owe(key="view", params={"index": index}, job_id=job.id, edit_message_id=post.said[0].id, dedupe_key=str(index))
        await post.turn()
        assert post.said[0].photo_size == ((512, 512) if index else (1032, 1032))
    assert await post.notice_states() == ["sent", "sent"]


@pytest.mark.parametrize("count", [1, 4])
async def test_both_are_the_picture_and_one_file_under_it(post: Post, count: int) -> None:
    await _wants(post, "both")
    post.box.faults.drop_after_applying("editMessageMedia")
    await post.drawn(count)
    await post.turns(6)
    photo, file = post.said
    assert photo.has_photo
    assert file.has_document
    assert file.reply_to == photo.id
    assert await post.notice_states() == ["sent"]


async def test_a_lane_that_nobody_here_has_is_not_offered(post: Post, texts: Texts) -> None:
    await post.delivered()
    post.deliverer = replace(post.deliverer, messages=Messages(texts, {"flash"}))
    await post.delivered()
    assert ["With care" in " ".join(photo.labels) for photo in post.photos] == [True, False]

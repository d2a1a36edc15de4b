"""Notices, views and files reach the chat as well as can be known."""

import gc
import io
import logging
from typing import Any

import pytest
from PIL import Image

from bot.job_notices import job_notice
from storage.domain import JobState
from storage.post import SendState
from storage.repositories.outgoing import NoticeRepository
from tests.bot.post import Post


async def test_a_notice_is_said_once_under_its_message(post: Post) -> None:
    asked = post.person.chat[-1].id
    await post.owe(key="cancel.nothing", reply_to_message_id=asked)
    await post.turns(3)
    (said,) = post.said
    assert said.reply_to == asked
    assert said.text == "There is nothing to cancel: nothing of yours is waiting or being drawn."
    assert await post.notice_states() == ["sent"]


async def test_a_notices_choices_are_buttons(post: Post) -> None:
    await post.owe(key="fallback.other", params={"choices": [{"label": "star", "prompt": "a red star"}]})
    await post.turn()
    assert post.said[0].labels == ["star"]


async def test_a_notice_with_markup_in_a_value_shows_it(post: Post) -> None:
    await post.owe(key="fallback.command", params={"command": "/<b>&"})
    await post.turn()
    assert "/<b>&" in post.said[0].text


@pytest.mark.parametrize(("key", "params"), [("job.cancelled", {"refund": True}), ("job.failed", {"error": "poison"})])
async def test_the_last_word_on_a_job_takes_the_place_of_its_status(post: Post, key: str, params: dict[str, Any]) -> None:
    job = await post.store.job(post.user)
    await post.turn()
    async with post.store.database.begin() as session:
        await NoticeRepository(session).add(job_notice(job, key, **params))
    await post.store.finish(job, JobState.CANCELLED, refund=True)
    await post.turns(2)
    (said,) = post.said
    assert "your limit is untouched" in said.text.lower()
    assert said.labels == ["🔂 Try again"]


async def test_the_last_word_comes_anew_where_the_status_was_deleted(post: Post) -> None:
    job = await post.store.job(post.user)
    await post.turn()
    await post.person.deletes(post.said[0].id)
    async with post.store.database.begin() as session:
        await NoticeRepository(session).add(job_notice(job, "job.cancelled", refund=True))
    await post.store.finish(job, JobState.CANCELLED, refund=True)
    await post.turns(3)
    assert ["Cancelled" in said.text for said in post.said] == [True]


@pytest.mark.parametrize("refund", [True, False])
async def test_a_cancelled_drawing_says_whether_it_counts(post: Post, refund: bool) -> None:
    job = await post.store.job(post.user)
    await post.mark(job, 0, SendState.FAILED)
    async with post.store.database.begin() as session:
        await NoticeRepository(session).add(job_notice(job, "job.cancelled", refund=refund))
    await post.store.finish(job, JobState.CANCELLED, refund=refund)
    await post.turn()
    assert ("so it is taken from your limit" in post.said[0].text) != refund


async def test_a_notice_without_an_answer_is_said_twice_at_most(post: Post) -> None:
    post.box.faults.drop_after_applying("sendMessage", times=5)
    await post.owe(key="cancel.nothing")
    await post.turns(5)
    assert len(post.said) == 2


async def test_a_notice_that_was_not_applied_is_said_once(post: Post) -> None:
    post.box.faults.too_many_requests("sendMessage")
    post.box.faults.server_error("sendMessage", times=2)
    await post.owe(key="cancel.nothing")
    await post.turns(5)
    assert len(post.said) == 1


async def test_a_notice_left_by_a_dead_deliverer_is_said(post: Post) -> None:
    await post.owe(key="cancel.nothing")
    await post.store.sql("UPDATE notice SET state = 'sending'")
    await post.deliverer.take_over()
    await post.turns(3)
    assert len(post.said) == 1


async def test_a_notice_that_could_not_be_written_down_is_said_once_more(post: Post) -> None:
    post.breaks("notice_done")
    await post.owe(key="cancel.nothing")
    await post.turns(4)
    assert len(post.said) == 2
    assert await post.notice_states() == ["sent"]


async def test_a_notice_that_cannot_be_marked_is_not_begun(
    post: Post, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "bot.delivery")  # a logged error would hold on to what was begun
    post.breaks("sending")
    await post.owe(key="cancel.nothing")
    await post.turn()
    gc.collect()
    assert not [warning for warning in recwarn if "never awaited" in str(warning.message)]
    await post.turn()
    assert len(post.said) == 1


async def test_a_notice_that_can_never_be_written_down_is_said_twice_at_most(post: Post) -> None:
    post.breaks("notice_done", times=9)
    await post.owe(key="cancel.nothing")
    await post.turns(10)
    assert len(post.said) == 2
    assert await post.notice_states() == ["failed"]


async def test_a_notice_whose_fate_cannot_be_written_down_at_all_is_looked_after_later(post: Post) -> None:
    post.breaks("notice_done")
    post.breaks("after_own_error")
    await post.owe(key="cancel.nothing")
    await post.turn()
    assert await post.notice_states() == ["sending"]
    await post.turns(3)
    assert len(post.said) == 2
    assert await post.notice_states() == ["sent"]


async def test_a_stray_status_says_that_its_job_ended_elsewhere(post: Post) -> None:
    post.box.faults.drop_after_applying("sendMessage")
    job = await post.delivered()
    stray = post.said[0]
    assert stray.button("Cancel")
    inbox_id = await post.store.update(1, post.person.id)
    await post.deliverer.jobs.cancel(post.user, job.public_id, inbox_id, stray.id)
    await post.turns(2)
    assert "ended" in post.person.message(stray.id).text
    assert not post.person.message(stray.id).buttons
    assert len(post.said) == 2


async def test_a_notice_for_who_blocked_the_bot_is_given_up(post: Post) -> None:
    await post.person.blocks()
    await post.owe(key="cancel.nothing")
    await post.turns(3)
    assert await post.notice_states() == ["failed"]


# Views and files


async def test_one_picture_of_a_sheet_is_opened_in_place(post: Post) -> None:
    job = await post.delivered()
    sheet = post.photos[0].id
    await post.owe(key="view", params={"index": 2}, job_id=job.id, edit_message_id=sheet)
    await post.turns(2)
    (photo,) = post.photos
    assert (photo.id, photo.photo_size) == (sheet, (512, 512))
    assert "· 2 ·" in photo.labels
    pixel = Image.open(io.BytesIO(photo.photo)).getpixel((256, 256))
    assert pixel == pytest.approx((0, 255, 0), abs=3)


async def test_a_view_opened_again_uploads_nothing(post: Post) -> None:
    job = await post.delivered()
    sheet = post.photos[0].id
    for number, index in enumerate((2, 0, 2, 0)):
        await post.owe(key="view", params={"index": index}, job_id=job.id, edit_message_id=sheet, dedupe_key=f"{number}")
        await post.turn()
    assert post.photos[0].photo_size == (1032, 1032)
    uploads = [call for call in post.box.ledger.of("editMessageMedia") if "attach://" in str(call.params)]
    assert len(uploads) == 2


async def test_a_file_sent_twice_is_uploaded_once(post: Post) -> None:
    job = await post.delivered()
    for number in range(2):
        await post.owe(key="file", params={"index": 2}, job_id=job.id, dedupe_key=f"{number}")
        await post.turn()
    first, again = [message for message in post.said if message.has_document]
    assert first.document == again.document
    uploads = [call for call in post.box.ledger.of("sendDocument") if "attach://" in str(call.params)]
    assert len(uploads) <= 1 < len(post.box.ledger.of("sendDocument"))


async def test_a_file_that_cannot_be_read_for_a_while_is_sent_once_at_last(post: Post) -> None:
    job = await post.delivered()
    post.breaks("pictures_of", times=4)
    await post.owe(key="file", params={"index": 1}, job_id=job.id)
    await post.turns(6)
    assert [message.has_document for message in post.said] == [False, True]


@pytest.mark.parametrize("key", ["view", "file"])
async def test_a_view_or_file_of_a_message_that_was_deleted_leaves_no_error(
    post: Post, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = await post.delivered()
    sheet = post.photos[0].id
    await post.person.deletes(sheet)
    await post.owe(
        key=key,
        params={"index": 1},
        job_id=job.id,
        edit_message_id=sheet if key == "view" else None,
        reply_to_message_id=sheet if key == "file" else None,
    )
    await post.turns(2)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert await post.notice_states() == ["failed" if key == "view" else "sent"]
    assert len(post.said) == (0 if key == "view" else 1)


@pytest.mark.parametrize(("index", "size"), [(1, (512, 512)), (0, (1032, 1032))])
async def test_a_file_comes_without_loss_under_its_picture(post: Post, index: int, size: tuple[int, int]) -> None:
    job = await post.delivered()
    sheet = post.photos[0].id
    await post.owe(key="file", params={"index": index}, job_id=job.id, reply_to_message_id=sheet)
    await post.turns(2)
    (sent,) = [message for message in post.said if message.has_document]
    picture = Image.open(io.BytesIO(sent.document))
    assert (picture.format, picture.size, sent.reply_to) == ("PNG", size, sheet)
    assert picture.getpixel((0, 0)) == (255, 0, 0)
    ((seed,),) = await post.store.sql("SELECT seed FROM picture ORDER BY id LIMIT 1")
    assert sent.document_name == f"kandinsky-red-circle-blue-background-{seed}.png"

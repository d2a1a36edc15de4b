"""What SQL says is owed reaches the chat: results by edit exactly once, everything else as well as can be known."""

import asyncio
import contextlib
import io
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiogram import Bot
from PIL import Image

from bot.delivery import Deliverer
from bot.jobs import Jobs, job_notice
from bot.limiter import Limiter
from bot.messages import Messages
from bot.settings import JobSettings
from bot.texts import Texts
from sandbox.person import Person
from sandbox.server import Sandbox
from sandbox.shown import Shown
from storage.database import Database
from storage.domain import Job, JobState, NewNotice, NewPicture, SendState, User, WorkerState
from storage.media import MediaStore
from storage.repositories.jobs import JobRepository
from storage.repositories.outgoing import DeliveryRepository, NoticeRepository
from storage.repositories.pictures import PictureRepository
from storage.repositories.workers import WorkerRepository
from tests.storage.made import BOT, FAMILY, LANES, PROMPT, Store

COLOURS = ("red", "lime", "blue", "black")


def _png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def nobody(queue: str, times: int) -> None:
    """No worker listens for bells here."""


@dataclass
class Post:
    """One person's chat, the database, and a deliverer that the test moves on."""

    box: Sandbox
    person: Person
    user: User
    store: Store
    media: MediaStore
    deliverer: Deliverer
    now: list[float]

    async def turn(self, wait_s: float = 100.0) -> None:
        """Let `wait_s` pass for the limiter and for every retry, then send what is due, and wait until it is done."""
        self.now[0] += wait_s
        for table in ("delivery", "notice"):
            await self.store.sql(f"UPDATE {table} SET next_at = next_at - :wait", wait=wait_s)  # noqa: S608
        await self.deliverer.tick()
        while self.deliverer._tasks:
            await asyncio.gather(*self.deliverer._tasks)

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await self.turn()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver as the bot does, by its own clock."""
        task = asyncio.create_task(self.deliverer.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def drawn(self, count: int = 4, **changes: Any) -> Job:
        """Queue a job and draw it at once: its status and its result are owed."""
        return await self.draw(await self.store.job(self.user, count, **changes))

    async def draw(self, job: Job) -> Job:
        running = await self.store.claimed()
        assert running.id == job.id
        count = int((await self.store.quota(job))["reserve"])
        media_ids = [self.media.put(_png(colour), ".png") for colour in COLOURS[:count]]
        pictures = [NewPicture(number, media_id, 7 + number, 128, 128) for number, media_id in enumerate(media_ids)]
        async with self.store.database.begin() as session:
            await JobRepository(session).rendered(running, "toy", media_ids[0].partition(".")[0])
            await PictureRepository(session).add_results(running, pictures)
        return await self.store.get(job)

    async def delivered(self, count: int = 4) -> Job:
        job = await self.drawn(count)
        await self.turns(2)
        job = await self.store.get(job)
        assert job.state == JobState.DELIVERED
        return job

    async def mark(self, job: Job, ordinal: int, state: SendState) -> None:
        async with self.store.database.begin() as session:
            await DeliveryRepository(session).mark(job.id, ordinal, state)

    async def owe(self, **changes: Any) -> None:
        values = {"bot_id": BOT, "chat_id": self.person.id, "user_id": self.user.id, "dedupe_key": "toy", "params": {}}
        async with self.store.database.begin() as session:
            await NoticeRepository(session).add(NewNotice(**(values | changes)))  # type: ignore[arg-type]

    @property
    def said(self) -> list[Shown]:
        return [message for message in self.person.chat if message.from_bot]

    @property
    def photos(self) -> list[Shown]:
        return [message for message in self.said if message.has_photo]

    async def states(self) -> list[str]:
        return [str(state) for (state,) in await self.store.sql("SELECT state FROM delivery ORDER BY job_id, ordinal")]

    async def notice_states(self) -> list[str]:
        return [str(state) for (state,) in await self.store.sql("SELECT state FROM notice ORDER BY id")]


@pytest.fixture
async def post(
    box: Sandbox, anna: Person, bot: Bot, database: Database, store: Store, texts: Texts, settings: JobSettings, tmp_path: Path
) -> Post:
    now = [1000.0]
    media = MediaStore(str(tmp_path / "pictures"))
    jobs = Jobs(database, settings, nobody)
    deliverer = Deliverer(database, bot, jobs, Messages(texts), media, settings, Limiter(lambda: now[0]))
    return Post(box, anna, await store.user(anna.id, "en"), store, media, deliverer, now)


# The status


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


async def test_progress_is_shown_in_the_status(post: Post) -> None:
    job = await post.store.job(post.user)
    await post.turn()
    running = await post.store.claimed()
    async with post.store.database.begin() as session:
        await JobRepository(session).heartbeat(running, "step", 2, 4, 30)
    post.deliverer._shown.clear()  # long ago
    await post.turn()
    assert "2/4" in post.said[0].text
    assert (await post.store.get(job)).status_message_id == post.said[0].id


async def test_a_status_that_has_not_changed_is_not_edited(post: Post) -> None:
    await post.store.job(post.user)
    async with post.running():
        await post.person.sees_text("machine is up")
    assert post.box.ledger.of("editMessageText") == []
    assert post.box.ledger.refused == []


async def test_the_status_says_when_machines_are_up(post: Post) -> None:
    async with post.store.database.begin() as session:
        await WorkerRepository(session).seen("w1", FAMILY, LANES, "cpu", WorkerState.IDLE)
    await post.store.job(post.user)
    await post.turn()
    assert "place 1" in post.said[0].text


# The result


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


async def test_a_new_message_that_never_gets_an_answer_is_sent_twice_at_most(post: Post) -> None:
    job = await post.drawn()
    await post.turn()
    await post.person.deletes(post.said[0].id)
    post.box.faults.drop_after_applying("sendPhoto", times=5)
    await post.turns(5)
    assert len(post.photos) == 2
    now = await post.store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "undeliverable")
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
        await post.turn()
        assert (await post.store.get(job)).state == JobState.RENDERED
        await post.store.sql("UPDATE delivery SET attempt = 8")
        await post.turn()
    now = await post.store.get(job)
    assert (now.state, now.error_class) == (JobState.FAILED, "undeliverable")
    await post.delivered()


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


async def test_a_drawing_of_who_blocked_the_bot_is_asked_to_stop(post: Post) -> None:
    job = await post.store.job(post.user)
    await post.store.claimed()
    await post.person.blocks()
    await post.turn()
    now = await post.store.get(job)
    assert (now.state, now.cancel_requested) == (JobState.RUNNING, True)


# Notices


async def test_a_notice_is_said_once_under_its_message(post: Post) -> None:
    asked = post.person.chat[-1].id
    await post.owe(key="cancel.nothing", reply_to_message_id=asked)
    await post.turns(3)
    (said,) = post.said
    assert said.reply_to == asked
    assert said.text == "Nothing of yours is waiting or being drawn now."
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
    assert "Nothing was charged" in said.text or "nothing was charged" in said.text
    assert said.labels == ["🔁 Try again"]


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
    assert ("so it counts" in post.said[0].text) != refund


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
    assert sent.document_name.startswith(f"kandinsky-{job.public_id}")


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

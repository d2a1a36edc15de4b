"""What is owed to chats, and what became of it."""

import asyncio
from typing import Any

import pytest

from storage.domain import JobState
from storage.errors import LostLease
from storage.post import Delivery, NewNotice, Notice, SendState
from storage.repositories.outgoing import DeliveryRepository, NoticeRepository, PauseRepository
from storage.repositories.workers import LeaseRepository
from tests.storage.made import BOT, Store


async def _due(store: Store, ordinal: int) -> list[int]:
    async with store.database.read() as session:
        return [job.id for _, job in await DeliveryRepository(session).due(BOT, ordinal)]


async def _mark(store: Store, job_id: int, ordinal: int, state: SendState, **values: Any) -> None:
    async with store.database.begin() as session:
        await DeliveryRepository(session).mark(job_id, ordinal, state, **values)


async def _notice(store: Store, key: str = "toy", **changes: Any) -> bool:
    values: dict[str, Any] = {"bot_id": BOT, "chat_id": 10, "key": key, "dedupe_key": f"u:{key}"}
    async with store.database.begin() as session:
        return await NoticeRepository(session).add(NewNotice(**(values | changes)))


async def _notices(store: Store) -> list[Notice]:
    async with store.database.read() as session:
        return await NoticeRepository(session).due(BOT)


async def _mark_notice(store: Store, notice: Notice, state: SendState, **values: Any) -> None:
    async with store.database.begin() as session:
        await NoticeRepository(session).mark(notice.id, state, **values)


async def test_a_status_is_owed_from_the_first_moment_until_it_is_tried(store: Store) -> None:
    job = await store.job(await store.user())
    assert await _due(store, 0) == [job.id]
    for state in (SendState.SENDING, SendState.UNKNOWN, SendState.SENT, SendState.FAILED):
        await _mark(store, job.id, 0, state)
        assert await _due(store, 0) == []


async def test_a_chat_that_is_owed_much_keeps_nobody_else_waiting(store: Store) -> None:
    crowd, single = await store.user(), await store.user()
    owed = [await store.job(crowd) for _ in range(3)] + [await store.job(single)]
    async with store.database.read() as session:
        statuses = await DeliveryRepository(session).due(BOT, 0, limit=2)
    assert [job.id for _, job in statuses] == [owed[0].id, owed[-1].id]
    for job in owed:
        await _mark(store, job.id, 0, SendState.SENT)
        await store.rendered(await store.claimed())
    async with store.database.read() as session:
        results = await DeliveryRepository(session).due(BOT, 1, limit=2)
    assert [job.id for _, job in results] == [owed[0].id, owed[-1].id]


@pytest.mark.parametrize(
    ("status", "may_go"),
    [
        (SendState.PENDING, False),
        (SendState.SENDING, False),
        (SendState.SENT, True),
        (SendState.UNKNOWN, True),
        (SendState.FAILED, True),
    ],
)
async def test_a_result_waits_until_its_status_is_settled(store: Store, status: SendState, may_go: bool) -> None:
    await store.job(await store.user())
    job = await store.rendered(await store.claimed())
    await _mark(store, job.id, 0, status)
    assert await _due(store, 1) == ([job.id] if may_go else [])


@pytest.mark.parametrize(
    ("state", "goes"),
    [(SendState.PENDING, True), (SendState.UNKNOWN, True), (SendState.SENDING, False), (SendState.SENT, False)],
)
async def test_a_result_of_unknown_fate_is_due_again(store: Store, state: SendState, goes: bool) -> None:
    await store.job(await store.user())
    job = await store.rendered(await store.claimed())
    await _mark(store, job.id, 0, SendState.SENT)
    await _mark(store, job.id, 1, state)
    assert await _due(store, 1) == ([job.id] if goes else [])


async def test_nothing_is_due_for_an_ended_job(store: Store) -> None:
    await store.job(await store.user())
    job = await store.rendered(await store.claimed())
    await _mark(store, job.id, 0, SendState.SENT)
    await store.finish(job, JobState.FAILED)
    assert await _due(store, 1) == []


async def test_another_bots_messages_are_not_ours(store: Store) -> None:
    await store.job(await store.user(bot_id=BOT + 1))
    assert await _due(store, 0) == []


async def test_a_retry_waits_and_counts(store: Store) -> None:
    job = await store.job(await store.user())
    await _mark(store, job.id, 0, SendState.PENDING, retry_s=60, error="429")
    assert await _due(store, 0) == []
    await store.sql("UPDATE delivery SET next_at = 0")
    async with store.database.read() as session:
        ((delivery, _),) = await DeliveryRepository(session).due(BOT, 0)
    assert delivery.attempt == 1


async def test_what_telegram_answered_is_kept(store: Store) -> None:
    job = await store.job(await store.user())
    await _mark(store, job.id, 0, SendState.SENT, message_id=77, file_id="F", file_unique_id="U")
    await _mark(store, job.id, 0, SendState.SENT)
    async with store.database.read() as session:
        deliveries = DeliveryRepository(session)
        assert await deliveries.file_id(job.id, 0) == "F"
        assert await deliveries.file_id(job.id, 1) is None
    assert await store.sql("SELECT message_id, file_unique_id, sent_at IS NOT NULL FROM delivery") == [(77, "U", 1)]


@pytest.mark.parametrize("state", SendState)
async def test_the_state_of_what_is_owed_can_be_asked(store: Store, state: SendState) -> None:
    job = await store.job(await store.user())
    await _notice(store)
    (notice,) = await _notices(store)
    await _mark(store, job.id, 0, state)
    await _mark_notice(store, notice, state)
    async with store.database.read() as session:
        assert await DeliveryRepository(session).state(job.id, 0) == state
        assert await DeliveryRepository(session).state(job.id, 1) is None
        assert await NoticeRepository(session).state(notice.id) == state
        assert await NoticeRepository(session).state(notice.id + 1) is None


async def test_what_a_dead_deliverer_was_sending_is_unknown(store: Store) -> None:
    ours, theirs = await store.job(await store.user()), await store.job(await store.user(bot_id=BOT + 1))
    waiting = await store.job(await store.user())
    for job in (ours, theirs):
        await _mark(store, job.id, 0, SendState.SENDING)
    await _notice(store)
    await _mark_notice(store, (await _notices(store))[0], SendState.SENDING)
    async with store.database.begin() as session:
        await DeliveryRepository(session).interrupted(BOT)
    states = dict(await store.sql("SELECT job_id, state FROM delivery"))
    assert states == {ours.id: "unknown", theirs.id: "sending", waiting.id: "pending"}
    assert [notice.state for notice in await _notices(store)] == [SendState.UNKNOWN]


async def test_a_notice_is_stored_once(store: Store) -> None:
    assert await _notice(store, "first", dedupe_key="one")
    assert not await _notice(store, "second", dedupe_key="one")
    assert [notice.key for notice in await _notices(store)] == ["first"]


async def test_a_notices_values_come_back_as_they_were(store: Store) -> None:
    values = {"words": ["кот", "<b>"], "limit": 3, "choices": [{"label": "★", "prompt": "a red star"}], "zero": "\x00"}
    await _notice(store, params=values, edit_message_id=5, reply_to_message_id=6)
    (notice,) = await _notices(store)
    assert notice.params == values
    assert (notice.edit_message_id, notice.reply_to_message_id, notice.state) == (5, 6, SendState.PENDING)


async def test_notices_to_a_chat_go_out_oldest_first(store: Store) -> None:
    for key in ("a", "b", "c"):
        await _notice(store, key)
    gone = []
    while due := await _notices(store):
        (notice,) = due
        gone.append(notice.key)
        await _mark_notice(store, notice, SendState.SENT)
    assert gone == ["a", "b", "c"]


async def test_each_chat_is_due_its_oldest_notice(store: Store) -> None:
    for number in range(200):
        await _notice(store, f"many-{number}")
    await _notice(store, "other", chat_id=11)
    assert [notice.key for notice in await _notices(store)] == ["many-0", "other"]


async def test_a_notice_that_waits_does_not_hold_up_the_next(store: Store) -> None:
    await _notice(store, "a")
    await _notice(store, "b")
    await _mark_notice(store, (await _notices(store))[0], SendState.PENDING, retry_s=60)
    assert [notice.key for notice in await _notices(store)] == ["b"]


async def test_a_notice_that_replaces_a_status_waits_for_it(store: Store) -> None:
    job = await store.job(await store.user())
    await _notice(store, job_id=job.id)
    assert await _notices(store) == []
    await _mark(store, job.id, 0, SendState.UNKNOWN)
    assert len(await _notices(store)) == 1


@pytest.mark.parametrize("state", [SendState.SENDING, SendState.SENT, SendState.FAILED])
async def test_a_tried_notice_is_not_due(store: Store, state: SendState) -> None:
    await _notice(store)
    await _mark_notice(store, (await _notices(store))[0], state)
    assert await _notices(store) == []


async def test_a_notice_retried_waits_and_counts(store: Store) -> None:
    await _notice(store)
    await _mark_notice(store, (await _notices(store))[0], SendState.PENDING, retry_s=60, error="502")
    assert await _notices(store) == []
    await store.sql("UPDATE notice SET next_at = 0")
    assert [notice.attempt for notice in await _notices(store)] == [1]


async def test_settled_notices_of_a_button_are_counted_by_their_exact_beginning(store: Store) -> None:
    for chat_id, key in enumerate(("view:1:0", "view:1:1", "view:10:0", "view%1:0"), start=10):
        await _notice(store, key, dedupe_key=key, chat_id=chat_id)
    for notice in await _notices(store):
        if notice.key != "view:1:1":
            await _mark_notice(store, notice, SendState.SENT)
    async with store.database.read() as session:
        notices = NoticeRepository(session)
        assert await notices.settled_count("view:1:") == 1
        assert await notices.settled_count("view%") == 1


async def test_a_notices_values_are_its_persons_alone(store: Store) -> None:
    owner, other = await store.user(), await store.user()
    await _notice(store, user_id=owner.id, params={"choices": []})
    (notice,) = await _notices(store)
    async with store.database.read() as session:
        notices = NoticeRepository(session)
        assert await notices.params(notice.public_id, owner.id) == {"choices": []}
        assert await notices.params(notice.public_id, other.id) is None
        assert await notices.params("no-such-notice", owner.id) is None


async def test_only_the_last_look_of_a_message_is_owed(store: Store) -> None:
    for key, changes in {
        "first": {"edit_message_id": 5},
        "elsewhere": {"edit_message_id": 6},
        "other-chat": {"edit_message_id": 5, "chat_id": 11},
        "new": {},
    }.items():
        await _notice(store, key, **changes)
    async with store.database.begin() as session:
        await NoticeRepository(session).supersede_edits(BOT, 10, 5)
    owed = await store.sql("SELECT key FROM notice WHERE state = 'pending' ORDER BY id")
    assert [key for (key,) in owed] == ["elsewhere", "other-chat", "new"]


async def test_what_was_sent_already_stays_written_down(store: Store) -> None:
    await _notice(store, edit_message_id=5)
    (notice,) = await _notices(store)
    await _mark_notice(store, notice, SendState.SENT)
    async with store.database.begin() as session:
        await NoticeRepository(session).supersede_edits(BOT, 10, 5)
    assert await store.sql("SELECT state, error FROM notice") == [("sent", None)]


async def test_what_a_later_press_superseded_is_not_tried_again(store: Store) -> None:
    """It may be on its way at that moment; only that it arrived is still written down."""
    await _notice(store, edit_message_id=5)
    (notice,) = await _notices(store)
    async with store.database.begin() as session:
        await NoticeRepository(session).supersede_edits(BOT, 10, 5)
    await _mark_notice(store, notice, SendState.PENDING, retry_s=0.0, error="429")
    assert await _notices(store) == []
    await _mark_notice(store, notice, SendState.SENT)
    assert await store.number("SELECT state FROM notice") == "sent"


async def test_settling_what_was_superseded_leaves_the_next_notice_owed(store: Store) -> None:
    await _notice(store, edit_message_id=5)
    (old,) = await _notices(store)
    async with store.database.begin() as session:
        await NoticeRepository(session).supersede_edits(BOT, 10, 5)
    await _notice(store, "next", edit_message_id=5)
    await _mark_notice(store, old, SendState.SENT)
    assert [notice.key for notice in await _notices(store)] == ["next"]


async def _statuses(store: Store) -> list[Delivery]:
    async with store.database.read() as session:
        return [delivery for delivery, _ in await DeliveryRepository(session).due(BOT, 0)]


async def test_a_message_is_begun_by_one_of_two_who_have_read_it(store: Store) -> None:
    await store.job(await store.user())
    (read,) = await _statuses(store)
    async with store.database.begin() as session:
        await DeliveryRepository(session).begin(read)
    async with store.database.begin() as session:
        with pytest.raises(LostLease):
            await DeliveryRepository(session).begin(read)


async def test_a_message_whose_fate_became_unknown_is_not_begun_by_who_read_it_before(store: Store) -> None:
    """Else a second picture would come that does not say it is a copy."""
    job = await store.job(await store.user())
    (read,) = await _statuses(store)
    async with store.database.begin() as session:
        await DeliveryRepository(session).mark(job.id, 0, SendState.UNKNOWN)
        with pytest.raises(LostLease):
            await DeliveryRepository(session).begin(read)


async def test_nobody_begins_without_the_lease(store: Store) -> None:
    await store.job(await store.user())
    (read,) = await _statuses(store)
    async with store.database.begin() as session:
        assert await LeaseRepository(session).take("deliver", "another process", 60)
        with pytest.raises(LostLease):
            await DeliveryRepository(session).begin(read, ("deliver", "this process"))
        await LeaseRepository(session).drop("deliver", "another process")
        assert await LeaseRepository(session).take("deliver", "this process", 60)
        await DeliveryRepository(session).begin(read, ("deliver", "this process"))


async def test_what_is_being_sent_is_not_taken_for_left_behind(store: Store) -> None:
    mine, left = [await store.job(await store.user()) for _ in range(2)]
    async with store.database.begin() as session:
        deliveries = DeliveryRepository(session)
        for job in (mine, left):
            await deliveries.mark(job.id, 0, SendState.SENDING)
        await deliveries.interrupted(BOT, [Delivery(mine.id, 0, SendState.PENDING, 0, None)])
        assert await deliveries.state(mine.id, 0) == SendState.SENDING
        assert await deliveries.state(left.id, 0) == SendState.UNKNOWN


@pytest.mark.parametrize("state", [SendState.SENT, SendState.FAILED])
@pytest.mark.parametrize("late", [SendState.PENDING, SendState.UNKNOWN])
async def test_what_has_ended_is_not_owed_again(store: Store, state: SendState, late: SendState) -> None:
    job = await store.job(await store.user())
    await _notice(store)
    (notice,) = await _notices(store)
    for end in (state, late):
        await _mark(store, job.id, 0, end, retry_s=0.0)
        await _mark_notice(store, notice, end, retry_s=0.0)
    assert await store.sql("SELECT state FROM delivery UNION ALL SELECT state FROM notice") == [(state,), (state,)]


async def test_an_orphan_look_without_the_lease_changes_nothing(store: Store) -> None:
    job = await store.job(await store.user())
    await _mark(store, job.id, 0, SendState.SENDING)
    async with store.database.begin() as session:
        await LeaseRepository(session).take("deliver", "another process", 60)
        await DeliveryRepository(session).interrupted(BOT, lease=("deliver", "this process"))
        assert await DeliveryRepository(session).state(job.id, 0) == SendState.SENDING


async def test_a_lease_that_has_run_out_begins_nothing(store: Store) -> None:
    await store.job(await store.user())
    (read,) = await _statuses(store)
    async with store.database.begin() as session:
        await LeaseRepository(session).take("deliver", "this process", -1)
        with pytest.raises(LostLease):
            await DeliveryRepository(session).begin(read, ("deliver", "this process"))


async def test_a_notice_whose_second_try_is_cut_off_is_given_up(store: Store) -> None:
    await _notice(store)
    states = []
    for _ in range(2):
        (notice,) = await _notices(store)
        async with store.database.begin() as session:
            await NoticeRepository(session).begin(notice)
            await DeliveryRepository(session).interrupted(BOT)
            states.append(await NoticeRepository(session).state(notice.id))
    assert states == [SendState.UNKNOWN, SendState.FAILED]


async def test_a_rest_is_known_until_it_ends_and_never_gets_shorter(store: Store) -> None:
    async with store.database.begin() as session:
        pauses = PauseRepository(session)
        await pauses.put(BOT, {10: 30.0, 0: 5.0, 11: -1.0})
        await pauses.put(BOT, {10: 2.0, 0: 9.0})
        await pauses.put(BOT + 1, {12: 60.0})
    async with store.database.begin() as session:
        pauses = PauseRepository(session)
        assert {chat: round(rest_s) for chat, rest_s in (await pauses.left(BOT)).items()} == {10: 30, 0: 9}
        await pauses.forget_older(BOT, 60)
    assert await store.number("SELECT count(*) FROM pause") == 4
    async with store.database.begin() as session:
        await PauseRepository(session).forget_older(BOT, 0)
    assert await store.sql("SELECT chat_id FROM pause ORDER BY chat_id") == [(0,), (10,), (12,)]


async def test_rests_that_are_written_at_once_are_all_kept(store: Store) -> None:
    async def put(chat_id: int) -> None:
        async with store.database.begin() as session:
            await PauseRepository(session).put(BOT, {chat_id: 20.0, 0: 90.0 if chat_id == 3 else 20.0})

    await asyncio.gather(*(put(chat_id) for chat_id in range(1, 9)))
    async with store.database.read() as session:
        left = await PauseRepository(session).left(BOT)
    assert len(left) == 9
    assert left[0] > 60

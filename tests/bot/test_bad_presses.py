"""Buttons that nobody drew, from intake to the chat: a word or a window or nothing, never an error, never lost."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from storage.domain import Job, JobState
from tests.bot.house import House

Json = dict[str, Any]
GROUP = {"id": -1001234567890, "type": "supergroup", "title": "Friends"}
NOT_YOURS = "not yours"


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def press(house: House, forged: str, **changes: Any) -> Json:
    """Press a forged button, changed as the test wishes; None takes a field away. Returns what answered it."""
    await house.anna.presses_data(forged)
    query = house.last()["callback_query"] | changes
    await house.gets({"callback_query": {name: value for name, value in query.items() if value is not None}})
    assert {state for state, *_ in await house.inbox()} == {"done"}
    answer = house.answer()
    assert answer is not None
    return answer


async def drawn(house: House) -> Job:
    """A picture of Anna's, delivered."""
    return await house.post.delivered(1)


FORGED = {
    "C1 empty": "",
    "C2 65 bytes": "x" * 65,
    "C2 66 bytes": "й" * 33,
    "C2 65 bytes of ours": "v1:open:" + "x" * 57,
    "C3 unknown prefix": "v9:open:x:1",
    "C3 nearly ours": "V1:open:x:1",
    "C4 too few": "v1:open",
    "C4 too many": "v1:open:a:1:2:3",
    "C4 no number": "v1:open:a:one",
    "C4 empty fields": "v1:::",
    "C4 huge number": "v1:open:a:" + "9" * 50,
    "C4 choice without": "say:x",
    "C4 cancel without": "v1c:",
    "C6 absent job": "v1:again:AAAAAAAAAAAAAAAA:0",
    "C6 absent job to cancel": "v1c:AAAAAAAAAAAAAAAA",
    "C6 absent notice": "say:AAAAAAAAAAAAAAAA:0",
    "C13 NUL": "v1:open:\x00:1",
    "C13 NUL alone": "\x00",
    "C13 NUL to cancel": "v1c:\x00",
    "C13 NUL in a notice": "say:\x00:0",
    "C13 controls": "\x01\x02\x7f\x85",
    "C13 override": "v1:open:\u202e:1",
    "C13 surrogate": "v1c:\ud800",
    "C13 noncharacter": "say:\uffff:0",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_button_opens_a_window_with_words(house: House, name: str) -> None:
    answer = await press(house, FORGED[name])
    assert NOT_YOURS in answer["text"]
    assert answer["show_alert"]
    assert await house.jobs() == 0


ACTIONS = (
    "v1:open:{}:1",
    "v1:file:{}:1",
    "v1:again:{}:0",
    "v1:same:{}:0",
    "v1:careful:{}:0",
    "v1c:{}",
    "v1r:{}:0:",
    "v1r:{}:1:unsafe",
)


@pytest.mark.parametrize("data", ACTIONS)
async def test_c5_another_persons_job_is_as_absent_as_none(house: House, data: str) -> None:
    person = house.box.person("Boris")
    await person.says("hello")
    job = await house.store.job(await house.store.user(person.id))
    answer = await press(house, data.format(job.public_id))
    assert NOT_YOURS in answer["text"]
    assert await house.jobs() == 1
    assert (await house.store.get(job)).state == JobState.QUEUED


@pytest.mark.parametrize("action", ["open", "file", "same", "careful"])
@pytest.mark.parametrize("index", [-1, 5, 99])
async def test_a_picture_that_the_job_does_not_have_is_absent(house: House, action: str, index: int) -> None:
    job = await drawn(house)
    assert NOT_YOURS in (await press(house, f"v1:{action}:{job.public_id}:{index}"))["text"]
    assert NOT_YOURS in (await press(house, f"v1r:{job.public_id}:{index}:unsafe"))["text"]


@pytest.mark.parametrize("to", [JobState.FAILED, JobState.CANCELLED, JobState.QUEUED])
@pytest.mark.parametrize("data", ["v1:open:{}:1", "v1:open:{}:0", "v1:file:{}:1", "v1:file:{}:0", "v1r:{}:0:unsafe"])
async def test_c7_a_job_without_pictures_has_none_to_show(house: House, to: JobState, data: str) -> None:
    job = await house.store.job(house.post.user)
    if to != JobState.QUEUED:
        await house.store.finish(job, to, refund=True)
    answer = await press(house, data.format(job.public_id))
    assert NOT_YOURS in answer["text"]


async def test_c7_a_finished_job_is_not_cancelled(house: House) -> None:
    job = await drawn(house)
    assert "Too late" in (await press(house, f"v1c:{job.public_id}"))["text"]
    assert (await house.store.get(job)).state == JobState.DELIVERED


async def test_c8_a_press_that_comes_again_is_the_same_wish(house: House) -> None:
    job = await drawn(house)
    under = house.post.photos[-1].raw
    for words in ("Drawing", "Already", "Already"):
        assert words in (await press(house, f"v1:again:{job.public_id}:0", message=under))["text"]
    assert await house.jobs() == 2


async def test_c8_a_replayed_update_is_nothing_new(house: House) -> None:
    job = await drawn(house)
    await house.anna.presses_data(f"v1:again:{job.public_id}:0")
    event = {"callback_query": house.last()["callback_query"]}
    await house.gets(event, event)
    assert await house.jobs() == 2


WITHOUT_ITS_MESSAGE: dict[str, Json] = {
    "C9 absent": {"message": None},
    "C10 inline": {"message": None, "inline_message_id": "AQAAAAAAAAAA"},
}


@pytest.mark.parametrize("name", WITHOUT_ITS_MESSAGE)
async def test_a_button_under_no_message_of_ours_is_answered_and_does_nothing(house: House, name: str) -> None:
    job = await drawn(house)
    await press(house, f"v1:again:{job.public_id}:0", **WITHOUT_ITS_MESSAGE[name])
    assert await house.jobs() == 1


async def test_c9_a_button_under_a_message_long_gone_still_works(house: House) -> None:
    job = await drawn(house)
    gone = {"chat": {"id": house.anna.id, "type": "private", "first_name": "Anna"}, "message_id": 5, "date": 0}
    assert "Drawing" in (await press(house, f"v1:again:{job.public_id}:0", message=gone))["text"]
    assert await house.jobs() == 2


async def test_c11_a_button_of_anothers_picture_in_a_group_is_refused(house: House) -> None:
    job = await drawn(house)
    message = {"message_id": 5, "date": 1, "chat": GROUP, "text": "x"}
    boris = {"id": 99, "is_bot": False, "first_name": "Boris"}
    answer = await press(house, f"v1:again:{job.public_id}:0", message=message, **{"from": boris})
    assert NOT_YOURS in answer["text"]
    assert await house.jobs() == 1


async def test_a_picture_in_a_group_is_reported_by_whoever_sees_it_and_nobody_else(house: House) -> None:
    job = await drawn(house)
    message = {"message_id": 5, "date": 1, "chat": GROUP, "text": "x"}
    boris = {"id": 99, "is_bot": False, "first_name": "Boris"}
    assert NOT_YOURS in (await press(house, f"v1r:{job.public_id}:1:", message=message, **{"from": boris}))["text"]
    await house.store.sql("UPDATE job SET chat_id = :id", id=GROUP["id"])
    assert "Thank you" in (await press(house, f"v1r:{job.public_id}:1:", message=message, **{"from": boris}))["text"]
    assert "already" in (await press(house, f"v1r:{job.public_id}:1:", message=message, **{"from": boris}))["text"]
    assert await house.store.sql("SELECT picture, reason FROM report") == [(1, "other")]


@pytest.mark.parametrize("data", ["v1pr:export", "v1pr:forget", "v1fo:yes:", "v1fo:no:", "v1fo:undo:"])
async def test_what_is_ones_own_is_not_for_a_group(house: House, data: str) -> None:
    message = {"message_id": 5, "date": 1, "chat": GROUP, "text": "x"}
    assert NOT_YOURS in (await press(house, data, message=message))["text"]
    assert await house.store.sql("SELECT * FROM erasure") == []
    assert await house.store.sql("SELECT * FROM notice") == []


async def test_c12_a_press_that_is_too_old_to_answer_still_counts(house: House) -> None:
    job = await drawn(house)
    await house.anna.presses_data(f"v1:again:{job.public_id}:0")
    await house.gets({"callback_query": house.last()["callback_query"] | {"id": "123456789"}})
    assert {state for state, *_ in await house.inbox()} == {"done"}
    assert [call.error for call in house.box.ledger.refused if call.method == "answerCallbackQuery"] != []
    assert await house.jobs() == 2


async def test_c14_a_game_is_no_button_of_ours(house: House) -> None:
    answer = await press(house, "x", data=None, game_short_name="chess")
    assert NOT_YOURS in answer["text"]


PRESSERS: dict[str, Callable[[Json], Json]] = {
    "a bot": lambda user: user | {"is_bot": True},
    "far id": lambda user: user | {"id": 2**52},
    "no language": lambda user: {name: value for name, value in user.items() if name != "language_code"},
    "strange language": lambda user: user | {"language_code": "x" * 1000},
}


@pytest.mark.parametrize("name", PRESSERS)
async def test_whoever_presses_is_answered(house: House, name: str) -> None:
    user = {"id": house.anna.id, "is_bot": False, "first_name": "Anna", "language_code": "en"}
    await press(house, "v1c:AAAAAAAAAAAAAAAA", **{"from": PRESSERS[name](user)})

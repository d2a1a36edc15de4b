"""Cancel while waiting and while drawing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.person import Person
from tests.line import Line, new_line


async def begin_careful(person: Person) -> int:
    """Begin a drawing that takes a while; return its status message."""
    await person.says("a blue square")
    await person.sees_photo()
    russian = person.language_code == "ru"
    await person.presses("Тщательно" if russian else "With care")
    return (await person.sees_text("Рисую" if russian else "Drawing")).id


async def test_cancel_while_drawing_stops_and_returns_the_quota(line: Line, anna: Person) -> None:
    status = await begin_careful(anna)
    tap = await anna.presses("Cancel", status)
    assert "Stopping" in (await tap.answered()).text
    ended = await anna.sees_text("Cancelled", message_id=status)
    assert ended.button("Try again")
    [(state, step, steps)] = await line.sql("SELECT state, step, steps FROM job ORDER BY id DESC LIMIT 1")
    assert state == "cancelled"
    assert int(str(step)) < 50
    assert steps in (0, 50)


async def test_cancel_while_waiting_is_at_once(tmp_path: Path) -> None:
    async with new_line(tmp_path) as line, line.bot_running():  # no worker: whatever is accepted waits
        anna = line.sandbox.person("Anna", patience=60.0)
        await anna.says("a red star")
        status = await anna.sees_button("Cancel")
        await anna.presses("Cancel", status.id)
        assert "your limit is untouched" in (await anna.sees_text("Cancelled", message_id=status.id)).text
        assert await line.sql("SELECT entry FROM quota_ledger ORDER BY id") == [("reserve",), ("refund",)]


async def test_cancelling_one_never_touches_another(line: Line, anna: Person) -> None:
    await anna.says("a red star")
    second = await anna.says("a blue star")
    third = await anna.says("a green star")
    status = await anna.sees_button("Cancel")
    await anna.presses("Cancel", status.id)
    await anna.until(lambda: sum(m.has_photo for m in anna.chat) >= 2, "the others")
    assert second.id < third.id


async def test_try_again_after_cancel_draws_it(line: Line, anna: Person) -> None:
    status = await begin_careful(anna)
    await anna.presses("Cancel", status)
    await anna.sees_text("Cancelled", message_id=status)
    await anna.presses("Try again", status)
    assert "a blue square" in (await anna.sees_photo()).text


async def test_cancel_with_nothing_to_cancel_says_so(line: Line, boris: Person) -> None:
    await boris.says("/cancel")
    await boris.sees_text("Отменять нечего")


async def test_too_late_is_said(line: Line, anna: Person) -> None:
    await anna.says("a red heart")
    status = await anna.sees_button("Cancel")
    data = str(status.buttons[0][0]["callback_data"])
    await anna.sees_photo()
    answer = await (await anna.presses_data(data, status.id)).answered()
    assert answer.show_alert
    assert "Too late" in answer.text


@asynccontextmanager
async def waiting_line(folder: Path) -> AsyncIterator[Line]:
    """No worker: whatever is accepted waits."""
    async with new_line(folder) as line, line.bot_running():
        yield line


async def test_the_queue_lists_what_waits_and_cancels_it_in_place(tmp_path: Path) -> None:
    async with waiting_line(tmp_path) as line:
        anna = line.sandbox.person("Anna", patience=60.0)
        for prompt in ("a red star", "a blue star"):
            await anna.says(prompt)
            await anna.sees_button("Cancel")
        await anna.says("/queue")
        queue = await anna.sees_text("Your queue")
        assert queue.labels == ["✖️ 1. a red star", "✖️ 2. a blue star", "🔄 Refresh", "✖️ Cancel all"]
        tap = await anna.presses("1. a red star", queue.id)
        assert (await tap.answered()).text == "Stopped."
        queue = await anna.sees_text("1. a blue star", message_id=queue.id)
        assert queue.labels == ["✖️ 1. a blue star", "🔄 Refresh"]
        assert await line.sql("SELECT state FROM job ORDER BY id") == [("cancelled",), ("queued",)]
        await anna.until(lambda: sum("your limit is untouched" in message.text for message in anna.chat) == 1, "its own message")
        [status] = [message for message in anna.chat if message.labels == ["✖️ Cancel"]]
        await anna.presses("Cancel", status.id)  # elsewhere: the list learns of it by itself
        assert (await anna.sees_text("Nothing of yours is waiting", message_id=queue.id)).labels == []


async def test_the_queue_says_whose_turn_it_is_without_names(tmp_path: Path) -> None:
    async with waiting_line(tmp_path) as line:
        people = [line.sandbox.person(name, language, patience=60.0) for name, language in (("Anna", "en"), ("Борис", "ru"))]
        for person in people:
            await person.says("красная звезда")
            await person.sees_button("Отменить" if person.language_code == "ru" else "Cancel")
            await person.says("/queue")
        await people[1].sees_text("вы 2-й из 2 человек")
        await people[0].says("/queue")
        await people[0].sees_text("you are 1st of 2 people")
        assert not any("Борис" in message.text for message in people[0].chat)


async def test_over_the_limit_the_refusal_lists_what_can_be_stopped(tmp_path: Path) -> None:
    async with waiting_line(tmp_path) as line:
        boris = line.sandbox.person("Борис", "ru", patience=60.0)
        for colour in ("красная", "синяя", "белая"):
            await boris.says(f"{colour} звезда")
            await boris.sees_button("Отменить")
        await boris.says("зелёная звезда")
        refused = await boris.sees_text("уже 3 заказа из 3.")
        await boris.presses("2. синяя звезда", refused.id)
        await boris.sees_text("2. белая звезда", message_id=refused.id)
        await boris.says("зелёная звезда")
        await boris.sees_button("Отменить")
        assert await line.sql("SELECT count(*) FROM job WHERE state = 'queued'") == [(3,)]


async def test_cancel_all_asks_first(tmp_path: Path) -> None:
    async with waiting_line(tmp_path) as line:
        anna = line.sandbox.person("Anna", patience=60.0)
        for colour in ("red", "blue", "white"):
            await anna.says(f"a {colour} star")
            await anna.sees_button("Cancel")
        await anna.says("/cancel all")
        question = await anna.sees_text("Stop all 3 drawings?")
        await anna.presses("No, go on", question.id)
        await anna.sees_text("everything goes on", message_id=question.id)
        assert await line.sql("SELECT count(*) FROM job WHERE state = 'queued'") == [(3,)]
        await anna.says("/cancel ALL")
        question = await anna.sees_text("Stop all 3 drawings?")
        for _ in range(2):
            await anna.presses_data("v1ca:1", question.id)
        await anna.sees_text("Stopped 3 drawings", message_id=question.id)
        assert await line.sql("SELECT state, count(*) FROM job GROUP BY state") == [("cancelled", 3)]


async def test_nothing_to_cancel_at_all(line: Line, boris: Person) -> None:
    await boris.says("/cancel всё")
    await boris.sees_text("Отменять нечего")
    await boris.says("/queue")
    await boris.sees_text("ничего не ждёт")


async def test_a_job_of_the_queue_that_is_done_is_too_late(line: Line, anna: Person) -> None:
    await anna.says("a red heart")
    result = await anna.sees_photo()
    job = str(result.buttons[0][0]["callback_data"]).split(":")[2]
    answer = await (await anna.presses_data(f"v1q:cancel:{job}", result.id)).answered()
    assert "Too late" in answer.text

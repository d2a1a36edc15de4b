"""Cancel while waiting and while drawing."""

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
        assert "It does not count" in (await anna.sees_text("Cancelled", message_id=status.id)).text
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

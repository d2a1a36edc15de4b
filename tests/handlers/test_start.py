"""Hello and help."""

import pytest

from sandbox.person import Person
from tests.line import Line


@pytest.mark.parametrize("command", ["/start", "/help", "/start deep-link"])
async def test_four_examples_to_tap_and_a_tap_draws(line: Line, anna: Person, command: str) -> None:
    await anna.says(command)
    hello = await anna.sees(lambda message: len(message.labels) == 4)
    await anna.presses(hello.labels[0])
    assert hello.labels[0] in (await anna.sees_photo()).text


async def test_start_is_three_lines_and_honest_about_nano(line: Line, boris: Person) -> None:
    await boris.says("/start")
    hello = await boris.sees_text("Привет")
    assert len(hello.text.splitlines()) == 3
    for shape in ("круги", "квадраты", "треугольники", "звёзды", "сердца", "кресты"):
        assert shape in hello.text
    assert all(any("а" <= letter <= "я" for letter in label) for label in hello.labels)


async def test_commands_are_known_to_the_client_in_both_languages(line: Line, anna: Person) -> None:
    calls = [call for call in line.sandbox.ledger if call.method == "setMyCommands"]
    assert {call.params.get("language_code") for call in calls} == {None, "ru"}

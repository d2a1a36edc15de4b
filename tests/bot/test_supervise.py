"""The child processes of one machine."""

import pytest

from bot.supervise import engine_children
from engine import catalog


@pytest.mark.parametrize("family", ["kandinsky-nano", "kandinsky-3.1"])
def test_the_children_are_told_the_family_and_all_its_lanes(family: str) -> None:
    bot, worker = engine_children(family, {"TELEGRAM_TOKEN": "toy"})
    assert bot.arguments == ("run",)
    assert worker.arguments == ("worker", "--family", family, "--lanes", ",".join(catalog.family(family).lanes))
    for child in (bot, worker):
        assert child.environment == {"TELEGRAM_TOKEN": "toy", "DRAW_FAMILY": family}

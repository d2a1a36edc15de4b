"""What a report counts as wrong."""

import pytest

from sandbox.silences import Violation
from tests.chaos.report import Report, _judge_haste
from tests.chaos.rests import Rest

TOLD = 1000.0
EARLY = Violation("sendMessage", 7, early_s=0.5, told_at=TOLD, wall_time=TOLD + 1.5)  # told to wait for two seconds


@pytest.mark.parametrize(
    ("deaths", "rests", "wrong"),
    [
        ([], [], 1),  # nobody died: the word was heard
        ([TOLD + 0.1], [], 0),
        ([TOLD - 0.1], [], 1),  # who was dead before was told nothing
        ([TOLD + 0.6], [], 1),  # time enough to write it down
        ([TOLD + 0.1], [Rest(7, TOLD + 2.2, TOLD + 0.05)], 1),  # it was written down, and not obeyed
        ([TOLD + 0.1], [Rest(0, TOLD + 2.2, TOLD + 0.05)], 1),
        ([TOLD + 0.1], [Rest(8, TOLD + 2.2, TOLD + 0.05), Rest(7, TOLD - 30, TOLD - 33)], 0),
        ([TOLD + 0.1], [Rest(7, TOLD + 60, TOLD + 50)], 0),  # of a later word
    ],
)
def test_a_call_that_came_too_early_is_excused_only_if_nobody_alive_knew(
    deaths: list[float], rests: list[Rest], wrong: int
) -> None:
    report = Report("toy", 1)
    _judge_haste(report, [EARLY], deaths, rests)
    assert report.counts["unexpected"] == len(report.problems) == wrong
    assert len(report.notes) == 1 - wrong

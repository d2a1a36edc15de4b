"""What a report counts as wrong."""

import pytest

from sandbox.silences import Violation
from tests.chaos.report import Report, _judge_haste

TOLD = 1000.0
EARLY = Violation("sendMessage", 7, early_s=0.5, told_at=TOLD, wall_time=TOLD + 1.5)  # told to wait for two seconds


@pytest.mark.parametrize(
    ("deaths", "rests", "wrong"),
    [
        ([], {}, 1),  # nobody died: the word was heard
        ([TOLD + 0.1], {}, 0),
        ([TOLD - 0.1], {}, 1),  # who was dead before was told nothing
        ([TOLD + 0.4], {}, 1),  # time enough to write it down
        ([TOLD + 0.1], {7: TOLD + 2.2}, 1),  # it was written down, and not obeyed
        ([TOLD + 0.1], {0: TOLD + 2.2}, 1),
        ([TOLD + 0.1], {8: TOLD + 2.2, 7: TOLD - 30}, 0),
    ],
)
def test_a_call_that_came_too_early_is_excused_only_if_nobody_alive_knew(
    deaths: list[float], rests: dict[int, float], wrong: int
) -> None:
    report = Report("toy", 1)
    _judge_haste(report, [EARLY], deaths, rests)
    assert report.counts["unexpected"] == len(report.problems) == wrong
    assert len(report.notes) == 1 - wrong

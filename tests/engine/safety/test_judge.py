import logging

import pytest
from PIL import Image

from engine.outcomes import Drawn, Withheld
from engine.safety.judge import UNCHECKED, verdicts, withhold

PICTURES = tuple(Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (10, 20, 30, 40))
DRAWN = Drawn(PICTURES, (1, 2, 3, 4))


def finds(*shades: int):
    return lambda image: "sexual" if image.getpixel((0, 0))[0] in shades else None


def test_safe_pictures_come_as_they_are():
    assert withhold(DRAWN, finds()) == DRAWN


def test_only_the_unsafe_pictures_are_withheld():
    assert withhold(DRAWN, finds(20, 40)) == Drawn((PICTURES[0], PICTURES[2]), (1, 3), ("sexual", "sexual"))


def test_nothing_is_drawn_if_all_are():
    assert withhold(DRAWN, finds(10, 20, 30, 40)) == Withheld("sexual")


@pytest.mark.parametrize("error", [RuntimeError("no such kernel"), ValueError(), AttributeError("None")])
def test_a_picture_that_cannot_be_judged_is_withheld_alone(error: Exception, caplog: pytest.LogCaptureFixture):
    def judge(image: Image.Image) -> str | None:
        if image.getpixel((0, 0)) == (20, 0, 0):
            raise error
        return None

    with caplog.at_level(logging.CRITICAL):
        assert verdicts(judge, PICTURES) == [None, UNCHECKED, None, None]


@pytest.mark.parametrize("answer", [False, True, 0, "", float("nan"), [], object()])
def test_an_answer_that_is_none_withholds(answer: object):
    assert verdicts(lambda image: answer, PICTURES[:1]) == [UNCHECKED]


def test_no_judge_is_no_permission(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.CRITICAL):
        assert withhold(DRAWN, None) == Withheld(UNCHECKED)

"""The table of nano: what is asked is balanced and held out, and truth scores in full."""

from collections import Counter

import pytest

from benchmarks.nano import BARS, Wish, _truths, judge_all, table, unseen_scenes, unseen_wishes, wilson
from engine.nano_world import LARGE, PLAIN, SMALL, WORLDS, Thing, parse
from training.judge import Verdict
from training.scenes import held_out


def test_a_hundred_prompts_of_the_large_world_ask_for_everything() -> None:
    scenes = unseen_scenes(100, world=LARGE)
    assert Counter(language for *_, language in scenes) == {"en": 50, "ru": 50}
    alone = [scene for scene, *_ in scenes if len(scene.pieces) == 1]
    assert len(alone) == 40
    assert all(held_out(scene.background, scene.pieces[0].colour, scene.pieces[0].shape) for scene in alone)
    assert {len(scene.pieces) for scene, *_ in scenes if scene.group} == {2, 3, 4}
    assert sum(scene.group for scene, *_ in scenes) == 30
    styles = Counter(scene.style for scene, *_ in scenes)
    assert set(styles) == {PLAIN, *LARGE.styles}
    assert styles[PLAIN] == 66
    assert {piece.shape for scene, *_ in scenes for piece in scene.pieces} == set(LARGE.shapes)


@pytest.mark.parametrize("name", WORLDS)
def test_a_prompt_says_what_its_picture_must_show(name: str) -> None:
    for wish in unseen_wishes(60, world=WORLDS[name]):
        understood = parse(wish.prompt, WORLDS[name])
        assert understood.unknown == ()
        assert (understood.things, understood.background, understood.style or PLAIN) == (wish.things, wish.background, wish.style)
        assert all(thing.colour for thing in wish.things)


def test_every_bar_is_a_row_and_truth_is_above_it() -> None:
    wishes = unseen_wishes(20, world=LARGE)
    rows = table(judge_all(_truths(20, LARGE), wishes), wishes)
    assert set(BARS["large"]) | set(BARS["small"]) <= set(rows)
    for right, total in rows.values():
        assert right == total > 0


def test_rows_count_pictures_or_objects() -> None:
    two = Wish("two stars", "en", "red", (Thing("star", count=2),), "neon")
    wrong = Verdict(True, False, (True, True), (True, False), (True, True), 0.1, style=False)
    rows = table([wrong], [two])
    assert rows["background"] == (1, 1)
    assert rows["shape"] == (1, 2)
    assert rows["count"] == rows["count, all right"] == rows["style"] == (0, 1)
    assert rows["place"] == rows["both objects right"] == (0, 0)


def test_the_small_world_is_asked_as_ever() -> None:
    """Its figures can be compared with those of earlier weights: the same two hundred prompts."""
    assert [wish.prompt for wish in unseen_wishes(3, world=SMALL)] == [
        "on the left a blue cross on a green backdrop",
        "маленький розовый квадрат внизу на красном фоне",
        "on the top a small yellow square on a blue background",
    ]


def test_an_interval_holds_its_share() -> None:
    low, high = wilson(90, 100)
    assert low < 0.9 < high
    assert wilson(200, 200)[0] == pytest.approx(0.981, abs=0.001)

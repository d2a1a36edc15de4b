"""What was added to a prompt can be dropped phrase by phrase, and all of it gives the person's words back."""

import pytest

from handlers.phrases import MOST, added, compare, without

RICH = "a big orange star in the center on a pink background"
EVERY = (1 << MOST) - 1


@pytest.mark.parametrize(
    ("plain", "rich", "phrases"),
    [
        ("an orange star", RICH, ["big", "in the center", "on a pink background"]),
        (
            "a cat",
            "A fluffy cat sits on a windowsill, highly detailed.",
            ["fluffy", "sits", "on a windowsill", "highly detailed"],
        ),
        ("a red star", "a red star", []),
        ("a star", "a star " + " ".join(f"with thing{n}" for n in range(14)), [f"with thing{n}" for n in range(9)]),
    ],
)
def test_what_was_added_is_parted_into_phrases(plain: str, rich: str, phrases: list[str]) -> None:
    parts = compare(plain, rich)
    assert added(parts)[: len(phrases)] == phrases
    assert len(added(parts)) in (len(phrases), MOST)
    assert without(parts, 0) == rich
    assert without(parts, EVERY).casefold() == plain


@pytest.mark.parametrize(
    ("dropped", "left"),
    [
        (0b001, "an orange star in the center on a pink background"),
        (0b010, "a big orange star on a pink background"),
        (0b110, "a big orange star"),
    ],
)
def test_a_phrase_that_is_dropped_leaves_good_english(dropped: int, left: str) -> None:
    assert without(compare("an orange star", RICH), dropped) == left


def test_words_that_took_the_place_of_others_give_it_back() -> None:
    parts = compare("a kitty in a hat", "a fluffy cat in a hat, in the rain")
    assert added(parts) == ["fluffy cat", "in the rain"]
    assert without(parts, 0b01) == "a kitty in a hat, in the rain"
    assert without(parts, 0b11) == "a kitty in a hat"

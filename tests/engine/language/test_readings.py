"""A word that means two things has both offered, told from each other by the translation."""

import pytest

from engine import catalog
from engine.language.readings import ambiguous, says, swapped


def test_the_words_of_a_text_that_mean_two_things_are_found_in_any_case() -> None:
    found = {word.typed: word.readings for word in ambiguous("Девушка с луком стоит у Замка, рядом лукавый кот")}
    assert found == {"луком": ("onion", "bow"), "Замка": ("castle", "padlock")}


@pytest.mark.parametrize(
    ("text", "reading", "there"), [("a bow tie", "bow", False), ("two bows", "bow", True), ("an elbow", "bow", False)]
)
def test_a_reading_is_told_from_longer_words(text: str, reading: str, there: bool) -> None:
    assert says(text, reading) == there


def test_one_reading_takes_the_place_of_another_with_its_article() -> None:
    assert swapped("a girl with a bow", "bow", "onion") == "a girl with an onion"
    assert swapped("an onion and a knife", "onion", "bow") == "a bow and a knife"


def test_the_other_reading_is_offered_where_the_family_draws_it() -> None:
    readings = catalog.other_readings("kandinsky-3.1", "зелёный лук у замка", "a green onion near a castle")
    assert readings == {"bow": "a green bow near a castle", "padlock": "a green onion near a padlock"}
    assert catalog.other_readings("kandinsky-nano", "красный крестик", "a red cross") == {"plus": "a red plus"}
    assert catalog.other_readings("kandinsky-nano", "красный шар", "a red ball") == {}  # it has no balloon


def test_what_the_translation_does_not_tell_is_not_guessed() -> None:
    assert catalog.other_readings("kandinsky-3.1", "лук", "a vegetable") == {}
    assert catalog.other_readings("kandinsky-3.1", "круг", "a circle") == {}


@pytest.mark.parametrize(
    ("family", "prompt", "spoken"),
    [
        ("kandinsky-nano", "красный star", True),
        ("kandinsky-3.1", "красный star", False),
        ("kandinsky-3.1", "a red star", True),
        ("kandinsky-nano", "赤い星", False),
    ],
)
def test_a_family_says_which_words_it_reads(family: str, prompt: str, spoken: bool) -> None:
    assert catalog.speaks(family, prompt) == spoken

import pytest

from engine.language.small_world import in_the_world, keeps, same


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("red circle", "a big red circle on the left on a blue background"),
        (
            "красный круг над синим квадратом",
            "a small red circle at the top and a blue square at the bottom on a white background",
        ),
        ("a tiny violet disc", "a tiny violet disc in the center"),
    ],
)
def test_more_of_the_same_is_kept(prompt: str, answer: str):
    assert keeps(prompt, answer)
    assert not same(prompt, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "a big blue circle on a white background",  # another colour
        "a big red square on a white background",  # another object
        "a red circle and a star on a white background",  # one more
        "a red circle on a red background",  # which cannot be seen
        "a red circle with an elephant",
        "a red circle on a green background",  # another background than was said
    ],
)
def test_anything_else_is_not(answer: str):
    assert not keeps("красный круг на белом фоне", answer)


def test_a_translation_says_just_what_was_said():
    assert same("красный круг слева от синего квадрата", "a red circle to the left of a blue square")
    assert not same("красный круг", "a big red circle")
    assert not same("красный круг слева", "a red circle")


@pytest.mark.parametrize(
    "prompt", ["a red elephant", "red", "a circle, a star and a heart", "a red circle on a red background", ""]
)
def test_what_nano_cannot_draw_is_not_in_its_world(prompt: str):
    assert not in_the_world(prompt)
    assert in_the_world("a red circle")

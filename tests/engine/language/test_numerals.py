import pytest

from engine.language.numerals import digits, numbers


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("three bogatyrs and twenty-one birds", "3 bogatyrs and 21 birds"),
        ("Two cats. Seven dogs", "2 cats. 7 dogs"),
        ("a hundred and five roses, one hundred lamps", "105 roses, 100 lamps"),
        ("two or three stars", "2 or 3 stars"),
        ("three thousand men", "3000 men"),
        ("one of them, no one", "one of them, no one"),
        ("a two-headed eagle", "a two-headed eagle"),
        ("The Magnificent Seven ride", "The Magnificent Seven ride"),
        ("often a tent, the stone canine", "often a tent, the stone canine"),
        ("5 cats", "5 cats"),
    ],
)
def test_numerals_become_digits(words: str, written: str):
    assert digits(words) == written


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("три кота и двадцать два пса", {3, 22}),
        ("с двумя матрёшками и тремя самоварами", {2, 3}),
        ("трёх богатырей", {3}),
        ("семью у реки рисует сорок", set()),
        ("two-headed dragon, 12 knights", {2, 12}),
        ("один кот, one dog", set()),
        ("4k, 1.5 m, 8K", set()),
        ("сто лет", {100}),
    ],
)
def test_numbers_are_found_in_either_language(text: str, found: set[int]):
    assert numbers(text) == found

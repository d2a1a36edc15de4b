import re

import pytest

from engine.language import glossary


@pytest.mark.parametrize(
    ("russian", "english"),
    [
        ("Баба-яга летит", "Baba Yaga летит"),
        ("рисую Бабу Ягу", "рисую Baba Yaga"),
        ("в избушке на курьих ножках", "в hut on chicken legs"),
        ("пять матрёшек, матрешка", "пять matryoshka nesting doll, matryoshka nesting doll"),
        ("Чебурашка и Жар-птица", "Cheburashka и firebird"),
        ("в кокошнике с пельменями", "в kokoshnik headdress с pelmeni dumplings"),
        ("чашка под гжель", "чашка под Gzhel porcelain, blue on white"),
        ("лапша, блиндаж, сиринга, квасцы", "лапша, блиндаж, сиринга, квасцы"),
    ],
)
def test_names_are_found_in_any_case(russian: str, english: str):
    assert glossary.in_english(russian)[0] == english


def test_it_says_which_names_it_put_in():
    assert set(glossary.in_english("Баба-яга ест борщ")[1]) == {"Baba Yaga", "borscht beet soup"}


def test_a_name_is_kept_in_any_order_and_number():
    assert glossary.names("a tall hut that stands on giant chicken legs", "hut on chicken legs")
    assert glossary.names("two matryoshkas", "matryoshka nesting doll") is False
    assert glossary.names("Nesting dolls of Matryoshka kind", "matryoshka nesting doll")
    assert not glossary.names("an old witch", "Baba Yaga")


def test_every_entry_is_found_by_its_own_name_and_is_plain_english():
    entries = glossary._entries()

    assert len(entries) >= 90
    for entry in entries:
        assert re.fullmatch(r"[A-Za-z][A-Za-z ,'\-]+", entry.english)

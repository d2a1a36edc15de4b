"""Short names of pictures: as people read and type them."""

import pytest

from storage.domain import new_public_id
from storage.names import ALPHABET, LONGEST, SHORTEST, free_name, read_name, shown_name, whole_name


@pytest.mark.parametrize(
    "typed", ["k-7F3A", "K7F3A", "k7f3a", "к-7f3а", "К 7F3А", " k_7f.3a ", "7f3a", "k\u20147F3A", "#k-7F3A", "к\u22127f3A"]
)
def test_a_name_is_read_in_any_spelling(typed: str) -> None:
    assert read_name(typed) == "7F3A"


@pytest.mark.parametrize(("typed", "read"), [("k-O0l1", "0011"), ("к-ЗВСХ", "3BCX"), ("k-IIII", "1111")])
def test_what_looks_alike_is_the_same(typed: str, read: str) -> None:
    assert read_name(typed) == read


@pytest.mark.parametrize(
    "typed", ["", "k-", "k-7F3", "7F3", "k-7F3A!", "red star!", "k-7F3Ж", "k" * 9, "0" * 13, "k-7F3A k-7F3B"]
)
def test_what_is_no_name_is_none(typed: str) -> None:
    assert read_name(typed) is None


def test_a_name_is_as_short_as_those_taken_allow() -> None:
    public_id = new_public_id()
    whole = whole_name(public_id)
    assert (len(whole), set(whole) <= set(ALPHABET)) == (LONGEST, True)
    assert free_name(public_id, ()) == whole[:SHORTEST]
    assert free_name(public_id, {whole[:4], whole[:5]}) == whole[:6]
    assert read_name(shown_name(whole[:6])) == whole[:6]

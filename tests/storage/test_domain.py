"""What a person chose, as it is stored."""

import json
from typing import Any

import pytest

from storage.domain import UserSettings, change_settings


def test_nothing_chosen_is_the_default() -> None:
    assert UserSettings.from_json("{}") == UserSettings(None, None, None, "photo", None)


def test_choices_are_written_canonically_and_read_back() -> None:
    text = change_settings("{}", {"size": "768x1024", "language": "ru", "pictures": 2, "delivery": "both", "beautify": "never"})
    assert text == '{"beautify":"never","delivery":"both","language":"ru","pictures":2,"size":"768x1024"}'
    assert UserSettings.from_json(text) == UserSettings("ru", "768x1024", 2, "both", "never")


def test_none_forgets_a_choice() -> None:
    assert change_settings('{"language":"ru","pictures":2}', {"language": None}) == '{"pictures":2}'


def test_what_a_newer_version_stored_survives() -> None:
    newer = '{"style":"oil","delivery":"album","pictures":4}'
    assert UserSettings.from_json(newer) == UserSettings(pictures=4)
    changed = change_settings(newer, {"pictures": 1})
    assert json.loads(changed) == {"style": "oil", "delivery": "album", "pictures": 1}


@pytest.mark.parametrize("text", ["", "x", "[]", "null", '{"pictures":"4"}', '{"pictures":true}', '{"language":7,"size":[]}'])
def test_what_cannot_be_read_counts_as_not_chosen(text: str) -> None:
    assert UserSettings.from_json(text) == UserSettings()


@pytest.mark.parametrize(
    "changes",
    [{"language": "RU"}, {"language": "r"}, {"size": "big"}, {"size": "1x1"}, {"pictures": 0}, {"pictures": True},
     {"delivery": "pigeon"}, {"beautify": "sometimes"}],
)  # fmt: skip
def test_a_value_of_the_wrong_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"no {next(iter(changes))}"):
        change_settings("{}", changes)


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError):
        change_settings("{}", {"colour": "red"})

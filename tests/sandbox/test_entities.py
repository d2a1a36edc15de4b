"""Markup as Telegram reads it."""

import pytest

from sandbox.entities import FormattedText, clean, parse_html, utf16_length
from sandbox.errors import ApiError


def shape(formatted: FormattedText) -> list[tuple[str, int, int]]:
    return [(entity["type"], entity["offset"], entity["length"]) for entity in formatted.entities]


def test_tags_become_entities_and_leave_the_text() -> None:
    parsed = parse_html("<b>bold <i>both</i></b> &lt;plain&gt; <code>x</code>")
    assert parsed.text == "bold both <plain> x"
    assert shape(parsed) == [("bold", 0, 9), ("italic", 5, 4), ("code", 18, 1)]


def test_offsets_count_utf16_units() -> None:
    parsed = parse_html("😀<b>😀я</b>")
    assert shape(parsed) == [("bold", 2, 3)]
    assert utf16_length("😀я") == 3


@pytest.mark.parametrize(
    ("source", "entity"),
    [
        ('<a href="https://example.org/?a=1&amp;b=2">x</a>', {"type": "text_link", "url": "https://example.org/?a=1&b=2"}),
        ("<blockquote expandable>x</blockquote>", {"type": "expandable_blockquote"}),
        ("<tg-spoiler>x</tg-spoiler>", {"type": "spoiler"}),
        ('<span class="tg-spoiler">x</span>', {"type": "spoiler"}),
        ('<pre><code class="language-python">x</code></pre>', {"type": "pre", "language": "python"}),
        ("<PRE>x</pre>", {"type": "pre"}),
        ("<s>x</del>", None),
    ],
)
def test_every_kind_of_tag(source: str, entity: dict[str, str] | None) -> None:
    if entity is None:
        with pytest.raises(ApiError, match="Unmatched end tag"):
            parse_html(source)
    else:
        assert parse_html(source).entities == [{"offset": 0, "length": 1, **entity}]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("я<x>", 'Unsupported start tag "x" at byte offset 2'),
        ("<b>bold", 'Can\'t find end tag corresponding to start tag "b"'),
        ("a</b>", "Unexpected end tag at byte offset 1"),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("1 < 2", 'Unsupported start tag "" at byte offset 2'),
        ("<b", "Unclosed start tag at byte offset 0"),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ],
)
def test_broken_markup_is_refused_in_telegrams_words(source: str, error: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_html(source)
    assert caught.value.description == f"Bad Request: can't parse entities: {error}"


def test_surrounding_space_goes_and_entities_move_along() -> None:
    cleaned = clean(parse_html("  \n<b> bold </b>\n "))
    assert cleaned.text == "bold"
    assert shape(cleaned) == [("bold", 0, 4)]


def test_commands_and_addresses_are_found() -> None:
    cleaned = clean(FormattedText("try /help or https://example.org/a?b=1, not a/b or </b>", []))
    assert shape(cleaned) == [("bot_command", 4, 5), ("url", 13, 25)]


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b", "\u2800"])
def test_invisible_text_is_empty(text: str) -> None:
    assert clean(FormattedText(text, [])).text == ""

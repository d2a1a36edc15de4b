"""Every word a person reads: there in both languages, used, and safe."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from bot.menu import COMMANDS
from bot.messages import FAILURES
from bot.texts import LANGUAGES, Texts, TextsError, best_language, shorten
from engine.language.readings import all_readings
from engine.requests import LanguageRequest, TextToImage, kinds
from handlers.withheld import CATEGORIES
from handlers.wording import reading_key
from storage.decode import REASONS
from storage.domain import BEAUTIFY, MASK_CHANGES, MASK_READINGS, REPORTS
from storage.domain import FORMS as FORMS_OF_RESULTS

ROOT = Path(__file__).parent.parent.parent
KEY = re.compile(r"[a-z]+\.[a-z][a-z0-9-]*\Z")
NO_WORDS = {
    "engine.flash", "button.language-en", "history.date", "queue.line", "button.cancel-numbered", "status.asked", "asked.size",
    "asked.cfg", "button.up2", "button.up4", "result.name", "tree.way",
}  # fmt: skip
NO_TEXT = "job.failed"  # a notice's key; its text is one of `failed.`


def _catalog(language: str) -> Catalog:
    with (ROOT / "locales" / language / "LC_MESSAGES" / "bot.po").open("rb") as file:
        return read_po(file)


def _entries(language: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each key with all its forms: one, or as many as the language has plurals."""
    for message in _catalog(language):
        if message.id:
            key = message.id if isinstance(message.id, str) else message.id[0]
            yield key, (message.string,) if isinstance(message.string, str) else tuple(message.string)


FORMS = {language: dict(_entries(language)) for language in LANGUAGES}
CATALOGS = {language: {key: "\n".join(forms) for key, forms in FORMS[language].items()} for language in LANGUAGES}
PLURALS = sorted(key for key, forms in FORMS["en"].items() if len(forms) > 1)
COUNTED = re.compile(r"\{(\w+):n\}")
GROUPS = frozenset(key.partition(".")[0] for key in CATALOGS["en"])


def _strings(room: str) -> Iterator[tuple[Path, ast.expr]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                yield path, node


def _keys_of_code() -> set[str]:
    """Whole strings of bot/ and handlers/ that look like a key of one of the groups of texts."""
    found = set()
    for room in ("bot", "handlers"):
        for _, node in _strings(room):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and KEY.match(text) and not text.endswith("-") and text.partition(".")[0] in GROUPS:
                found.add(text)
    return found - {NO_TEXT}


def _refusals_of_engine() -> set[str]:
    """The codes that engine/ raises `RequestError` with, also through its small helpers."""
    codes = set()
    for path in sorted((ROOT / "engine").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
                    continue
                if node.func.id in ("RequestError", "whole_between", "between", "out_of_range"):
                    codes.add(f"refused.{first.value}")
    return codes


def _made_keys() -> set[str]:
    """Keys put together from parts: each f-string of the code, and what can stand in it."""
    families = {"start.small-world", "start.any", "help.small-world", "help.any"}
    for language in ("auto", *LANGUAGES):
        families |= {f"settings.language-{language}", f"button.language-{language}"}
    for form in FORMS_OF_RESULTS:
        families |= {f"settings.delivery-{form}", f"button.delivery-{form}"}
    for when in BEAUTIFY:
        families |= {f"settings.beautify-{when}", f"button.beautify-{when}"}
    families |= {f"button.report-{reason}" for reason in REPORTS}
    families |= {f"upload.{reason}" for reason in REASONS}
    families |= {f"kind.{each.kind}" for each in kinds() if each is not TextToImage and not issubclass(each, LanguageRequest)}
    families |= {f"button.words-{action}" for action in ("plain", "richer", "fix")}
    families |= {reading_key(reading) for reading in all_readings()}
    families |= {f"button.mask-{action}" for action in ("look", "use", *MASK_CHANGES)}
    families |= {f"withheld.why-{each}" for each in CATEGORIES} | {"withheld.seed", "withheld.appeal"}
    families |= {f"mask.read-{how}" for how in MASK_READINGS}
    return families | {"kind.mix-alone"} | {f"command.{name}" for name in COMMANDS} | set(FAILURES) | _refusals_of_engine()


USED = _keys_of_code() | _made_keys()


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_the_search_finds_keys_of_every_kind() -> None:
    """A search that finds nothing would let every other test here pass."""
    assert {"status.queued", "toast.file", "fallback.voice", "refused.queue-full", "job.ready"} <= _keys_of_code()
    assert {"refused.unknown-words", "refused.seed-range", "refused.not-a-request"} <= _refusals_of_engine()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_that_is_used_is_there(language: str) -> None:
    assert sorted(USED - CATALOGS[language].keys()) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_that_is_there_is_used(language: str) -> None:
    assert sorted(CATALOGS[language].keys() - USED) == []


def test_every_key_made_from_parts_is_known_here() -> None:
    """A new f-string that makes a key must be added to `_made_keys`, or its texts are not tested."""
    made = set()
    for room in ("bot", "handlers"):
        for _, node in _strings(room):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                head = str(node.values[0].value)
                if re.fullmatch(r"[a-z]+\.([a-z]+-)*", head) and head.partition(".")[0] in GROUPS:
                    made.add(head)
    chosen = {f"{group}.{name}-" for group in ("settings", "button") for name in ("language", "delivery", "beautify")} | {
        "button.mask-",
        "button.words-",
        "reading.",
        "mask.read-",
    }
    assert (
        made == {"command.", "failed.", "refused.", "upload.", "kind.", "button.report-", "withheld.", "withheld.why-"} | chosen
    )


@pytest.mark.parametrize("key", sorted(CATALOGS["en"]))
def test_both_languages_show_the_same_values(key: str) -> None:
    assert _placeholders(CATALOGS["en"][key]) == _placeholders(CATALOGS["ru"].get(key, ""))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_written_and_compiled(language: str, texts: Texts) -> None:
    for key, forms in FORMS[language].items():
        assert all(form.strip() for form in forms), key
        values: dict[str, object] = dict.fromkeys(_placeholders(forms[0]), 1)
        shown = re.sub(r"\{\w+(:nth)?(:n)?\}", lambda found: "1st" if found[1] else "1", forms[0])
        assert texts(language, key, values) == shown, f"{key}: run make setup"


@pytest.mark.parametrize("language", LANGUAGES)
def test_markup_is_closed_and_known_to_telegram(language: str) -> None:
    for key, text in CATALOGS[language].items():
        assert len({tuple(sorted(re.findall("<[^>]*>", form))) for form in FORMS[language][key]}) == 1, key
        tags = re.findall(r"<(/?)([a-z]+)>", text)
        assert re.sub(r"</?[a-z]+>", "", text).count("<") == 0, key
        open_tags: list[str] = []
        for closing, name in tags:
            assert name in ("b", "i", "code"), key
            if closing:
                assert open_tags.pop() == name, key
            else:
                open_tags.append(name)
        assert not open_tags, key


@pytest.mark.parametrize("language", LANGUAGES)
def test_places_without_markup_get_none(language: str) -> None:
    plain = [key for key in CATALOGS[language] if key.partition(".")[0] in ("button", "toast", "command", "engine")]
    assert not [key for key in plain if "<" in CATALOGS[language][key]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_toasts_and_commands_are_short_enough_for_telegram(language: str) -> None:
    for key, text in CATALOGS[language].items():
        if key.startswith("toast.") or key == "refused.not-found":
            assert len(text) <= 200, key
        if key.startswith("command."):
            assert 1 <= len(text) <= 256, key


def test_russian_is_russian() -> None:
    latin = [key for key, text in CATALOGS["ru"].items() if not re.search("[а-яё]", text, re.IGNORECASE)]
    assert [key for key in latin if key not in NO_WORDS] == []


def test_plurals_are_plurals_in_both_languages() -> None:
    for language, count in (("en", 2), ("ru", 3)):
        assert sorted(key for key, forms in FORMS[language].items() if len(forms) > 1) == PLURALS
        assert {len(FORMS[language][key]) for key in PLURALS} == {count}


@pytest.mark.parametrize("key", PLURALS)
def test_all_forms_of_a_plural_count_the_same_number(key: str) -> None:
    """The number that decides is marked `:n`; a form without it would choose by another or by none."""
    counted = {tuple(COUNTED.findall(form)) for language in LANGUAGES for form in FORMS[language][key]}
    assert len(counted) == 1
    assert len(counted.pop()) == 1


def test_what_counts_is_a_plural() -> None:
    for language in LANGUAGES:
        assert sorted(key for key, text in CATALOGS[language].items() if COUNTED.search(text)) == PLURALS


@pytest.mark.parametrize(
    ("number", "english", "russian"),
    [
        (0, "0 pictures", "0 картинок"),
        (1, "1 picture", "1 картинка"),
        (2, "2 pictures", "2 картинки"),
        (4, "4 pictures", "4 картинки"),
        (5, "5 pictures", "5 картинок"),
        (11, "11 pictures", "11 картинок"),
        (12, "12 pictures", "12 картинок"),
        (21, "21 pictures", "21 картинка"),
        (22, "22 pictures", "22 картинки"),
        (111, "111 pictures", "111 картинок"),
        (1234, "1234 pictures", "1234 картинки"),
    ],
)
def test_a_number_chooses_its_form(texts: Texts, number: int, english: str, russian: str) -> None:
    values = {"pictures": number, "page": 1, "pages": 1}
    assert f"{english} ·" in texts("en", "history.page", values)
    assert f"{russian} ·" in texts("ru", "history.page", values)


@pytest.mark.parametrize(
    ("number", "shown"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"), (102, "102nd")],
)
def test_english_ordinals(texts: Texts, number: int, shown: str) -> None:
    assert shown in texts("en", "status.queued", {"place": number})


def test_about_so_many_seconds_is_genitive_in_russian(texts: Texts) -> None:
    shown = [texts("ru", "status.queued-eta", {"place": 2, "seconds": number}) for number in (1, 2, 5, 21)]
    assert [text.partition("около ")[2] for text in shown] == ["1 секунды.", "2 секунд.", "5 секунд.", "21 секунды."]
    assert all("2-е место" in text for text in shown)


def test_a_plural_that_is_given_no_number_is_an_error(texts: Texts) -> None:
    with pytest.raises(TypeError, match="pictures"):
        texts("en", "history.page", {"pictures": "many", "page": 1, "pages": 1})
    with pytest.raises(KeyError, match="pictures"):
        texts("en", "history.page", {"page": 1, "pages": 1})


def test_markup_in_a_value_comes_out_literally(texts: Texts) -> None:
    shown = texts("en", "fallback.command", {"command": "<b>bold</b> & {more} %s"})
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; {more} %s" in shown


def test_markup_in_a_list_comes_out_literally(texts: Texts) -> None:
    shown = texts("en", "refused.unknown-words", {"words": ["<i>", "cat"], "suggestions": ("star",)})
    assert "&lt;i&gt;, cat" in shown


def test_a_plain_text_shows_what_was_typed(texts: Texts) -> None:
    assert "a < b & c" in texts.plain("en", "fallback.command", {"command": "a < b & c"})


def test_numbers_are_short(texts: Texts) -> None:
    values = {"minimum": 0.0, "maximum": 20.0, "value": 20.5}
    assert "0 to 20, not 20.5" in texts("en", "refused.guidance-range", values)


def test_an_unknown_key_is_an_error(texts: Texts) -> None:
    with pytest.raises(KeyError, match=r"no\.such"):
        texts("en", "no.such")


def test_a_missing_value_is_an_error(texts: Texts) -> None:
    with pytest.raises(KeyError, match="place"):
        texts("en", "status.queued")


@pytest.mark.parametrize(
    ("code", "language"),
    [("ru", "ru"), ("ru-RU", "ru"), ("RU", "ru"), ("en-GB", "en"), ("de", "en"), ("", "en"), (None, "en")],
)
def test_the_nearest_language_is_spoken(code: str | None, language: str) -> None:
    assert best_language(code) == language


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("two words", 5, "two…"),
        ("😀😀😀", 6, "😀😀😀"),
        ("😀😀😀", 5, "😀😀…"),
        ("😀😀😀", 4, "😀…"),
        ("", 5, ""),
    ],
)
def test_long_text_is_cut_as_telegram_counts(text: str, limit: int, shown: str) -> None:
    assert shorten(text, limit) == shown
    assert len(shown.encode("utf-16-le")) // 2 <= limit


def test_texts_that_are_not_compiled_name_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(TextsError, match="make setup"):
        Texts(tmp_path)

"""Pairs follow the world's own tables: every answer can be drawn, keeps what was said, and an undrawable prompt has none."""

import json
from pathlib import Path
from random import Random

import pytest

from engine import nano_world
from engine.language.small_world import keeps
from engine.nano_world import LEXICON, parse
from training.captions import LANGUAGES, plainly, write_caption
from training.data import DataError
from training.language_pairs import TASKS, NanoPairs, Pair, StoredPairs, details, drawable, loosened, undrawable
from training.language_score import held_out
from training.scenes import sample_scene


def drawn(task: str, count: int = 250) -> list[Pair]:
    rng, pairs = Random(task), NanoPairs(undrawable=0.0)
    return [pairs.draw(task, rng) for _ in range(count)]


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_keeps_what_was_said_and_can_be_drawn(task: str) -> None:
    for pair in drawn(task):
        assert keeps(pair.prompt, pair.answer), pair
        assert drawable(pair.answer), pair
        assert pair.answer.isascii(), pair


def test_a_translation_says_no_more_and_a_scenery_says_more() -> None:
    assert all(parse(pair.prompt) == parse(pair.answer) for pair in drawn("translate"))
    before, after = zip(*[(details(parse(p.prompt)), details(parse(p.answer))) for p in drawn("beautify")], strict=True)
    grown = sum(a > b for b, a in zip(before, after, strict=True))
    assert grown > 0.9 * len(before)
    assert all(a >= b for b, a in zip(before, after, strict=True))


@pytest.mark.long
def test_every_word_of_the_world_is_met() -> None:
    """Whatever the tables hold: shapes, colours, sizes and places in both languages, synonyms with them."""
    rng, pairs = Random(1), NanoPairs(undrawable=0.0)
    met: set[str] = set()
    for index in range(4000):
        prompt = pairs.draw(tuple(TASKS)[index % 2], rng).prompt
        met |= {nano_world.normalise(word) for word in prompt.replace(",", " ").split()}
    named = {word for word, (kind, _) in LEXICON.items() if kind not in ("filler", "on")}
    missing = named - met
    assert len(missing) < 0.02 * len(named), missing


def test_a_relation_is_translated_as_one() -> None:
    joints = {"над": "above", "под": "below", "рядом с": "next to", "слева от": "to the left of", "справа от": "to the right of"}
    seen = set()
    for pair in drawn("translate", 600):
        found = [joint for joint in joints if f" {joint} " in pair.prompt.lower()]
        if len(found) == 1 and joints[found[0]] in pair.answer:
            seen.add(found[0])
    assert seen == set(joints)


@pytest.mark.parametrize("language", LANGUAGES)
def test_careless_words_mean_the_same(language: str) -> None:
    rng, changed = Random(2), 0
    for _ in range(200):
        caption = write_caption(sample_scene(rng), language, rng).text
        loose = loosened(caption, language, rng)
        changed += loose != caption
        assert parse(loose) == parse(caption)
    assert changed > 120


@pytest.mark.parametrize("task", TASKS)
def test_an_undrawable_prompt_has_no_answer(task: str) -> None:
    rng = Random(3)
    for pair in [NanoPairs(undrawable=1.0).draw(task, rng) for _ in range(100)]:
        assert not pair.answer
        assert not drawable(pair.prompt), pair
    known = [undrawable("a red circle on a blue background", "en", rng) for _ in range(100)]
    foreign = [any(nano_world.normalise(word) not in LEXICON for word in prompt.split()) for prompt in known]
    assert 20 < sum(foreign) < 90  # both kinds


def test_held_out_prompts_of_one_object_are_of_unseen_triples() -> None:
    from training.scenes import held_out as unseen

    triples = [(parse(pair.answer).background, parse(pair.answer).things[0]) for pair in held_out("beautify", 80)]
    alone = [
        (b, t) for (b, t), pair in zip(triples, held_out("beautify", 80), strict=True) if len(parse(pair.answer).things) == 1
    ]
    assert len(alone) > 20
    assert all(unseen(str(background), str(thing.colour), thing.shape) for background, thing in alone)


def test_the_plain_caption_is_one_the_parser_reads() -> None:
    rng = Random(4)
    for _ in range(100):
        scene = sample_scene(rng)
        caption = write_caption(scene, "en", Random(5))
        assert caption.text
    from training.captions import choose_saying

    saying = choose_saying(scene, rng, full=True)
    assert plainly(scene, saying, "en") == plainly(scene, saying, "en")
    assert parse(plainly(scene, saying, "ru")) == parse(plainly(scene, saying, "en"))


def test_pairs_come_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        "\n".join(json.dumps({"task": "translate", "prompt": p, "answer": a}) for p, a in [("кот", "a cat"), ("пёс", "a dog")])
    )
    pairs = StoredPairs(path)
    assert pairs.tasks == ("translate",)
    assert {pairs.draw("translate", Random(seed)).answer for seed in range(9)} == {"a cat", "a dog"}


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"task": "sing", "prompt": "a", "answer": "b"}', '{"task": "beautify"}'])
def test_a_file_that_holds_no_pairs_is_refused_with_its_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match="line 1" if text else "holds no pairs"):
        StoredPairs(path)
    with pytest.raises(DataError, match="cannot be read"):
        StoredPairs(tmp_path / "none.jsonl")

"""The language model learns answers alone, goes on after a kill, and writes what the engine's own loader reads."""

import json
from pathlib import Path
from random import Random

import pytest
import torch

from engine.engine import load
from engine.language.template import BEAUTIFY, TRANSLATE
from engine.nano_world import LEXICON
from engine.outcomes import Written
from engine.requests import Beautify, Translate
from tests.engine.language import tiny
from tests.training.learning import check, run
from training.data import DataError
from training.language_model import (
    NANO_CONFIG,
    PRESETS,
    LanguageModelRecipe,
    Preset,
    build_model,
    build_tokenizer,
    load_model,
)
from training.language_pairs import NanoPairs, Pair, StoredPairs
from training.loop import CPU, Schedule, load_average
from training.recipes import RECIPES, Wishes

TOY = Preset(
    Schedule(steps=48, learning_rate=1e-2, batch=8, warmup=4),
    {**NANO_CONFIG, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 24,
     "num_key_value_heads": 1},
)  # fmt: skip
CHANGES = Preset(Schedule(steps=32, learning_rate=2e-2, batch=4, warmup=2, weight_decay=0.0), rank=4)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_it_learns_to_answer(tmp_path: Path) -> None:
    check(lambda: LanguageModelRecipe(TOY), tmp_path, fall=0.6)


def test_low_rank_changes_of_a_checkpoint_learn_pairs_of_a_file(tmp_path: Path) -> None:
    tiny.write_random(tmp_path / "base")
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("\n".join(json.dumps({"task": "beautify", "prompt": p, "answer": "a cat"}) for p in ("cat", "dog")))

    def make() -> LanguageModelRecipe:
        return LanguageModelRecipe(CHANGES, StoredPairs(pairs), load_model("kandinsky-3.1", tmp_path / "base", CPU))

    before = {name: value.clone() for name, value in make().network.state_dict().items()}
    done = check(make, tmp_path / "runs", fall=0.2)
    recipe = make()
    assert {name.rsplit(".", 1)[1] for name in recipe.trained.state_dict()} == {"down", "up"}
    steps = load_average(done.folder, recipe.name, recipe.trained)
    recipe.write(tmp_path / "written", steps)
    merged, plain = load_model("kandinsky-3.1", tmp_path / "written", CPU).network, before
    assert set(merged.state_dict()) == set(load_model("kandinsky-3.1", tmp_path / "base", CPU).network.state_dict())
    assert torch.allclose(merged.model.embed_tokens.weight, plain["model.embed_tokens.weight"], atol=1e-3)
    ids = torch.tensor([recipe.model.encode(BEAUTIFY.filled("cat"))])
    with torch.no_grad():
        changed, written = recipe.network(ids).logits, merged(ids).logits
        unchanged = load_model("kandinsky-3.1", tmp_path / "base", CPU).network(ids).logits
    assert (changed - written).abs().mean() < 0.02 < (changed - unchanged).abs().mean()  # the file is half precision
    with pytest.raises(DataError, match="other preset"):
        LanguageModelRecipe(CHANGES)


def test_only_answers_and_their_end_are_learned() -> None:
    recipe = LanguageModelRecipe(TOY)
    recipe.pairs = NanoPairs(undrawable=0.0)
    pair = Pair("translate", "красный круг", "a red circle")
    ids, start = recipe._ids(pair)
    words = [recipe.model.tokenizer.id_to_token(each) for each in ids]
    assert words[start:] == ["a", "red", "circle", "</s>"]
    assert words[start - 4 : start] == [",", "###", "assistant", ","]
    assert len(recipe._errors([pair, Pair("translate", "звезда", "")])) == 5


def test_shared_heads_change_no_number() -> None:
    recipe = LanguageModelRecipe(TOY)
    pairs = [
        Pair("beautify", "red circle", "a big red circle"),
        Pair("beautify", "звезда на синем фоне", "a star on a blue background"),
    ]
    together = recipe._errors(pairs)
    alone = []
    for pair in pairs:
        ids, start = recipe._ids(pair)
        logits = recipe.network(torch.tensor([ids])).logits[0, start - 1 : -1]
        alone.append(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[start:]), reduction="none"))
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_the_tokenizer_knows_the_world_and_the_templates_alone() -> None:
    tokenizer = build_tokenizer()
    unknown = tokenizer.token_to_id("<unk>")
    for text in (BEAUTIFY.filled(""), TRANSLATE.filled(""), "Жёлтая ЗВЁЗДОЧКА — «вверху»!", "<b>a red_circle</b>, #star"[3:]):
        assert unknown not in tokenizer.encode(text.replace("/b", "")).ids, text
    assert [tokenizer.token_to_id(word) for word in LEXICON].count(None) == 0
    assert tokenizer.encode("a 🎨 circle").ids.count(unknown) == 1
    assert tokenizer.encode("waterfall").ids == [unknown]
    assert tokenizer.encode("жёлтый круг").ids == tokenizer.encode(" Желтый, круг ".replace(",", "")).ids
    ids = tokenizer.encode("a red circle, blue background").ids
    assert tokenizer.decode(ids) == "a red circle, blue background"


def test_what_is_written_is_what_the_engine_loads(tmp_path: Path) -> None:
    recipe = LanguageModelRecipe(TOY)
    run(recipe, tmp_path, until=2)
    steps = load_average(tmp_path, recipe.name, recipe.trained)
    sums = recipe.write(tmp_path / "family", steps)
    assert len(sums["language_model"]) == 64
    read = load_model("kandinsky-nano", tmp_path / "family", CPU)
    ids = torch.tensor([read.encode(TRANSLATE.filled("красный круг"))])
    with torch.no_grad():
        assert torch.allclose(read.network(ids).logits, recipe.network(ids).logits, atol=0.05)
    (tmp_path / "family" / "language_model" / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(DataError, match="several files"):
        recipe.write(tmp_path / "family", steps)


def test_it_can_begin_with_the_words_of_another(tmp_path: Path) -> None:
    other = LanguageModelRecipe(TOY)
    for parameter in other.network.parameters():
        parameter.data.normal_()
    other.write(tmp_path, 0)
    recipe = LanguageModelRecipe(TOY)
    assert recipe.begin_with(tmp_path) == []
    ids = torch.tensor([recipe.model.encode("a red circle")])
    with torch.no_grad():
        assert torch.allclose(recipe.network(ids).logits, other.network(ids).logits, atol=0.1)
    wider = LanguageModelRecipe(Preset(TOY.schedule, {**TOY.config, "intermediate_size": 64}))
    assert {name.split(".")[-2] for name in wider.begin_with(tmp_path)} == {"gate_proj", "up_proj", "down_proj"}


@pytest.mark.long
def test_nano_is_small_and_its_figures_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.language_model.HELD_OUT", 4)  # an untrained model never comes to an end
    model = build_model(NANO_CONFIG)
    assert 5e5 < sum(each.numel() for each in model.network.parameters()) < 6e6
    recipe = LanguageModelRecipe(TOY)
    figures = recipe.figures()
    assert figures["translate: says the same"] < 0.2  # untrained
    assert figures["left as it is if nano cannot draw it"] <= 1
    assert recipe.sheet().size[0] > 100


def test_the_command_line_builds_both_presets(tmp_path: Path) -> None:
    entry = RECIPES["language-model"]
    assert isinstance(entry.build(Wishes(tmp_path)), LanguageModelRecipe)
    tiny.write_random(tmp_path)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"task": "translate", "prompt": "кот", "answer": "a cat"}))
    full = entry.build(Wishes(tmp_path, "full", str(pairs), "kandinsky-3.1", tmp_path))
    assert torch.isfinite(full.loss(2, Random(1)))
    assert full.schedule == PRESETS["full"].schedule
    with pytest.raises(DataError, match="for pictures"):
        entry.build(Wishes(tmp_path, filters={"min_side": 8}))


def test_the_packaged_model_has_a_token_for_every_word_of_the_world() -> None:
    """Who packages a larger world trains the language model again: `python -m training language-model`."""
    known = load_model("kandinsky-nano", None, CPU).tokenizer
    assert [word for word in LEXICON if known.token_to_id(word) is None] == []


def test_nano_writes_through_the_engine() -> None:
    """The packaged weights; `python -m benchmarks.language` counts, this sees that they are there and work."""
    engine = load("kandinsky-nano", ["language"])
    prompts = ("красный круг", "жёлтая звезда на чёрном фоне", "большое белое сердце слева от синего квадрата", "слон")
    answers = engine.run([Translate(prompt, family="kandinsky-nano") for prompt in prompts])
    assert answers == [
        Written("a red circle"),
        Written("a yellow star on a black background"),
        Written("a big white heart to the left of a blue square"),
        Written("слон", unchanged="lost-words"),
    ]
    (scene,) = engine.run([Beautify("a tiny violet disc", seed=3, family="kandinsky-nano")])
    assert isinstance(scene, Written)
    assert scene.unchanged is None
    assert "tiny violet disc" in scene.text
    assert " on a" in scene.text

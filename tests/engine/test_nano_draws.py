"""The packaged weights draw what is asked, through the real engine: the judge on 24 Flash pictures."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from benchmarks.nano import FAMILY, README_SEED, draw, judge_all, table, unseen_wishes
from engine import catalog
from engine.engine import Engine, load
from engine.nano_world import EXAMPLES, LEXICON, parse
from training.judge import judge, to_floats


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load(FAMILY, ("flash",))


def test_24_flash_pictures_show_what_was_asked(engine: Engine) -> None:
    wishes = unseen_wishes(24)
    verdicts = judge_all([draw(engine, wish.prompt, seed, flash=True) for seed, wish in enumerate(wishes)], wishes)
    for name, (right, total) in table(verdicts, wishes).items():
        assert right >= 0.9 * total, f"{name}: {right} of {total}"


@pytest.mark.parametrize("prompt", [*EXAMPLES["en"], *EXAMPLES["ru"]])
def test_every_readme_prompt_comes_out_right(engine: Engine, prompt: str) -> None:
    understood = parse(prompt)
    picture = draw(engine, prompt, README_SEED, flash=True)
    assert judge(to_floats(picture), understood.background, understood.things).right


def test_the_packaged_tokenizer_knows_every_word_of_the_lexicon() -> None:
    path: Path = catalog.weights_folder(FAMILY) / "tokenizer" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    assert [word for word in LEXICON if tokenizer.token_to_id(word) is None] == []

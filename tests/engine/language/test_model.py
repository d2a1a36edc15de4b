import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.models.mistral.configuration_mistral import MistralConfig
from transformers.models.mistral.modeling_mistral import MistralForCausalLM

from engine.errors import WeightsError
from engine.language.model import LanguageError, LanguageModel, Sampling, load
from tests.engine.language.tiny import END, family_folder, write_random

CPU, FULL = torch.device("cpu"), torch.float32
WEIGHTS = "language_model/model.safetensors"
HEAD = "### User:\n"
PROMPT = f"{HEAD}red cat\n### Assistant:\n"
GREEDY = Sampling(max_new_tokens=24)
DRAWN = Sampling(temperature=1.0, top_p=0.9, seed=3, max_new_tokens=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language") / "random"
    write_random(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load(family_folder(folder), CPU, FULL)


def said(model: LanguageModel, sampling: Sampling = GREEDY, head: str = HEAD) -> str:
    return list(model.stream(head, PROMPT, sampling))[-1]


def test_greedy_text_is_what_the_library_generates(model: LanguageModel):
    ids = torch.tensor([model.encode(PROMPT)])
    made = model.network.generate(ids, do_sample=False, max_new_tokens=24, pad_token_id=0)[0, ids.shape[1] :]

    assert said(model) == model.tokenizer.decode(made.tolist())


def test_with_the_cache_the_logits_are_those_without(model: LanguageModel):
    ids = model.encode(PROMPT)
    cache = model._states(HEAD, ids)
    unread, largest = ids[cache.get_seq_length() :], 0.0
    for _ in range(12):
        cached = model._logits(unread, cache)
        with torch.inference_mode():
            whole = model.network(input_ids=torch.tensor([ids]), use_cache=False).logits[:, -1].double()
        largest = max(largest, ((cached - whole).abs().max() / whole.abs().max()).item())
        unread = [int(whole.argmax())]
        ids = ids + unread

    assert largest <= 1e-5


def test_a_head_that_is_kept_changes_nothing(model: LanguageModel, folder: Path):
    first, again = said(model, DRAWN), said(model, DRAWN)

    assert first == again == said(load(family_folder(folder), CPU, FULL), DRAWN)
    assert said(model, head="of another prompt") == said(model)


def test_same_seed_same_text(model: LanguageModel):
    texts = {seed: said(model, replace(DRAWN, seed=seed)) for seed in range(4)}

    assert said(model, replace(DRAWN, seed=2)) == texts[2]
    assert len(set(texts.values())) == 4


def test_a_seed_leaves_the_global_generator_alone(model: LanguageModel):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    said(model, DRAWN)

    assert torch.equal(before, torch.get_rng_state())


def test_of_the_likeliest_only_the_likeliest_is_drawn(model: LanguageModel):
    assert said(model, replace(DRAWN, top_p=1e-6, seed=9)) == said(model)


def test_tokens_are_drawn_as_often_as_they_are_likely():
    from engine.language.model import _choose

    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64).log()
    drawn = torch.tensor([_choose(logits, Sampling(temperature=1.0, top_p=0.9), generator) for _ in range(3000)])

    shares = torch.bincount(drawn, minlength=4) / 3000
    assert torch.allclose(shares, torch.tensor([0.5, 0.3, 0.15, 0.0]) / 0.95, atol=0.04)


def test_the_text_can_be_given_up_between_tokens(model: LanguageModel):
    heard = list(itertools.islice(model.stream(HEAD, PROMPT, GREEDY), 3))

    assert len(heard) == 3
    assert said(model).startswith(heard[-1].rstrip("\ufffd"))  # and the next text is whole


def test_special_tokens_typed_by_a_person_are_letters(model: LanguageModel):
    for typed in ("</s>", "<s>", "<unk>"):
        ids = model.encode(f"a {typed} b")

        assert not {0, 1, END} & set(ids)
        assert model.tokenizer.decode(ids) == f"a {typed} b"


def test_numbers_that_are_not_finite_are_no_text(folder: Path):
    model = load(family_folder(folder), CPU, FULL)
    model.network.lm_head.weight.data[7] = torch.nan

    with pytest.raises(LanguageError):
        said(model)


@pytest.mark.parametrize(("bits", "error"), [(8, 0.02), (4, 0.2)])
def test_few_bits_come_close(tmp_path: Path, bits: int, error: float):
    write_random(tmp_path, spread=0.02)  # as Mistral begins; a wider random network magnifies any error
    model, small = load(family_folder(tmp_path), CPU, FULL), load(family_folder(tmp_path), CPU, FULL, bits)
    ids = torch.tensor([model.encode(PROMPT)])
    with torch.inference_mode():
        full, few = (each.network(input_ids=ids).logits for each in (model, small))

    assert ((few - full).norm() / full.norm()).item() <= error


@pytest.mark.parametrize("bits", [8, 4])
def test_in_few_bits_the_same_seed_says_the_same(folder: Path, bits: int):
    small = load(family_folder(folder), CPU, FULL, bits)

    assert said(small, DRAWN) == said(small, DRAWN) == said(load(family_folder(folder), CPU, FULL, bits), DRAWN)


def test_sixteen_bits_on_disk_are_full_precision_on_the_cpu(folder: Path, tmp_path: Path):
    copied = Path(shutil.copytree(folder, tmp_path / "half"))
    weights = load_file(copied / WEIGHTS)
    save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, copied / WEIGHTS)

    assert {parameter.dtype for parameter in load(family_folder(copied), CPU, FULL).network.parameters()} == {FULL}


def test_shards_are_read_together(folder: Path, tmp_path: Path, model: LanguageModel):
    copied = Path(shutil.copytree(folder, tmp_path / "shards"))
    weights = load_file(copied / WEIGHTS)
    (copied / WEIGHTS).unlink()
    for part in range(2):
        name = f"model-0000{part + 1}-of-00002.safetensors"
        save_file({key: weights[key] for key in sorted(weights)[part::2]}, copied / "language_model" / name)

    assert said(load(family_folder(copied), CPU, FULL)) == said(model)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_a_missing_or_damaged_file_is_named(folder: Path, tmp_path: Path, name: str, damage: str):
    damaged = Path(shutil.copytree(folder, tmp_path / "damaged"))
    path = damaged / "language_model" / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut short":
        path.write_bytes(content[: len(content) // 2])

    with pytest.raises(WeightsError, match=re.escape(str(path.parent))):
        load(family_folder(damaged), CPU, FULL)


def test_weights_of_another_network_are_named(folder: Path, tmp_path: Path):
    copied = Path(shutil.copytree(folder, tmp_path / "other"))
    path = copied / "language_model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 3}))

    with pytest.raises(WeightsError, match=r"model\.layers\.2\.\S+ is missing"):
        load(family_folder(copied), CPU, FULL)


def test_at_full_size_it_has_seven_billion_parameters():
    with torch.device("meta"):
        network = MistralForCausalLM(MistralConfig())

    assert sum(parameter.numel() for parameter in network.parameters()) == 7_241_732_096

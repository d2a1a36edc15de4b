"""A recipe that begins with a family's weights knows what that family knows, and keeps its own where they do not fit."""

import json
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from engine import catalog
from training.autoencoder import AutoencoderRecipe
from training.loop import Warm
from training.text_encoder import TextEncoderRecipe, tokenize
from training.text_to_image import Conditioned
from training.warm import begin, unet


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def nano() -> Path:
    return catalog.weights_folder("kandinsky-nano")


def test_what_fits_is_copied_and_the_rest_is_named() -> None:
    module = nn.Linear(2, 3)
    bias = module.bias.detach().clone()
    assert begin(module, {"weight": torch.ones(3, 2, dtype=torch.float16), "bias": torch.ones(5)}) == ["bias"]
    assert torch.equal(module.weight, torch.ones(3, 2))
    assert torch.equal(module.bias, bias)


def test_the_unet_fits_as_a_whole(nano: Path) -> None:
    network = Conditioned()
    before = network.unet.conv_in.weight.detach().clone()
    assert unet(nano, network) == []
    assert not torch.equal(network.unet.conv_in.weight, before)


def test_words_of_both_worlds_keep_what_they_mean(nano: Path) -> None:
    recipe = TextEncoderRecipe()
    assert isinstance(recipe, Warm)
    assert recipe.begin_with(nano) == []
    known = json.loads((nano / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    table = load_file(nano / "text_encoder" / "model.safetensors")["shared.weight"].float()
    for word in ("red", "круг"):
        assert torch.equal(recipe.trained.encoder.shared.weight[recipe.tokenizer.get_vocab()[word]], table[known[word]])
    ids, mask = tokenize(recipe.tokenizer, ["a red circle on a blue background", "красный круг на синем фоне"])
    state = recipe.trained.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    means = (state * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    other, _ = tokenize(recipe.tokenizer, ["a small green star and a white heart"])
    elsewhere = recipe.trained.encoder(input_ids=other).last_hidden_state.mean(1)
    assert torch.dist(means[0], means[1]) < torch.dist(means[0], elsewhere[0])


def test_an_autoencoder_begins_where_the_family_ended(nano: Path) -> None:
    fresh, warm = AutoencoderRecipe(), AutoencoderRecipe()
    assert warm.begin_with(nano) == []
    with torch.no_grad():
        assert warm.loss(4, Random(1)) < 0.5 * fresh.loss(4, Random(1))

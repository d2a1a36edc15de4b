"""Every recipe learns within seconds, and goes on along the same loss curve after kill -9."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
import torch

from engine.engine import load
from training.autoencoder import AutoencoderRecipe, EncoderRecipe
from training.decoder import DecoderRecipe
from training.export import export
from training.loop import Recipe, Run, Schedule, load_average
from training.text_encoder import AttributeReader, TextEncoderRecipe, build_text_encoder, build_tokenizer, tokenize
from training.text_to_image import TextToImageRecipe


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def train(recipe: Recipe, folder: Path) -> Run:
    run = Run(recipe, folder, save_every_s=1e9, say=lambda line: None)
    run.go_on()
    return run


def improvement(recipe: Recipe, folder: Path, examples: int) -> float:
    """Loss on the same examples after training, as a share of the loss before."""
    before = fixed_loss(recipe, examples)
    train(recipe, folder)
    return fixed_loss(recipe, examples) / before


def fixed_loss(recipe: Recipe, examples: int) -> float:
    torch.manual_seed(5)
    with torch.no_grad():
        return recipe.loss(examples, Random(5)).item()


def test_the_text_encoder_learns(tmp_path: Path) -> None:
    recipe = TextEncoderRecipe(Schedule(steps=40, learning_rate=2e-3, batch=32, warmup=5))
    assert improvement(recipe, tmp_path, 64) < 0.75


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one step of every recipe that others build on."""
    folder: Path = tmp_path_factory.mktemp("cache")
    one_step = Schedule(steps=1, learning_rate=1e-3, batch=2)
    train(TextEncoderRecipe(one_step), folder)
    train(AutoencoderRecipe(one_step), folder)
    train(TextToImageRecipe(folder, one_step, scenes=64), folder)
    return folder


@pytest.mark.long
def test_the_autoencoder_then_the_encoder_alone_learn(cache: Path) -> None:
    assert improvement(AutoencoderRecipe(Schedule(steps=12, learning_rate=2e-3, batch=2, warmup=3)), cache, 2) < 0.85
    assert improvement(EncoderRecipe(cache, Schedule(steps=16, learning_rate=1e-3, batch=4, warmup=3)), cache, 8) < 0.98


@pytest.mark.long
def test_the_unet_then_the_decoder_learn(cache: Path) -> None:
    schedule = Schedule(steps=25, learning_rate=1.5e-3, batch=8, warmup=5)
    assert improvement(TextToImageRecipe(cache, schedule, scenes=64), cache, 32) < 0.85
    assert improvement(DecoderRecipe(cache, Schedule(steps=12, learning_rate=2e-3, batch=4, warmup=2)), cache, 4) < 0.95


def test_what_is_trained_can_be_exported_and_loaded(cache: Path, tmp_path: Path) -> None:
    assert set(export(cache, tmp_path)) == {"text_encoder", "movq", "unet", "conditioning"}
    assert load("kandinsky-nano", ("flash",), weights=tmp_path).family == "kandinsky-nano"


def test_the_average_is_what_is_loaded(tmp_path: Path) -> None:
    recipe = TextEncoderRecipe(Schedule(steps=3, learning_rate=1e-3, batch=2))
    run = Run(recipe, tmp_path, say=lambda line: None)
    run.go_on()
    reader = AttributeReader(build_text_encoder(recipe.tokenizer))
    assert load_average(tmp_path, recipe.name, reader) == 3
    name = "heads.0.weight"
    assert torch.equal(reader.state_dict()[name], run.average[name])
    assert not torch.equal(reader.state_dict()[name], recipe.trained.state_dict()[name])


def test_the_tokenizer_reads_case_markup_and_yo_alike() -> None:
    tokenizer = build_tokenizer()
    ids, mask = tokenize(tokenizer, ["Жёлтая ЗВЕЗДА!", "<b>желтая</b> звезда.", "waterfall"])
    assert torch.equal(ids[0], ids[1])
    assert tokenizer.convert_ids_to_tokens(ids[2].tolist())[:2] == ["<unk>", "</s>"]
    assert mask[2].sum() == 2


COMMAND = [sys.executable, "-m", "training", "text-encoder", "--steps", "30", "--batch", "4", "--save-every", "0", "--cache"]


@pytest.mark.long  # three processes; `tests/training/learning.py` stops and resumes each recipe within one
def test_a_killed_run_goes_on_along_the_same_loss_curve(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([*COMMAND, str(tmp_path / "whole")], env=environment, check=True, capture_output=True)
    killed = subprocess.Popen([*COMMAND, str(tmp_path / "killed")], env=environment, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "text-encoder.pt"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    steps_before = torch.load(checkpoint, weights_only=True)["step"]
    subprocess.run([*COMMAND, str(tmp_path / "killed")], env=environment, check=True, capture_output=True)
    whole = torch.load(tmp_path / "whole" / "text-encoder.pt", weights_only=True)
    resumed = torch.load(checkpoint, weights_only=True)
    assert 0 < steps_before < 30
    assert resumed["losses"] == whole["losses"]
    assert all(torch.equal(value, resumed["average"][name]) for name, value in whole["average"].items())

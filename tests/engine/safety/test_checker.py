from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.errors import WeightsError
from engine.safety.checker import MINORS, SEXUAL, ConceptChecker, NotJudged, load, squares
from engine.safety.judge import UNCHECKED, verdicts
from tests.engine.safety.tiny import ALWAYS, NEVER, family_folder, network, write_checker, write_published

CPU = torch.device("cpu")
WEIGHTS = "safety_checker/model.safetensors"


def noise(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("threshold", "special"), [(0.35, 0.35), (0.3, 0.05), (0.36, NEVER)])
def test_it_judges_as_the_library_does(threshold: float, special: float):
    library = network(threshold, special)
    checker = ConceptChecker(library)
    pictures = [noise(seed) for seed in range(40)]
    pixels = checker._processor(images=pictures, return_tensors="pt")["pixel_values"]
    _, flags = library(clip_input=pixels, images=[np.zeros(1) for _ in pictures])

    found = [checker(picture) for picture in pictures]

    assert [category is not None for category in found] == flags
    assert any(flags)


def test_the_category_says_whether_young_people_are_near():
    assert ConceptChecker(network(ALWAYS, NEVER))(noise(0)) == SEXUAL
    assert ConceptChecker(network(ALWAYS, ALWAYS))(noise(0)) == MINORS
    assert ConceptChecker(network(NEVER, ALWAYS))(noise(0)) is None


def test_near_young_people_it_is_stricter():
    bare = ConceptChecker(network(0.5, 0.5))
    concepts, special = bare.scores(bare._processor(images=[noise(3)], return_tensors="pt")["pixel_values"])
    beyond, young = 0.505 + concepts.max().item(), 0.5 + special.max().item()  # a little more than the picture's nearest concept

    assert ConceptChecker(network(beyond, young + 0.01))(noise(3)) is None
    assert ConceptChecker(network(beyond, young - 0.01))(noise(3)) == MINORS


def test_the_library_calls_nan_safe_and_we_do_not(caplog: pytest.LogCaptureFixture):
    library = network(ALWAYS)
    library.visual_projection.weight.data[0] = torch.nan
    checker = ConceptChecker(library)
    pixels = checker._processor(images=[noise(0)], return_tensors="pt")["pixel_values"]

    assert library(clip_input=pixels, images=[np.zeros(1)])[1] == [False]
    with pytest.raises(NotJudged):
        checker(noise(0))
    assert verdicts(checker, [noise(0)]) == [UNCHECKED]


@pytest.mark.parametrize(("size", "count"), [((64, 64), 1), ((80, 64), 2), ((128, 64), 3), ((64, 256), 7), ((1, 8), 15)])
def test_squares_cover_a_picture(size: tuple[int, int], count: int):
    picture = Image.new("RGB", size)
    side, length = sorted(size)
    tiles = squares(picture)

    assert len(tiles) == count
    assert {tile.size for tile in tiles} == {(side, side)}
    assert count == 1 or (length - side) / (count - 1) <= side / 2  # each half over the next, or more


def test_the_edge_of_a_panorama_is_judged():
    checker = ConceptChecker(network(NEVER, NEVER))
    bad = noise(7)
    embeds = checker.network.visual_projection(
        checker.network.vision_model(checker._processor(images=[bad], return_tensors="pt")["pixel_values"]).pooler_output
    )
    checker.network.concept_embeds.data[4] = embeds[0].detach()
    checker.network.concept_embeds_weights.data[4] = 0.99
    panorama = Image.new("RGB", (512, 64), (90, 120, 200))
    assert checker(panorama) is None

    panorama.paste(bad, (448, 0))

    assert checker(panorama) == SEXUAL


def test_it_is_loaded_from_safetensors(tmp_path: Path):
    write_checker(tmp_path, ALWAYS, NEVER)

    assert load(family_folder(tmp_path), CPU)(noise(1)) == SEXUAL


def test_published_names_are_understood(tmp_path: Path):
    library = network(0.35, 0.35)
    write_published(tmp_path, library)
    checker, pictures = load(family_folder(tmp_path), CPU), [noise(seed) for seed in range(10)]

    assert [checker(picture) for picture in pictures] == [ConceptChecker(library)(picture) for picture in pictures]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tensors: tensors["concept_embeds_weights"].fill_(1.0),  # as the class begins: nothing is ever so near
        lambda tensors: tensors["concept_embeds_weights"].fill_(torch.nan),
        lambda tensors: tensors["concept_embeds"].zero_(),
        lambda tensors: tensors["special_care_embeds"].fill_(torch.inf),
    ],
)
def test_a_checker_that_could_find_nothing_is_refused(tmp_path: Path, spoil):
    write_checker(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    spoil(tensors)
    save_file(tensors, tmp_path / WEIGHTS)

    with pytest.raises(WeightsError, match="safe"):
        load(family_folder(tmp_path), CPU)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_without_its_files_there_is_no_judge(tmp_path: Path, name: str):
    write_checker(tmp_path)
    (tmp_path / "safety_checker" / name).unlink()

    with pytest.raises(WeightsError, match="safety_checker"):
        load(family_folder(tmp_path), CPU)


def test_a_pickle_is_not_read(tmp_path: Path):
    write_checker(tmp_path)
    (tmp_path / WEIGHTS).rename(tmp_path / "safety_checker" / "pytorch_model.bin")

    with pytest.raises(WeightsError, match="missing"):
        load(family_folder(tmp_path), CPU)


def test_at_full_size_it_has_the_published_parameters():
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers.models.clip.configuration_clip import CLIPConfig

    vision = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
    }
    with torch.device("meta"):
        checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=768))

    concepts = 17 * 769 + 3 * 769
    assert sum(parameter.numel() for parameter in checker.parameters()) == 303_966_208 + concepts  # engine-facts.md 1.1, CLIP


def test_a_checker_that_cannot_judge_a_blank_picture_is_refused_when_it_is_loaded(tmp_path: Path):
    spoilt = network()
    spoilt.visual_projection.weight.data.fill_(float("nan"))  # its concepts are sound, so its thresholds look trained
    spoilt.save_pretrained(tmp_path / "safety_checker")

    with pytest.raises(WeightsError, match=r"cannot judge a blank picture .*not finite"):
        load(family_folder(tmp_path), CPU)

"""The image encoder learns what captions say, and is what the engine loads."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from transformers.models.clip.configuration_clip import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection

from engine.components import Components
from engine.conditioning import TextConditioning
from engine.families import NANO
from engine.picture_encoder import pixel_values
from engine.weights import Folder
from tests.training.learning import check_on_the_same, run
from training.base import load_texts
from training.damage import worn
from training.data import DataError, RenderedScenes
from training.image_encoder import PRESETS, ImageEncoderRecipe, cover, embedded, frozen, meaning
from training.loop import Schedule
from training.scenes import Piece, Scene, render, sample_scene
from training.super_resolution import to_picture

CPU = torch.device("cpu")
TOY = replace(
    PRESETS["nano"],
    vision={
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "projection_dim": 32,
    },
    schedule=Schedule(steps=40, learning_rate=2e-3, batch=12, warmup=4),
    side=48,
)


@pytest.fixture(scope="module")
def texts() -> TextConditioning:
    torch.set_num_threads(1)
    return load_texts("kandinsky-nano", None, CPU)


def test_it_learns(texts: TextConditioning, tmp_path: Path) -> None:
    check_on_the_same(lambda: ImageEncoderRecipe(texts, TOY), tmp_path, fall=0.85)


def test_the_engine_loads_what_is_written_and_embeds_alike(texts: TextConditioning, tmp_path: Path) -> None:
    recipe = ImageEncoderRecipe(texts, TOY)
    run(recipe, tmp_path, until=2)
    recipe.trained.eval()
    recipe.write(tmp_path, 2)
    loaded = Components(Folder(NANO, tmp_path), CPU, torch.float32).picture_encoder()
    pictures = [to_picture(render(sample_scene(Random(seed)))) for seed in range(3)]
    ours, theirs = recipe.encoder_of(pictures), embedded(loaded, pictures)
    assert loaded.size == 32
    assert (ours - theirs).abs().max() < 0.01 * ours.abs().max()  # the file is half precision
    assert torch.allclose(loaded.embeds(pictures[:1], [1.0]), theirs[:1], atol=1e-5)


def test_who_builds_upon_it_finds_the_run_or_the_file_or_hears_what_to_do(texts: TextConditioning, tmp_path: Path) -> None:
    asked = {"preset": "nano", "texts": texts, "family": "kandinsky-nano", "device": CPU}
    with pytest.raises(DataError, match="train it first"):
        frozen(tmp_path, weights=tmp_path, **asked)  # type: ignore[arg-type]
    recipe = ImageEncoderRecipe(texts, replace(PRESETS["nano"], schedule=Schedule(steps=1, learning_rate=1e-3, batch=2)))
    begun = run(recipe, tmp_path / "cache")
    recipe.write(tmp_path, 1)
    found = [frozen(place, weights=tmp_path, **asked) for place in (begun.folder, tmp_path / "none")]  # type: ignore[arg-type]
    pictures = [to_picture(render(sample_scene(Random(5))))]
    with begun.averaged():
        expected = recipe.encoder_of(pictures)
    assert torch.equal(embedded(found[0], pictures), expected)
    assert embedded(found[1], pictures).shape == expected.shape
    assert not any(parameter.requires_grad for parameter in found[0].network.parameters())


def test_pictures_come_in_pairs_with_their_captions(texts: TextConditioning) -> None:
    recipe = ImageEncoderRecipe(texts, replace(TOY, worn=0.0))
    pictures, captions, scenes = recipe.examples(8, Random(3))
    assert len(pictures) == len(captions) == len(scenes) == 8
    apart = [(pixel_values(a, 32) - pixel_values(b, 32)).abs().mean() for a, b in zip(pictures[::2], pictures[1::2], strict=True)]
    others = [
        (pixel_values(a, 32) - pixel_values(b, 32)).abs().mean() for a, b in zip(pictures[::2], pictures[2::2], strict=False)
    ]
    assert all(each > 0 for each in apart)
    assert sum(apart) / len(apart) < sum(others) / len(others)
    own, _, unknown = ImageEncoderRecipe(texts, TOY, RenderedScenes(20, 48)).examples(2, Random(3))
    assert own[0].size == (48, 48)
    assert not unknown


def test_cells_lie_where_their_patches_do(texts: TextConditioning) -> None:
    towers = ImageEncoderRecipe(texts, TOY).towers
    with torch.no_grad():
        towers.places.weight.zero_()
        towers.places.bias.copy_(torch.arange(16.0))
        _, places = towers(torch.randn(2, 3, 32, 32), torch.randn(2, 128))
    assert torch.equal(places, torch.arange(16.0).reshape(4, 4).repeat(2, 4, 4))
    scene = Scene("blue", (Piece("square", "red", "big", "left", 0.25, 0.5, 0.2),))
    covered = cover(scene, 16)
    assert covered.shape == (16, 16)
    assert covered[8, 3] == 1
    assert not covered[:, 8:].any()


def test_wear_leaves_a_picture_what_it_is() -> None:
    picture = to_picture(render(sample_scene(Random(1))))
    changed = [worn(picture, Random(seed)) for seed in range(5)]
    assert all(one.size == picture.size for one in changed)
    apart = [float((pixel_values(one, 64) - pixel_values(picture, 64)).abs().mean()) for one in changed]
    assert all(0.005 < each < 0.4 for each in apart)


def test_a_caption_means_the_same_in_any_company(texts: TextConditioning) -> None:
    alone = meaning(texts, ["a red circle"])
    together = meaning(texts, ["a big green star on the left on a white background", "a red circle"])
    assert torch.allclose(alone[0], together[1], atol=1e-5)


def test_full_size_is_vit_l() -> None:
    with torch.device("meta"):
        network = CLIPVisionModelWithProjection(CLIPVisionConfig(**PRESETS["full"].vision))
    assert sum(parameter.numel() for parameter in network.parameters()) == 303_966_208

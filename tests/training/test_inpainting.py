"""Masks are of every kind in the shares asked for; a grown UNet begins as its base, learns, and is what the engine loads."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from engine.components import Components
from engine.families import KANDINSKY_3_1
from engine.framing import Frame
from engine.pipelines.inpaint import known_channels
from engine.weights import Folder
from tests.training.learning import check, toy_base
from training.base import Base, load_base
from training.data import DataError, Region, RenderedScenes
from training.inpainting import CONDITIONING, FOLDER, PRESETS, InpaintingRecipe, Preset, grown, wishes
from training.loop import Schedule
from training.masks import KINDS, Ratios, mask_of, sample_mask

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base() -> Base:
    return toy_base()


TOY = Preset(Schedule(steps=32, learning_rate=4e-3, batch=4, warmup=2), side=64)


@pytest.mark.long  # super-resolution and LoRA are shown to learn in `make test`
def test_it_learns(base: Base, tmp_path: Path) -> None:
    check(lambda: InpaintingRecipe(base, TOY), tmp_path, fall=0.9)


def test_it_begins_as_the_base_model(base: Base) -> None:
    unet = grown(base.unet, 5)
    sample, more = torch.randn(2, 4, 16, 16), torch.randn(2, 5, 16, 16)
    context = base.contexts(["red circle", "a big star"], [False, True])
    with torch.no_grad():
        plain = base.unet(sample, 500, context.states, context.mask).sample
        assert torch.equal(unet(torch.cat([sample, more], 1), 500, context.states, context.mask).sample, plain)
    assert unet.conv_in.weight.shape[1] == 9
    assert not unet.conv_in.weight[:, 4:].any()
    assert unet.conv_in.weight.requires_grad


def test_what_is_known_is_what_the_engine_will_say(base: Base) -> None:
    recipe = InpaintingRecipe(base, PRESETS["nano"])
    example, mask, _, _ = wishes(1, 128)[0]
    networks = base.networks(recipe.unet)
    wanted = known_channels(networks, Frame.around((128, 128), base.areas), example.picture, mask)
    pixels = torch.from_numpy(np.asarray(example.picture, dtype=np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    assert torch.allclose(recipe.known(pixels, (mask,)), wanted, atol=1e-5)


def test_the_engine_loads_and_repaints_with_what_is_written(base: Base, tmp_path: Path) -> None:
    recipe = InpaintingRecipe(base, TOY)
    assert set(recipe.write(tmp_path, 0)) == {FOLDER, CONDITIONING}
    place = KANDINSKY_3_1.unets["inpaint"]
    assert (place.unet, place.conditioning) == (FOLDER, CONDITIONING)
    loaded = Components(Folder(KANDINSKY_3_1, tmp_path), CPU, torch.float32).unet(place)
    assert torch.allclose(loaded.conv_in.weight, recipe.unet.conv_in.weight, atol=1e-3)
    example, mask, _, _ = wishes(1, 128)[0]
    drawn = recipe.drawn(example.picture, mask, "red star")
    assert np.array_equal(np.asarray(drawn)[~mask], np.asarray(example.picture)[~mask])


def test_masks_come_in_the_shares_asked_for() -> None:
    dataset, rng = RenderedScenes(50, side=64), Random(2)
    only = {kind: Ratios(**dict.fromkeys(KINDS, 0.0) | {kind: 1.0}) for kind in KINDS}
    areas = {kind: [sample_mask(dataset[i], only[kind], rng)[0].mean() for i in range(50)] for kind in KINDS}
    assert all(0.01 <= area <= 0.95 for each in areas.values() for area in each)
    assert all(np.std(each) > 0.02 for each in areas.values())
    words = Counter[str]()
    for index in range(50):
        example = dataset[index]
        named = {name for region in example.regions for name in region.names}
        crops = {caption for region in example.regions for caption in region.captions}
        for _ in range(8):
            _, text = sample_mask(example, Ratios(), rng)
            words["name" if text in named else "crop" if text in crops else "caption"] += 1
    assert words["name"] == pytest.approx(100, abs=30)
    assert words["crop"] == pytest.approx(100, abs=30)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_is_of_the_pictures_size_and_its_seed(kind: str) -> None:
    region = RenderedScenes(side=64)[3].regions[0]
    for where in (None, region):
        mask = mask_of(kind, (80, 48), where, Random(9))
        assert mask.shape == (48, 80)
        assert mask.dtype == np.bool_
        assert np.array_equal(mask, mask_of(kind, (80, 48), where, Random(9)))


def test_a_box_covers_its_object_and_outpainting_keeps_a_rectangle() -> None:
    region = Region(("cat",), (0.25, 0.25, 0.5, 0.75))
    mask = mask_of("box", (64, 64), region, Random(1))
    assert mask[16:48, 16:32].all()
    assert mask.mean() < 0.4
    kept = ~mask_of("outpaint", (64, 64), None, Random(1))
    rows, columns = np.nonzero(kept)
    assert kept[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_a_picture_without_notes_can_be_learned_from(tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), "green").save(tmp_path / "a.png")
    from training.data import FolderOfPictures

    mask, words = sample_mask(FolderOfPictures(tmp_path)[0], Ratios(), Random(0))
    assert mask.shape == (64, 96)
    assert words == ""


def test_missing_weights_are_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        load_base("kandinsky-3.1", tmp_path / "nowhere", CPU)

"""Stages go on from one another, pictures find their buckets, and what is written conditions and draws as it was trained."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from torch import nn

from engine import catalog
from engine.components import Components
from engine.families import KANDINSKY_3_1_SMALL, NANO
from engine.models.unet import Kandinsky3UNet
from engine.weights import Folder
from tests.training.learning import check, run
from training.data import DataError, Example, RenderedScenes
from training.stages import CONDITIONING, FOLDER, PRESETS, Frozen, Preset, Stage, StageRecipe, bucket_of, cut, load_frozen
from training.text_to_image import Conditioned

CPU = torch.device("cpu")
TOY = Preset(
    "toy",
    NANO,
    (
        Stage(((64, 64),), 24, 2, 2, 6e-3, warmup=2, average=0.9),
        Stage(((64, 128), (128, 64), (64, 64)), 4, 2, 1, 1e-3, warmup=1, average=0.9),
    ),
    {
        "time_embedding_dim": 32, "groups": 4, "attention_head_dim": 8, "layers_per_block": 2,
        "block_out_channels": (16, 32, 32, 64), "cross_attention_dim": 32,
    },
    text_width=128,
)  # fmt: skip


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    torch.set_num_threads(1)
    return load_frozen(NANO, None, CPU)


class Pictures:
    """Plain pictures of these sizes, in turn."""

    def __init__(self, *sizes: tuple[int, int]) -> None:
        self._sizes = sizes

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> Example:
        return Example(str(index), Image.new("RGB", self._sizes[index % len(self._sizes)], "teal"), (f"picture {index}",))


def test_a_stage_learns_and_the_next_begins_where_it_ended(frozen: Frozen, tmp_path: Path) -> None:
    scenes = RenderedScenes(200, side=64)
    check(lambda: StageRecipe(tmp_path, frozen, TOY, 1, scenes), tmp_path / "first", fall=0.9)
    with pytest.raises(DataError, match="train that stage first"):
        StageRecipe(tmp_path, frozen, TOY, 2, scenes)
    second = StageRecipe(tmp_path / "first" / "whole", frozen, TOY, 2, Pictures((200, 100), (100, 200)))
    average = torch.load(tmp_path / "first" / "whole" / "text-to-image-toy-1.pt", weights_only=True)["average"]
    assert all(torch.equal(value, average[name]) for name, value in second.trained.state_dict().items())
    assert run(second, tmp_path / "second").step == 4
    with pytest.raises(DataError, match="stages 1 to 2"):
        StageRecipe(tmp_path, frozen, TOY, 3, scenes)


@pytest.mark.long
def test_what_is_written_is_loaded_and_reads_texts_as_in_training(frozen: Frozen, tmp_path: Path) -> None:
    recipe = StageRecipe(tmp_path, frozen, TOY, 1, RenderedScenes(20, side=64))
    assert set(recipe.write(tmp_path, 0)) == {FOLDER, CONDITIONING}
    for name in ("text_encoder", "tokenizer", "movq"):
        (tmp_path / name).symlink_to(catalog.weights_folder("kandinsky-nano") / name)
    networks = Components(Folder(KANDINSKY_3_1_SMALL, tmp_path), CPU, torch.float32).drawing("base")
    words = ["a red circle", "big blue star on the left, white background"]
    with torch.no_grad():
        trained = recipe.context(words, torch.tensor([False, False]))
        dropped = recipe.context(words, torch.tensor([True, True]))
        latents = torch.randn(1, 4, 8, 8)
        for row, text in enumerate(words):
            served = networks.conditioning.encode(text).padded(trained.mask.shape[1])
            assert torch.equal(served.mask[0], trained.mask[row])
            assert torch.allclose(served.states[0], trained.states[row], atol=2e-3)
            own = recipe.network.unet(latents, 500, trained.states[row : row + 1], trained.mask[row : row + 1]).sample
            theirs = networks.unet(latents, 500, served.states, served.mask).sample
            assert torch.allclose(own, theirs, atol=2e-2)
        nothing = networks.conditioning.nothing(dropped.mask.shape[1])
        assert torch.allclose(nothing.states[0], dropped.states[0], atol=2e-3)
        assert torch.equal(nothing.mask[0], dropped.mask[0])


@pytest.mark.long
def test_a_batch_has_the_bucket_of_its_first_picture_as_often_as_the_source_has_it(frozen: Frozen, tmp_path: Path) -> None:
    run(StageRecipe(tmp_path, frozen, TOY, 1, RenderedScenes(20, side=64)), tmp_path, until=1)
    recipe = StageRecipe(tmp_path, frozen, TOY, 2, Pictures((90, 180), (90, 180), (90, 180), (300, 150)))
    seen = Counter[tuple[int, int]]()
    for seed in range(60):
        examples, bucket = recipe.examples(4, Random(seed))
        seen[bucket] += 1
        assert {bucket_of(example.picture.size, recipe.stage.sides) for example in examples} == {bucket}
    assert 30 < seen[64, 128] < 58
    assert seen[64, 128] + seen[128, 64] == 60


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((3000, 3000), (1024, 1024)),
        ((900, 880), (832, 832)),
        ((600, 600), (768, 768)),
        ((2000, 1500), (1024, 768)),
        ((1500, 4000), (768, 1024)),
    ],
)
def test_a_picture_goes_to_the_largest_bucket_of_its_shape_that_it_fills(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert bucket_of(size, PRESETS["full"].stages[-1].sides) == bucket


def test_a_cut_keeps_proportions_and_the_whole_shorter_side() -> None:
    picture = Image.new("RGB", (300, 100))
    picture.paste("white", (0, 50, 300, 100))
    found = cut(picture, (64, 64), Random(1))
    assert found.size == (64, 64)
    column = [found.getpixel((32, y)) for y in (2, 20, 44, 61)]
    assert column == [(0, 0, 0), (0, 0, 0), (255, 255, 255), (255, 255, 255)]


def test_the_article_s_stages() -> None:
    full = PRESETS["full"].stages
    assert [stage.sides[0][0] for stage in full[:4]] == [256, 384, 512, 768]
    assert [(stage.steps, stage.per_gpu, stage.gpus, stage.pairs) for stage in full] == [
        (600_000, 20, 100, 1100),
        (500_000, 10, 100, 768),
        (400_000, 10, 100, 450),
        (250_000, 4, 416, 224),
        (350_000, 1, 416, 280),
    ]
    assert set(full[-1].sides) == set(catalog.family("kandinsky-3.1").sizes)
    small = PRESETS["small"].stages
    assert sum(stage.steps for stage in small) == 1_000_000
    assert {stage.schedule.batch for stage in small} == {2048}


@pytest.mark.parametrize(("name", "billions"), [("full", 3.04), ("small", 0.95)])
def test_networks_of_full_size(name: str, billions: float) -> None:
    preset = PRESETS[name]
    with torch.device("meta"):
        network: nn.Module = Conditioned({**preset.unet, "encoder_hid_dim": None}, preset.text_width)
    unet = network.get_submodule("unet")
    assert isinstance(unet, Kandinsky3UNet)
    assert sum(parameter.numel() for parameter in unet.parameters()) == pytest.approx(billions * 1e9, rel=0.01)
    assert network.get_parameter("projection.weight").shape == (unet.config["cross_attention_dim"], preset.text_width)
    assert replace(preset, name="other").stage(1) is preset.stages[0]

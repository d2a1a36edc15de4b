from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from engine import tiling
from engine.conditioning import Context
from engine.errors import BadPicture, OutOfMemory
from engine.outcomes import Drawn, Progress, ignore
from engine.pipelines.upscale import Enlarger, FlashUpscalePipeline, Refiner, UpscalePipeline, refine
from engine.super_resolution import Windows
from engine.tiling import Tiles
from engine.watch import GivenUp, Watch
from tests.engine.conftest import CONTEXT_WIDTH, tiny_movq, tiny_unet
from tests.engine.models.oracles import awaken
from tests.engine.test_super_resolution import ReturnsLowRes, seeded
from tests.engine.test_super_resolution import tiny_unet as tiny_enlarger

CPU = torch.device("cpu")
SMALL = Windows(side=64, stride=48, per_call=4)
Pipeline = UpscalePipeline | FlashUpscalePipeline


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def enlarger(scale: int, unet: nn.Module | None = None) -> Enlarger:
    return Enlarger(unet or tiny_enlarger(), scale, CPU, torch.float32)


@pytest.fixture(scope="module")
def refiner() -> Refiner:
    torch.manual_seed(0)
    unet, movq = tiny_unet().eval(), tiny_movq().eval()
    awaken(movq)
    unet.settle()
    context = Context(torch.randn(1, 12, CONTEXT_WIDTH), torch.arange(12)[None] < 1)  # one token counts, none is zero
    return Refiner(unet, movq, context, torch.float32)


def draw(
    pipeline: Pipeline, picture: Image.Image, seed: int = 5, on_step: Callable[..., Collection[int]] = ignore
) -> Image.Image:
    drawn = pipeline(picture, seed, Watch(on_step, CPU))
    assert isinstance(drawn, Drawn)
    assert drawn.seeds == (seed,)
    return drawn.images[0]


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (31, 18), (502, 20), (1, 90)])
def test_a_picture_of_any_size_grows_to_exactly_its_multiple(size: tuple[int, int], scale: int):
    picture = photo(*size)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].double()
    expected = F.interpolate(F.pad(pixels, (0, 8, 0, 8), mode="replicate"), scale_factor=scale, mode="bilinear")
    expected = expected[0, :, : size[1] * scale, : size[0] * scale].permute(1, 2, 0).numpy()

    flash = draw(FlashUpscalePipeline(enlarger(scale, ReturnsLowRes()), None, SMALL), picture)
    image = draw(UpscalePipeline(enlarger(scale, ReturnsLowRes()), SMALL), picture)

    assert image.size == (size[0] * scale, size[1] * scale)
    assert np.abs(np.asarray(image) - expected).max() <= 0.501
    assert image.tobytes() == flash.tobytes()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "1"])
def test_pictures_of_every_mode_are_read_as_colours(mode: str):
    image = draw(UpscalePipeline(enlarger(4, ReturnsLowRes()), SMALL), photo(8, 8, mode))
    assert (image.mode, image.size) == ("RGB", (32, 32))


@pytest.mark.parametrize("flash", [True, False])
def test_a_seed_decides_everything(flash: bool, refiner: Refiner):
    small = enlarger(2)
    pipeline = FlashUpscalePipeline(small, refiner, SMALL) if flash else UpscalePipeline(small, SMALL)
    first, again, other = (draw(pipeline, photo(40, 32), seed) for seed in (5, 5, 6))

    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_every_call_is_reported_and_previews_are_small():
    heard: list[Progress] = []
    previews: list[tuple[int, int]] = []

    def on_step(progress: Progress) -> Collection[int]:
        heard.append(progress)
        previews.append(progress.preview().size)
        return ()

    draw(UpscalePipeline(enlarger(4), replace(SMALL, per_call=4)), photo(16, 40), on_step=on_step)  # 64x160: 3 windows

    assert [(each.stage, each.step, each.total) for each in heard] == [
        *(("window", 3 * step, 15) for step in range(1, 6)),
        ("decode", 1, 1),
    ]
    assert previews == [(16, 40)] + [(64, 160)] * 5
    draw(UpscalePipeline(enlarger(4, ReturnsLowRes()), replace(SMALL, per_call=1)), photo(300, 16), on_step=on_step)
    assert previews[-2] == (512, 27)


def test_a_picture_that_is_dropped_stops_between_two_windows():
    seen: list[int] = []

    def on_step(progress: Progress) -> Collection[int]:
        seen.append(progress.step)
        return (0,) if len(seen) == 2 else ()

    with pytest.raises(GivenUp):
        draw(UpscalePipeline(enlarger(4), replace(SMALL, per_call=1)), photo(40, 40), on_step=on_step)
    assert seen == [1, 2]


def test_flash_reports_every_stage_of_the_refiner(refiner: Refiner, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.tiling.ENCODE_TILES", Tiles(64, 0))
    monkeypatch.setattr("engine.tiling.REFINE_TILES", Tiles(16, 8))
    monkeypatch.setattr("engine.tiling.DECODE_TILES", Tiles(8, 2))
    stages: list[tuple[str, int, int]] = []

    def on_step(progress: Progress) -> Collection[int]:
        stages.append((progress.stage, progress.step, progress.total))
        assert progress.preview().size == (128, 192) if progress.stage != "window" else True
        return ()

    pipeline = FlashUpscalePipeline(enlarger(2), replace(refiner, tiled_above=0), replace(SMALL, per_call=15))
    draw(pipeline, photo(64, 96), on_step=on_step)

    assert [stage for stage in stages if stage[0] == "window"] == [("window", 12 * step, 48) for step in range(1, 5)]
    assert [stage for stage in stages if stage[0] == "encode"] == [("encode", done, 6) for done in range(1, 7)]
    assert [stage for stage in stages if stage[0] == "step"] == [("step", done, 2) for done in range(1, 3)]
    assert [stage for stage in stages if stage[0] == "decode"] == [
        *(("decode", done, 12) for done in range(1, 13)),
        ("decode", 1, 1),
    ]


class Silent(nn.Module):
    """An ε network that finds no noise, and an autoencoder of nothing: 8 pixels a side are one latent."""

    def prepare(self, *args: object) -> None: ...

    def denoise(self, sample: Tensor, prepared: None, step: int) -> Tensor:
        return torch.zeros_like(sample)

    def encode(self, pictures: Tensor) -> Tensor:
        latents = F.pixel_unshuffle(pictures, 8)
        self.rest = latents[:, 4:]
        return latents[:, :4].clone()

    def decode(self, latents: Tensor) -> Tensor:
        return F.pixel_shuffle(torch.cat([latents, self.rest], dim=1), 8)


def test_without_noise_the_refiner_gives_back_what_it_got(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.randn", lambda shape, generator: torch.zeros(shape))
    monkeypatch.setattr("engine.tiling.REFINE_TILES", Tiles(16, 4))
    silent = Silent()
    context = Context(torch.zeros(1, 1, 4), torch.ones(1, 1, dtype=torch.bool))
    nothing = Refiner(silent, silent, context, torch.float32, tiled_above=10**9)  # type: ignore[arg-type]
    picture = torch.rand(1, 3, 8 * 18, 8 * 29) * 2 - 1  # two tiles of 16 latents by three

    refined = refine(nothing, picture, seeded(), Watch(ignore, CPU))

    assert (refined - picture).abs().max() < 1e-6


def test_the_refiner_is_one_late_step_of_kandinsky_flash(refiner: Refiner):
    picture = torch.rand(1, 3, 64, 128) * 2 - 1
    with torch.inference_mode():
        latents = refiner.movq.encode(picture)
        noise = torch.randn(latents.shape, generator=seeded())
        noisy = 0.8688**0.5 * latents + (1 - 0.8688) ** 0.5 * noise  # the share of t = 229 (engine-facts 4)
        eps = refiner.unet(noisy, 229, refiner.context.states, refiner.context.mask).sample
        expected = refiner.movq.decode((noisy - (1 - 0.8688) ** 0.5 * eps) / 0.8688**0.5)

        refined = refine(refiner, picture, seeded(), Watch(ignore, CPU))

    assert (refined - expected).abs().max() < 1e-3 * expected.abs().max()


def test_refining_in_tiles_is_near_refining_the_whole(refiner: Refiner, monkeypatch: pytest.MonkeyPatch):
    picture = torch.rand(1, 3, 192, 192, generator=seeded()) * 2 - 1
    with torch.inference_mode():
        whole = refine(refiner, picture, seeded(), Watch(ignore, CPU))
        monkeypatch.setattr(tiling, "REFINE_TILES", Tiles(16, 8))
        tiled = refine(refiner, picture, seeded(), Watch(ignore, CPU))

    apart = (tiled - whole).square().mean().sqrt() / whole.std()
    assert apart < 0.4  # 0.14 to 0.27, as a random network's statistics differ from tile to tile; two pictures are 1.4 apart


class Hungry(ReturnsLowRes):
    """Has memory for so many windows at once."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.calls: list[int] = []

    def forward(self, sample: Tensor, timestep: int, low_res: Tensor) -> Tensor:
        self.calls.append(len(sample))
        if len(sample) > self.limit:
            raise torch.OutOfMemoryError
        return super().forward(sample, timestep, low_res)


def test_out_of_memory_halves_the_windows_per_call_and_draws_the_same():
    picture = photo(30, 40)
    hungry = Hungry(limit=4)

    image = draw(UpscalePipeline(enlarger(4, hungry), replace(SMALL, per_call=15)), picture)

    assert hungry.calls[:7] == [9, 4, 4, 1, 4, 4, 1]  # nine windows a step; what is too many is asked for once
    assert image.tobytes() == draw(UpscalePipeline(enlarger(4, ReturnsLowRes()), SMALL), picture).tobytes()


def test_out_of_memory_for_a_single_window_is_said_and_the_next_picture_succeeds():
    hungry = Hungry(limit=0)
    pipeline = UpscalePipeline(enlarger(4, hungry), SMALL)

    with pytest.raises(OutOfMemory, match="single window of 64x64"):
        draw(pipeline, photo(30, 40))
    assert hungry.calls == [4, 2, 1]

    hungry.limit = 9
    assert draw(pipeline, photo(30, 40)).size == (120, 160)


@pytest.mark.parametrize("part", ["encode", "decode"])
def test_out_of_memory_in_the_refiner_is_the_same_error(part: str, refiner: Refiner, monkeypatch: pytest.MonkeyPatch):
    def fail(*args: object) -> Tensor:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(refiner.movq, part, fail)
    with pytest.raises(OutOfMemory, match="64x64 pixels; send a smaller one"):
        draw(FlashUpscalePipeline(enlarger(2), refiner, SMALL), photo(32, 32))


def test_a_target_for_which_there_is_no_memory_at_all_is_the_same_error(monkeypatch: pytest.MonkeyPatch):
    def fail(*args: object, **kwargs: object) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("torch.zeros_like", fail)
    with pytest.raises(OutOfMemory, match="120x160"):
        draw(UpscalePipeline(enlarger(4), SMALL), photo(30, 40))


class Broken(ReturnsLowRes):
    def forward(self, sample: Tensor, timestep: int, low_res: Tensor) -> Tensor:
        return low_res * float("nan")


def test_numbers_that_are_no_picture_are_an_error():
    with pytest.raises(BadPicture, match="another seed"):
        draw(UpscalePipeline(enlarger(4, Broken()), SMALL), photo(30, 40))


def test_a_black_picture_is_a_picture():
    black = Image.new("RGB", (8, 8))
    assert draw(UpscalePipeline(enlarger(4, ReturnsLowRes()), SMALL), black).getextrema() == ((0, 0),) * 3

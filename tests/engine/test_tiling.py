import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from engine.catalog import PACKAGED_WEIGHTS
from engine.models.movq import MoVQ
from engine.tiling import DECODE_TILES, ENCODE_TILES, REFINE_TILES, Tiles, blend_tiles, decode, encode, starts
from engine.weights import settings
from tests.engine.models.oracles import movq_pair


def nano() -> MoVQ:
    """A trained autoencoder: what tiles change depends on its statistics."""
    folder = PACKAGED_WEIGHTS / "kandinsky-nano" / "movq"
    movq = MoVQ(**settings(MoVQ, json.loads((folder / "config.json").read_text(encoding="utf-8"))))
    tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    movq.load_state_dict({name: value.float() for name, value in tensors.items() if not name.startswith("quantize.")})
    return movq.eval()


def scene(height: int, width: int) -> Tensor:
    """A red disc and a dark bar on blue, (1, 3, H, W) in [-1, 1]."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.tensor([-0.6, -0.4, 0.8])[:, None, None].repeat(1, height, width)
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 3) ** 2
    picture = torch.where(disc, torch.tensor([0.9, -0.7, -0.7])[:, None, None], picture)
    picture[:, :, width // 8 : width // 6] = -0.8
    return picture[None]


@pytest.mark.parametrize(
    ("length", "expected"),
    [(64, [0]), (1024, [0]), (1025, [0, 1]), (1824, [0, 800]), (2048, [0, 800, 1024]), (4096, [0, 800, 1600, 2400, 3072])],
)
def test_the_last_part_is_shifted_back_to_the_border(length: int, expected: list[int]):
    assert starts(length, 1024, 800) == expected


def test_tiles_are_those_of_the_facts():
    assert (Tiles(1024, 0), Tiles(128, 32), Tiles(352, 88)) == (ENCODE_TILES, DECODE_TILES, REFINE_TILES)


@pytest.mark.parametrize("size", [(5, 7), (16, 16), (16, 40), (33, 17), (100, 61)])
def test_tiles_that_change_nothing_are_the_whole(size: tuple[int, int]):
    x = torch.randn(2, 3, *size)

    assert (blend_tiles(x, Tiles(16, 4), torch.clone) - x).abs().max() < 1e-6
    assert torch.equal(blend_tiles(x, Tiles(16, 0), torch.clone), x)


def test_neighbours_fade_linearly_into_each_other():
    """Tiles of constants, as the official code blends them: weight y / blend for the later one."""
    values = iter(range(4))
    x = torch.zeros(1, 1, 28, 28)  # two tiles of 16 a side, sharing 4

    blended = blend_tiles(x, Tiles(16, 4), lambda tile: torch.full_like(tile, next(values)))[0, 0]

    assert blended[0, :12].tolist() == [0] * 12
    assert blended[0, 12:16].tolist() == [0, 0.25, 0.5, 0.75]
    assert blended[0, 16:].tolist() == [1] * 12
    assert blended[12:16, 0].tolist() == [0, 0.5, 1, 1.5]  # from tile 0 to tile 2
    assert blended[20, 20] == 3
    assert blended[14, 14] == pytest.approx(1.5)  # halfway both ways between 0, 1, 2 and 3


@pytest.mark.parametrize("scale", [0.125, 1.0, 8.0])
def test_results_may_be_larger_or_smaller_than_tiles(scale: float):
    x = torch.zeros(1, 1, 40, 72) + torch.linspace(-1, 1, 72)

    blended = blend_tiles(x, Tiles(32, 8), lambda tile: F.interpolate(tile, scale_factor=scale, mode="nearest"))

    assert (blended - F.interpolate(x, scale_factor=scale, mode="nearest")).abs().max() < 1e-6


def test_tiles_are_reported_in_order():
    heard: list[tuple[int, int]] = []
    blend_tiles(torch.zeros(1, 1, 40, 20), Tiles(16, 4), torch.clone, lambda done, total: heard.append((done, total)))
    assert heard == [(done, 6) for done in range(1, 7)]


def test_below_the_limit_nothing_is_tiled():
    movq, _ = movq_pair()
    pictures, latents = torch.rand(1, 3, 64, 96) * 2 - 1, torch.randn(1, 4, 8, 12)

    with torch.inference_mode():
        assert torch.equal(encode(movq, pictures, tiled_above=64 * 96), movq.encode(pictures))
        assert torch.equal(decode(movq, latents, tiled_above=64 * 96), movq.decode(latents))


def test_a_tile_as_large_as_the_picture_is_the_untiled_result():
    movq, _ = movq_pair()
    latents = torch.randn(1, 4, 12, 16)

    with torch.inference_mode():
        assert torch.equal(decode(movq, latents, tiled_above=0), movq.decode(latents))


def test_a_trained_decoder_in_tiles_is_near_the_whole(monkeypatch: pytest.MonkeyPatch):
    """Each tile has its own group statistics and sees zeros beyond its border; this is what that costs."""
    monkeypatch.setattr("engine.tiling.DECODE_TILES", Tiles(16, 4))  # nano draws 16 latents a side, the real one 128
    monkeypatch.setattr("engine.tiling.ENCODE_TILES", Tiles(128, 0))
    movq = nano()

    with torch.inference_mode():
        latents = movq.encode(scene(256, 256))
        whole, tiled = movq.decode(latents), decode(movq, latents, tiled_above=0)
        again = movq.decode(encode(movq, scene(256, 256), tiled_above=0))

    assert 127.5 * (tiled - whole).abs().mean() < 4  # 2.9 of 255
    assert 127.5 * (again - whole).abs().mean() < 4  # 3.2

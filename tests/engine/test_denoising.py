from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.components import Components, Networks
from engine.denoising import decode, in_windows, pictures_of, window_starts
from engine.engine import Engine
from engine.outcomes import Progress
from engine.requests import TextToImage
from engine.tiling import Tiles
from engine.watch import GivenUp, Watch
from tests.engine.pipelines.reference import final_latents
from tests.engine.test_tiling import nano, scene


@pytest.mark.parametrize(
    ("length", "window", "starts"),
    [
        (128, 128, [0]),
        (96, 128, [0]),
        (136, 128, [0, 8]),
        (256, 128, [0, 64, 128]),
        (512, 128, [0, 96, 192, 288, 384]),
        (1024, 128, [0, 88, 176, 272, 360, 448, 536, 624, 720, 808, 896]),
    ],
)
def test_windows_cover_a_length_evenly(length: int, window: int, starts: list[int]):
    assert window_starts(length, window) == starts
    assert max([0] + [b - a for a, b in pairwise(starts)]) <= window * 3 / 4
    assert all(start % 8 == 0 for start in starts)


def test_a_network_that_sees_single_cells_predicts_the_same_in_windows():
    def alone(latents: Tensor, index: int) -> Tensor:
        return torch.tanh(latents * (index + 1))

    latents = torch.randn(2, 4, 24, 72)
    blended = in_windows(alone, (24, 72), (16, 16))

    assert (blended(latents, 1) - alone(latents, 1)).abs().max() <= 1e-6


def test_no_border_of_a_window_shows():
    """Each window predicts a level of its own, the worst there is: between them the picture climbs without a step."""
    levels = iter(torch.randn(100))

    def level(latents: Tensor, index: int) -> Tensor:
        return torch.full_like(latents, float(next(levels)))

    climbed = in_windows(level, (16, 256), (16, 64))(torch.zeros(1, 4, 16, 256), 0)
    steps = climbed.diff(dim=3).abs()[0, 0, 0]

    borders = [column for start in window_starts(256, 64) for column in (start, start + 64) if 0 < column < 256]
    at_borders = torch.stack([steps[column - 1] for column in borders])
    assert at_borders.max() <= steps.max() * 1.001
    assert steps.max() < 0.2 * climbed.abs().max()


def test_only_what_is_too_large_for_one_pass_is_cut(parts: Components):
    """Networks trained on 192 x 128 pixels at most: windows of 16 latents."""
    networks: Networks = parts.drawing("base")

    assert networks.window(16, 24) == (16, 24)
    assert networks.window(16, 64) == (16, 16)
    assert networks.window(8, 128) == (8, 16)


@pytest.mark.parametrize("flash", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_panorama_has_no_seam(every_mode: Engine, parts: Components, flash: bool):
    """Differences of neighbouring columns where windows begin and end, against those inside of windows, over four seeds."""
    networks = parts.drawing("flash" if flash else "base")
    starts = window_starts(96, 16)
    borders = sorted({column for start in starts for column in (start, start + 16) if 0 < column < 96})
    inside = [column for column in range(1, 96) if column not in borders]
    energies = []
    for seed in range(4):
        request = TextToImage(
            "a big red circle",
            seed,
            width=768,
            height=128,
            flash=flash,
            num_images_per_prompt=1,
            num_inference_steps=6,
            family="kandinsky-3.1",
        )
        latents = final_latents(networks, every_mode, request, {})
        energies.append(latents.diff(dim=3).square().mean(dim=(0, 1, 2)))  # (95,)
    energy = torch.stack(energies).mean(dim=0)
    ratio = energy[[column - 1 for column in borders]].mean() / energy[[column - 1 for column in inside]].mean()

    assert ratio <= 1.1


def test_a_panorama_is_decoded_in_tiles_near_the_whole_and_without_a_seam(monkeypatch: pytest.MonkeyPatch, networks: Networks):
    monkeypatch.setattr("engine.tiling.DECODE_TILES", Tiles(16, 4))  # nano draws 16 latents a side, the real one 128
    movq = nano()
    with torch.inference_mode():
        latents = movq.encode(scene(128, 512))
    sizes: list[int] = []
    whole_decode = movq.decode
    monkeypatch.setattr(movq, "decode", lambda each: (sizes.append(each.shape[3]), whole_decode(each))[1])

    limits = (128 * 512, 128 * 128)
    pictures = [np.asarray(decode(replace(networks, movq=movq, tiled_above=limit), latents), float) for limit in limits]

    assert sizes == [64] + [16] * 5
    change = pictures[1] - pictures[0]  # (128, 512, 3)
    assert np.abs(change).mean() < 4  # of 255; each tile has its own group statistics
    steps = np.abs(np.diff(change.mean(axis=(0, 2))))  # from one column to the next
    borders = [8 * start for start in Tiles(16, 4).starts(64)[1:]]
    places = [border - 1 for border in borders] + [border + 31 for border in borders]  # where a fade begins and ends
    assert steps[places].max() < 1  # 0.5


@dataclass
class Seen:
    """Who watches, and gives up after so many reports."""

    patience: int = 1000
    reports: list[tuple[str, int, int, tuple[int, int]]] = field(default_factory=list)

    def __call__(self, progress: Progress) -> set[int]:
        self.reports.append((progress.stage, progress.step, progress.total, progress.preview().size))
        return {0} if len(self.reports) == self.patience else set()


@pytest.fixture
def in_tiles(monkeypatch: pytest.MonkeyPatch, networks: Networks) -> Networks:
    monkeypatch.setattr("engine.tiling.DECODE_TILES", Tiles(16, 4))
    monkeypatch.setattr("engine.denoising._ROUGH_SIDE", 8)
    return replace(networks, movq=nano(), tiled_above=128 * 128)


def test_every_tile_of_a_large_picture_is_reported(in_tiles: Networks):
    seen = Seen()
    watch = Watch(seen, torch.device("cpu"))
    drawn = pictures_of(in_tiles, torch.randn(2, 4, 16, 40) / 4, (1, 2), watch)
    small = [("decode", done, 6, (64, 24)) for done in (1, 2, 4, 5)]
    whole = [("decode", done, 6, (320, 128)) for done in (3, 6)]
    assert sorted(seen.reports) == sorted(small + whole)
    assert [image.size for image in drawn.images] == [(320, 128)] * 2


def test_who_gives_up_gets_no_further_tile(in_tiles: Networks, monkeypatch: pytest.MonkeyPatch):
    tiles: list[Tensor] = []
    decode_tile = in_tiles.movq.decode
    monkeypatch.setattr(in_tiles.movq, "decode", lambda each: (tiles.append(each), decode_tile(each))[1])
    watch = Watch(lambda progress: {0}, torch.device("cpu"))
    with pytest.raises(GivenUp):
        pictures_of(in_tiles, torch.randn(1, 4, 16, 40), (1,), watch)
    assert len(tiles) == 1

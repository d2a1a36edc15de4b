"""Large pictures in parts: where the parts lie, and how their results become one picture without a seam."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.models.movq import MoVQ

OnTile = Callable[[int, int], None]  # told how many tiles are done, of how many

MOVQ_SCALE = 8  # pixels per latent
TILED_ABOVE = 2 * 1024 * 1024  # pixels; a decode of so many in float32 needs 11 GiB


def starts(length: int, side: int, stride: int) -> list[int]:
    """Where parts of `side` begin along an axis; the last is shifted back to end at the border."""
    if length <= side:
        return [0]
    count = math.ceil((length - side) / stride) + 1
    return [min(index * stride, length - side) for index in range(count)]


@dataclass(frozen=True)
class Tiles:
    """Square tiles of which neighbours share at least `blend` rows or columns, in cells of what is cut."""

    side: int
    blend: int

    def starts(self, length: int) -> list[int]:
        """Where tiles begin along an axis."""
        return starts(length, self.side, self.side - self.blend)

    def count(self, height: int, width: int) -> int:
        """How many tiles a picture has."""
        return len(self.starts(height)) * len(self.starts(width))


# Source: ai-forever/KandiSuperRes KandiSuperRes/__init__.py: get_movq, model/diffusion_refine.py: refine_tiled.
ENCODE_TILES = Tiles(side=1024, blend=0)
DECODE_TILES = Tiles(side=1024 // MOVQ_SCALE, blend=256 // MOVQ_SCALE)
REFINE_TILES = Tiles(side=352, blend=88)


def no_report(done: int, total: int) -> None:
    """Tell nobody."""


def blend_tiles(x: Tensor, tiles: Tiles, run: Callable[[Tensor], Tensor], on_tile: OnTile = no_report) -> Tensor:
    """Run something on each tile of x (B, C, H, W) and fade the results linearly into each other.

    run: from a tile to its result, whose sides are the same multiple or part of the tile's each time. Besides the whole result,
    one row of tiles is held.
    Source: ai-forever/KandiSuperRes KandiSuperRes/movq.py: tiled_decode, where a remainder at the border is a tile of its own,
    however thin; here the last tile is shifted back. Where four tiles meet, here rows fade after columns, there in turn.
    """
    height, width = x.shape[2:]
    done, total = 0, tiles.count(height, width)
    whole = None
    for top in tiles.starts(height):
        row = None
        for left in tiles.starts(width):
            tile = x[:, :, top : top + tiles.side, left : left + tiles.side]
            result = run(tile)
            scale = result.shape[3] / tile.shape[3]
            row = _room(result, 3, width, scale) if row is None else row
            _fade_in(row, result, 3, round(left * scale), round(tiles.blend * scale))
            done += 1
            on_tile(done, total)
        assert row is not None  # noqa: S101 (a name for the type checker)
        whole = _room(row, 2, height, scale) if whole is None else whole
        _fade_in(whole, row, 2, round(top * scale), round(tiles.blend * scale))
    assert whole is not None  # noqa: S101
    return whole


def _room(part: Tensor, dim: int, length: int, scale: float) -> Tensor:
    """An empty tensor like `part`, but for all parts along one axis."""
    shape = list(part.shape)
    shape[dim] = round(length * scale)
    return part.new_empty(shape)


def _fade_in(canvas: Tensor, part: Tensor, dim: int, start: int, blend: int) -> None:
    """Lay `part` onto the canvas; its first `blend` cells grow out of what lies there, unless it begins at the border."""
    target = canvas.narrow(dim, start, part.shape[dim])
    if start and blend:
        shape = [1, 1, 1, 1]
        shape[dim] = blend
        ramp = (torch.arange(blend, device=part.device) / blend).to(part.dtype).view(shape)
        part.narrow(dim, 0, blend).copy_(torch.lerp(target.narrow(dim, 0, blend), part.narrow(dim, 0, blend), ramp))
    target.copy_(part)


def encode(movq: MoVQ, pictures: Tensor, on_tile: OnTile = no_report, tiled_above: int = TILED_ABOVE) -> Tensor:
    """Latents (B, 4, H/8, W/8) of pictures (B, 3, H, W), in tiles above so many pixels.

    Each tile has its own group statistics, so tiles are not exactly the whole.
    """
    if pictures.shape[2] * pictures.shape[3] <= tiled_above:
        return movq.encode(pictures)
    return blend_tiles(pictures, ENCODE_TILES, movq.encode, on_tile)


def decode(movq: MoVQ, latents: Tensor, on_tile: OnTile = no_report, tiled_above: int = TILED_ABOVE) -> Tensor:
    """Pictures (B, 3, 8 h, 8 w) of latents (B, 4, h, w), in tiles above so many pixels.

    Each tile has its own group statistics, so tiles are not exactly the whole.
    """
    if latents.shape[2] * latents.shape[3] * MOVQ_SCALE**2 <= tiled_above:
        return movq.decode(latents)
    return blend_tiles(latents, DECODE_TILES, movq.decode, on_tile)

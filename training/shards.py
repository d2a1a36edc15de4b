"""Latents of rendered scenes on disk: scene 0, 1, 2, ... in files of 4096, made once and memory-mapped."""

import os
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from engine.nano_world import PACKAGED, World
from training.scenes import TAUGHT, Scene, paint_with_latent, training_scene

SHARD = 4096


def numbered_scene(index: int, world: World = PACKAGED) -> Scene:
    """The training scene of this number; a scene is its number, so nothing but latents needs to be stored."""
    return training_scene(Random(index), world)


class Latents:
    """Latents of the scenes 0 .. count - 1 of the world that is taught; files that are missing are rendered and written first."""

    def __init__(self, folder: Path, count: int) -> None:
        starts = range(0, count, SHARD)
        self._files = [_file(folder, start, min(start + SHARD, count)) for start in starts]
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """One latent: (4, 16, 16)."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        latent: NDArray[np.float32] = self._files[index // SHARD][index % SHARD].astype(np.float32)
        return latent


def _file(folder: Path, start: int, stop: int) -> NDArray[np.float16]:
    path = folder / f"latents-{TAUGHT.name}-{start:07}-{stop:07}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        values = np.stack(
            [paint_with_latent(numbered_scene(index, TAUGHT))[1].astype(np.float16) for index in range(start, stop)]
        )
        partial = path.with_suffix(f".{os.getpid()}.partial.npy")
        np.save(partial, values)
        partial.replace(path)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return found

"""Rendered scenes on disk: pictures and latents of scene 0, 1, 2, ... in files of 4096, made once and memory-mapped."""

import os
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from training.scenes import Scene, paint_with_latent, sample_scene

SHARD = 4096


def numbered_scene(index: int) -> Scene:
    """The training scene of this number; a scene is its number, so nothing but latents needs to be stored."""
    return sample_scene(Random(index))


def latents(cache: Path, count: int) -> list[NDArray[np.float16]]:
    """Latents of the scenes 0 .. count - 1 (a multiple of 4096): arrays of (4096, 4, 16, 16), written if missing."""
    return [_shard(cache / f"latents-{number:03}.npy", number) for number in range(count // SHARD)]


def _shard(path: Path, number: int) -> NDArray[np.float16]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        scenes = (numbered_scene(number * SHARD + offset) for offset in range(SHARD))
        values = np.stack([paint_with_latent(scene)[1].astype(np.float16) for scene in scenes])
        partial = path.with_suffix(f".{os.getpid()}.partial.npy")
        np.save(partial, values)
        partial.replace(path)
    found: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return found

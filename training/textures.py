"""Pictures like nature's in what matters to an enlarger: edges of every size and direction, noise of every scale, slow shades.

All are (side, side, 3) in [0, 1], of colours that have nothing to do with the nano palette.
"""

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from training.scenes import Floats

GRAINED, SOFT = 0.5, 0.4  # shares of textures
_OVERSAMPLE = 2
_LEAVES = 220


def sample_texture(rng: Random, side: int) -> Floats:
    """One of the kinds; leaves, which have the most of what photographs have, as often as the others together."""
    paint: Callable[[Random, int], Floats] = rng.choices((dead_leaves, clouds, gradient), (4, 3, 1))[0]
    picture = paint(rng, side)
    if rng.random() < SOFT:
        picture = softened(picture, rng)
    return grained(picture, rng) if rng.random() < GRAINED else picture


def dead_leaves(rng: Random, side: int) -> Floats:
    """Discs, blocks and slivers that fall on each other, small ones far more often than large ones, many with a grain.

    Source: Lee, Mumford and Huang 2001: radii distributed as r^-3 give pictures the statistics of natural scenes.
    """
    size = side * _OVERSAMPLE
    canvas = Image.new("RGB", (size, size), _colour(rng))
    brush = ImageDraw.Draw(canvas)
    smallest, largest = 0.012, 0.35
    for _ in range(_LEAVES):
        share = rng.random()
        radius = size / (share / smallest**2 + (1 - share) / largest**2) ** 0.5  # inverse of the cumulative r^-3
        x, y = rng.uniform(0, size), rng.uniform(0, size)
        if rng.random() < 0.5:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng))
        else:
            angles = sorted(rng.uniform(0, 2 * np.pi) for _ in range(rng.randint(3, 6)))
            brush.polygon([(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles], fill=_colour(rng))
    picture = np.asarray(canvas.reduce(_OVERSAMPLE), dtype=np.float32) / np.float32(255)
    grain = 0.12 * rng.random() ** 2 * (clouds(rng, side) - np.float32(0.5))
    return np.clip(picture + grain, 0, 1).astype(np.float32)


def softened(picture: Floats, rng: Random) -> Floats:
    """The same out of focus, as much of a photograph is: an enlarger that never saw it makes every soft edge a sharp one."""
    found: Floats = ndimage.gaussian_filter(picture, (*[rng.uniform(0.5, 4.0)] * 2, 0), mode="nearest").astype(np.float32)
    return found


def grained(picture: Floats, rng: Random) -> Floats:
    """Grain that belongs to the picture, fine or coarse, of light or of colours: fur, sand, film.

    Without it an enlarger takes every grain for damage, though only damage comes with JPEG.
    """
    generator = np.random.default_rng(rng.getrandbits(32))
    noise = generator.standard_normal((*picture.shape[:2], rng.choice((1, 3))), dtype=np.float32)
    soft = ndimage.gaussian_filter(noise, (*[rng.uniform(0.5, 3.0)] * 2, 0), mode="wrap")
    strength = 0.1 * rng.random() ** 2 / max(float(soft.std()), 1e-6)
    found: Floats = np.clip(picture + np.float32(strength) * soft, 0, 1).astype(np.float32)
    return found


def clouds(rng: Random, side: int) -> Floats:
    """Noise whose power falls with frequency as f^-1 to f^-3, in two colours that change into each other."""
    generator = np.random.default_rng(rng.getrandbits(32))
    steps = np.fft.fftfreq(side)[:, None] ** 2 + np.fft.rfftfreq(side)[None] ** 2
    amplitude = np.maximum(steps, side**-2.0) ** (-rng.uniform(0.5, 1.5) / 2)
    waves = generator.standard_normal((2, *steps.shape)) + 1j * generator.standard_normal((2, *steps.shape))
    fields = np.fft.irfft2(waves * amplitude, s=(side, side))
    fields = (fields - fields.mean((1, 2), keepdims=True)) / (fields.std((1, 2), keepdims=True) + 1e-9)
    share = np.clip(0.5 + 0.25 * fields, 0, 1)[..., None]
    one, other, third = (np.array(_colour(rng)) / 255 for _ in range(3))
    picture = one + share[0] * (other - one)
    clouded: Floats = (picture + 0.5 * share[1] * (third - picture)).astype(np.float32)
    return clouded


def gradient(rng: Random, side: int) -> Floats:
    """A slow shade between two colours, in any direction."""
    angle = rng.uniform(0, 2 * np.pi)
    grid = np.linspace(-0.5, 0.5, side)
    along = np.clip(0.5 + rng.uniform(0.4, 1) * (np.cos(angle) * grid[None] + np.sin(angle) * grid[:, None]), 0, 1)[..., None]
    one, other = (np.array(_colour(rng)) / 255 for _ in range(2))
    shaded: Floats = (one + along * (other - one)).astype(np.float32)
    return shaded


def _colour(rng: Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)

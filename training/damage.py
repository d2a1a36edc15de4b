"""Making a small picture of a large one: cleanly, or with the damage that pictures pick up on their way.

Source: Wang et al. 2021 (Real-ESRGAN), section 3.1: blur, change of size, noise and JPEG, twice; simplified to one camera-like
blur and without the sinc filters.
"""

import io
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

_KERNELS = (Image.Resampling.BICUBIC, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX)


@dataclass(frozen=True)
class Damage:
    """How bad it gets. blur: largest radius, pixels.  noise: largest deviation, 8-bit steps.  quality: of JPEG, from, to."""

    blur: float = 1.2
    noise: float = 8.0
    quality: tuple[int, int] = (30, 95)
    twice: float = 0.3  # share of pictures that go through it twice


_WEAR = Damage(blur=0.8, noise=6.0, quality=(50, 95), twice=0.2)


def shrunk(picture: Image.Image, scale: int, rng: Random) -> Image.Image:
    """A clean small picture; bicubic more often than not."""
    return _resized(picture, (picture.width // scale, picture.height // scale), rng)


def damaged(picture: Image.Image, scale: int, damage: Damage, rng: Random) -> Image.Image:
    """A small picture that has been through something."""
    size = picture.width // scale, picture.height // scale
    if rng.random() < damage.twice:
        factor = rng.uniform(1, scale)
        between = max(8, round(picture.width / factor)), max(8, round(picture.height / factor))
        picture = _once(picture, between, damage, rng)
    return _once(picture, size, damage, rng)


def worn(picture: Image.Image, rng: Random) -> Image.Image:
    """A picture as it comes back from a chat: blurred a little, noisy, squeezed by JPEG, a little lighter or darker."""
    picture = damaged(picture, 1, _WEAR, rng)
    return ImageEnhance.Brightness(picture).enhance(rng.uniform(0.94, 1.06))


def _once(picture: Image.Image, size: tuple[int, int], damage: Damage, rng: Random) -> Image.Image:
    picture = picture.filter(ImageFilter.GaussianBlur(damage.blur * rng.random() ** 2 * picture.width / size[0]))
    picture = _resized(picture, size, rng)
    deviation = damage.noise * rng.random() ** 2
    pixels = np.asarray(picture, dtype=np.float32)
    generator = np.random.default_rng(rng.getrandbits(32))
    channels = 3 if rng.random() < 0.6 else 1  # of a sensor's colours, or of light
    noisy = pixels + deviation * generator.standard_normal((*pixels.shape[:2], channels), dtype=np.float32)
    picture = Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8), "RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=rng.randint(*damage.quality))
    with Image.open(buffer) as read:
        return read.convert("RGB")


def _resized(picture: Image.Image, size: tuple[int, int], rng: Random) -> Image.Image:
    return picture.resize(size, rng.choice(_KERNELS))

"""A picture that is sent again is known; another one of the same words is not."""

import io
from dataclasses import replace
from random import Random

import pytest
from PIL import Image

from bot.likeness import CODE, likeness, nearest, same
from bot.presentation import as_photo
from storage.domain import Likeness


def sent(picture: Image.Image, side: int, quality: int = 70) -> Image.Image:
    """What Telegram makes of a picture that the bot showed: rescaled, and recompressed."""
    stored = io.BytesIO()
    picture.save(stored, "PNG")
    photo = Image.open(io.BytesIO(as_photo(stored.getvalue()))).convert("RGB")
    photo = photo.resize((side, round(side * photo.height / photo.width)), Image.Resampling.LANCZOS)
    compressed = io.BytesIO()
    photo.save(compressed, "JPEG", quality=quality)
    return Image.open(io.BytesIO(compressed.getvalue())).convert("RGB")


def recognised(wanted: Likeness, known: list[Likeness]) -> int | None:
    """The index of the known likeness that is the same, by the way that the bot goes."""
    likely = nearest(wanted.code, [each.code for each in known])
    agreed = [(worst, index) for index in likely if (worst := same(wanted.proof, known[index].proof)) is not None]
    return min(agreed)[1] if agreed else None


def noise(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Soft spots of many colours."""
    random = Random(seed)
    cells = bytes(random.randrange(256) for _ in range(6 * 4 * 3))
    return Image.frombytes("RGB", (6, 4), cells).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("side", [320, 1280])
def test_a_picture_that_was_rescaled_and_recompressed_is_known(side: int) -> None:
    pictures = [noise(seed) for seed in range(20)]
    known = [likeness(picture) for picture in pictures]
    assert [recognised(likeness(sent(picture, side)), known) for picture in pictures] == list(range(20))


def test_a_change_of_a_fiftieth_of_the_picture_makes_it_another() -> None:
    picture = noise(3, (256, 256))
    changed = picture.copy()
    changed.paste((255, 255, 255), (100, 100, 136, 136))
    assert recognised(likeness(sent(picture, 1280)), [likeness(changed)]) is None
    assert recognised(likeness(sent(changed, 1280)), [likeness(picture), likeness(changed)]) == 1


def test_another_shape_is_another_picture() -> None:
    wide = noise(3, (128, 64))
    assert nearest(likeness(wide).code, [likeness(wide.resize((64, 64))).code]) == []


def test_a_small_copy_counts_with_the_shape_of_its_picture() -> None:
    picture = noise(3, (1000, 331))
    small = picture.resize((256, 85), Image.Resampling.BOX)
    assert recognised(likeness(small, picture.size), [likeness(picture)]) == 0


def test_nothing_is_known_at_first() -> None:
    assert nearest(bytes(CODE), []) == []


@pytest.mark.long
def test_of_what_nano_draws_its_own_is_known_and_nothing_else() -> None:
    """The same words with other seeds, with care, painted over lightly: others, all of them."""
    from engine import catalog
    from engine.engine import load
    from engine.outcomes import Drawn
    from engine.requests import ImageToImage, Request

    engine = load("kandinsky-nano", ["flash", "base"])
    pictures: list[Image.Image] = []

    def draw(request: Request, **sources: Image.Image) -> list[Image.Image]:
        (outcome,) = engine.run([request], sources)
        assert isinstance(outcome, Drawn)
        pictures.extend(outcome.images)
        return outcome.images

    for prompt in ("a red circle", "a blue star", "a green heart on a pink background", "a yellow square", "a white cross"):
        for seed in (1, 100):
            request = catalog.text_to_image("kandinsky-nano", prompt, seed)
            first = draw(request)[0]
        draw(replace(request, flash=False, num_images_per_prompt=4, num_inference_steps=20))
        values = {"prompt": prompt, "seed": 5, "num_inference_steps": 20}
        draw(catalog.make(ImageToImage, "kandinsky-nano", image="a", strength=0.2, **values), a=first)
    known = [likeness(picture) for picture in pictures]
    assert len(known) >= 60
    found = [recognised(likeness(sent(picture, 1280)), known) for picture in pictures]
    assert sum(index == place for place, index in enumerate(found)) >= 0.95 * len(found)
    others = [recognised(likeness(sent(picture, 1280)), known[:at] + known[at + 1 :]) for at, picture in enumerate(pictures)]
    assert [index for index in others if index is not None] == []

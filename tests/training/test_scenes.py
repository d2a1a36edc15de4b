"""Scenes stay inside their picture, captions say what the scene shows, and held-out triples stay out of training."""

from random import Random

import numpy as np
import pytest

from engine.nano_world import SHAPES, parse
from training.captions import LANGUAGES, matches, write_caption
from training.scenes import LATENT_SCALE, Scene, corners, held_out, paint_with_latent, render, sample_scene


@pytest.fixture
def scenes() -> list[Scene]:
    rng = Random(7)
    return [sample_scene(rng) for _ in range(600)]


def test_objects_stay_inside_the_picture(scenes: list[Scene]) -> None:
    for scene in scenes:
        for piece in scene.pieces:
            assert corners(piece).min() >= 0
            assert corners(piece).max() <= 128


def test_two_objects_never_touch(scenes: list[Scene]) -> None:
    for scene in scenes:
        if len(scene.pieces) == 2:
            first, second = scene.pieces
            apart = max(abs(first.x - second.x), abs(first.y - second.y))
            assert apart > first.radius + second.radius


def test_an_object_never_has_the_colour_of_its_background(scenes: list[Scene]) -> None:
    assert all(piece.colour != scene.background for scene in scenes for piece in scene.pieces)


def test_held_out_triples_never_stand_alone_in_training(scenes: list[Scene]) -> None:
    alone = [(scene.background, scene.pieces[0].colour, scene.pieces[0].shape) for scene in scenes if len(scene.pieces) == 1]
    assert not any(held_out(*triple) for triple in alone)
    unseen = sample_scene(Random(1), objects=1, unseen=True)
    assert held_out(unseen.background, unseen.pieces[0].colour, unseen.pieces[0].shape)


def test_every_shape_is_drawn(scenes: list[Scene]) -> None:
    assert {piece.shape for scene in scenes for piece in scene.pieces} == set(SHAPES)


def test_a_scene_is_its_seed() -> None:
    assert np.array_equal(render(sample_scene(Random(3))), render(sample_scene(Random(3))))


def test_latents_survive_the_clipping_of_the_official_sampler(scenes: list[Scene]) -> None:
    for scene in scenes[:60]:
        picture, latent = paint_with_latent(scene)
        assert picture.shape == (128, 128, 3)
        assert latent.shape == (4, 16, 16)
        assert np.abs(latent).max() <= LATENT_SCALE + 1e-5


def test_the_first_latent_channels_are_the_mean_colours(scenes: list[Scene]) -> None:
    picture, latent = paint_with_latent(scenes[0])
    cell = picture[40:48, 24:32].mean(axis=(0, 1)) * 2 - 1
    assert latent[:3, 5, 3] == pytest.approx(cell * LATENT_SCALE, abs=1e-5)


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_are_read_back_as_they_were_meant(language: str) -> None:
    rng = Random(11)
    wrong = 0
    for _ in range(2000):
        caption = write_caption(sample_scene(rng), language, rng)
        wrong += not matches(caption, parse(caption.text))
    assert wrong <= 2  # "на жёлтом крестик серый" is ambiguous: which colour is whose?


def test_what_a_caption_says_is_true(scenes: list[Scene]) -> None:
    rng = Random(5)
    for scene in scenes:
        caption = write_caption(scene, rng.choice(LANGUAGES), rng)
        assert caption.background in (None, scene.background)
        for thing, piece in zip(caption.things, scene.pieces, strict=True):
            assert thing.shape == piece.shape
            assert thing.colour in (None, piece.colour)
            assert thing.size in (None, piece.size)
            assert thing.place in (None, piece.place)


def test_unsaid_places_of_a_pair_mean_left_or_top_first(scenes: list[Scene]) -> None:
    rng = Random(6)
    for scene in scenes:
        caption = write_caption(scene, "ru", rng)
        if len(scene.pieces) == 2 and caption.things[0].place is None and caption.things[1].place is None:
            assert scene.pieces[0].place in ("left", "top")


def test_short_and_full_captions_are_both_written() -> None:
    rng = Random(8)
    lengths = [len(write_caption(sample_scene(rng, objects=1), "en", rng).text.split()) for _ in range(300)]
    assert min(lengths) <= 2
    assert max(lengths) >= 9

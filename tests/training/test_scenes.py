"""Scenes stay inside their picture, captions say what the scene shows, and held-out triples stay out of training."""

from itertools import combinations
from random import Random

import numpy as np
import pytest

from engine.nano_world import LARGE, NATURAL_COLOURS, PLAIN, SMALL, THINGS, World, parse
from training.captions import LANGUAGES, matches, write_caption
from training.scenes import LATENT_SCALE, Piece, Scene, corners, coverage, held_out, paint_with_latent, render, sample_scene
from training.styles import DEPTHS, ground


@pytest.fixture(params=[SMALL, LARGE], ids=lambda world: world.name)
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.param
    return found


@pytest.fixture
def scenes(world: World) -> list[Scene]:
    rng = Random(7)
    return [sample_scene(rng, world=world) for _ in range(600)]


def test_objects_stay_inside_the_picture(scenes: list[Scene]) -> None:
    for scene in scenes:
        for piece in scene.pieces:
            assert corners(piece).min() >= 0
            assert corners(piece).max() <= 128


def test_two_objects_never_touch(scenes: list[Scene]) -> None:
    for scene in scenes:
        for first, second in combinations(scene.pieces, 2):
            apart = max(abs(first.x - second.x), abs(first.y - second.y))
            assert apart > first.radius + second.radius


def test_an_object_never_has_the_colour_of_its_background(scenes: list[Scene]) -> None:
    assert all(piece.colour != scene.background for scene in scenes for piece in scene.pieces)


def test_held_out_triples_never_stand_alone_in_training(scenes: list[Scene], world: World) -> None:
    alone = [(scene.background, scene.pieces[0].colour, scene.pieces[0].shape) for scene in scenes if len(scene.pieces) == 1]
    assert not any(held_out(*triple) for triple in alone)
    unseen = sample_scene(Random(1), objects=1, unseen=True, world=world)
    assert held_out(unseen.background, unseen.pieces[0].colour, unseen.pieces[0].shape)


def test_everything_in_the_world_is_drawn(scenes: list[Scene], world: World) -> None:
    assert {piece.shape for scene in scenes for piece in scene.pieces} == set(world.shapes)
    assert {scene.background for scene in scenes} == set(world.backgrounds)
    assert {scene.style for scene in scenes} == {PLAIN, *world.styles}
    assert {len(scene.pieces) for scene in scenes if scene.group} == set(range(2, world.most + 1))


def test_figures_and_things_do_not_look_alike() -> None:
    masks = {}
    for shape in LARGE.shapes:
        mask = coverage(Piece(shape, "red", "big", "center", 0.5, 0.5, 0.3)) > 0.5
        assert 0.1 < mask.mean() < 0.37
        masks[shape] = mask
    for (one, first), (other, second) in combinations(masks.items(), 2):
        assert (first & second).sum() / (first | second).sum() < 0.88, f"{one} and {other}"


def test_a_thing_shows_the_colour_it_is_named_with_and_parts_of_its_own() -> None:
    for shape in THINGS:
        pixels = render(Scene("white", (Piece(shape, "purple", "big", "center", 0.5, 0.5, 0.3),)))
        inside = pixels[coverage(Piece(shape, "purple", "big", "center", 0.5, 0.5, 0.3)) > 0.99]
        purple = np.linalg.norm(inside - np.array([142, 68, 184]) / 255, axis=1) < 0.15
        assert 0.35 < purple.mean() < 0.995, shape


def test_grounds_differ_in_every_style() -> None:
    """Sixteen cells of colour are all that the UNet says of a ground, so their means have to tell all grounds apart."""
    means = {}
    for style in (PLAIN, *LARGE.styles):
        for background in LARGE.backgrounds:
            means[style, background] = ground(background, style).reshape(4, 32, 4, 32, 3).mean(axis=(1, 3)).reshape(16, 3)
    for (one, first), (other, second) in combinations(means.items(), 2):
        assert np.linalg.norm(first - second, axis=1).max() > 0.06, f"{one} and {other}"


def test_the_outline_channel_says_the_style() -> None:
    for style in (PLAIN, *LARGE.styles):
        scene = Scene("red", (Piece("circle", "white", "small", "left", 0.2, 0.5, 0.15),), style)
        _, latent = paint_with_latent(scene)
        assert latent[3].min() == pytest.approx(-DEPTHS[style] * LATENT_SCALE, abs=0.01)


def test_only_a_natural_colour_goes_unsaid_for_a_thing() -> None:
    rng = Random(9)
    unsaid = 0
    for _ in range(1500):
        scene = sample_scene(rng, world=LARGE)
        caption = write_caption(scene, rng.choice(LANGUAGES), rng)
        for thing, piece in zip(caption.things, scene.pieces, strict=not scene.group):
            if thing.colour is None and thing.shape in NATURAL_COLOURS:
                unsaid += 1
                assert piece.colour == NATURAL_COLOURS[thing.shape]
    assert unsaid > 30


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
def test_captions_are_read_back_as_they_were_meant(language: str, world: World) -> None:
    rng = Random(11)
    wrong = 0
    for _ in range(2000):
        caption = write_caption(sample_scene(rng, world=world), language, rng)
        wrong += not matches(caption, parse(caption.text, world))
    assert wrong <= 2  # "на жёлтом крестик серый" is ambiguous: which colour is whose?


def test_what_a_caption_says_is_true(scenes: list[Scene]) -> None:
    rng = Random(5)
    for scene in scenes:
        caption = write_caption(scene, rng.choice(LANGUAGES), rng)
        assert caption.background in (None, scene.background)
        assert caption.style == (None if scene.style == PLAIN else scene.style)
        assert sum(thing.count for thing in caption.things) == len(scene.pieces)
        for thing, piece in zip(caption.things, scene.pieces, strict=not scene.group):
            assert thing.shape == piece.shape
            assert thing.colour in (None, piece.colour)
            assert thing.size in (None, piece.size)
            assert thing.place in (None, piece.place)


def test_unsaid_places_of_a_pair_mean_left_or_top_first(scenes: list[Scene]) -> None:
    rng = Random(6)
    for scene in scenes:
        caption = write_caption(scene, "ru", rng)
        if len(scene.pieces) == 2 and not scene.group and caption.things[0].place is None and caption.things[1].place is None:
            assert scene.pieces[0].place in ("left", "top")


def test_short_and_full_captions_are_both_written() -> None:
    rng = Random(8)
    lengths = [len(write_caption(sample_scene(rng, objects=1), "en", rng).text.split()) for _ in range(300)]
    assert min(lengths) <= 2
    assert max(lengths) >= 9

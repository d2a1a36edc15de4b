"""The judge accepts rendered truth and rejects every single thing that is wrong with a picture."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.nano_world import COLOURS, LARGE, PLAIN, SMALL, Thing, World
from training.judge import Verdict, judge, look, silhouette, to_floats
from training.scenes import Piece, Scene, coverage, render, sample_scene
from training.styles import ground

CIRCLE = Piece("circle", "red", "medium", "left", 0.27, 0.5, 0.23)
STAR = Piece("star", "blue", "medium", "right", 0.74, 0.5, 0.17)


def painted(scene: Scene) -> Image.Image:
    return Image.fromarray((render(scene).clip(0, 1) * 255).round().astype(np.uint8))


def asked(scene: Scene) -> list[Thing]:
    if scene.group:
        piece = scene.pieces[0]
        return [Thing(piece.shape, piece.colour, piece.size, None, len(scene.pieces))]
    return [Thing(piece.shape, piece.colour, piece.size, piece.place) for piece in scene.pieces]


def verdict(shown: Scene, wished: Scene) -> Verdict:
    return judge(to_floats(painted(shown)), wished.background, asked(wished), wished.style)


@pytest.mark.parametrize("world", [SMALL, LARGE], ids=lambda world: world.name)
@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.long)])
def test_truth_is_judged_right(count: int, world: World) -> None:
    rng = Random(41)
    scenes = [sample_scene(rng, world=world) for _ in range(count)]
    verdicts = [verdict(scene, scene) for scene in scenes]
    assert sum(not one.right for one in verdicts) <= max(count // 100, 1)
    assert np.nanmean([one.wobble for one in verdicts]) < (0.08 if world is SMALL else 0.16)


@pytest.mark.parametrize("style", [PLAIN, *LARGE.styles])
def test_every_shape_colour_place_and_style_is_told_apart(style: str) -> None:
    for index, shape in enumerate(LARGE.shapes):
        background, colour = LARGE.backgrounds[index % 12], COLOURS[(index + 3) % 10]
        if colour == "black" and style == "neon":
            continue
        scene = Scene(background, (replace(CIRCLE, shape=shape, colour=colour, radius=0.2),), style)
        seen = look(to_floats(painted(scene)))
        (found,) = seen.objects
        assert (seen.background, seen.style) == (background, style)
        assert (found.shape, found.colour, found.place, found.hollow) == (shape, colour, "left", style == "neon")


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        (Scene("white", (CIRCLE,)), "background"),
        (Scene("yellow", (replace(CIRCLE, colour="orange"),)), "colours"),
        (Scene("yellow", (replace(CIRCLE, shape="heart"),)), "shapes"),
        (Scene("yellow", (replace(CIRCLE, x=0.5),)), "places"),
        (Scene("yellow", (replace(CIRCLE, x=0.73),)), "places"),
        (Scene("yellow", (replace(CIRCLE, radius=0.15), STAR)), "count"),
    ],
)
def test_one_wrong_thing_is_found_and_nothing_else(shown: Scene, wrong: str) -> None:
    found = verdict(shown, Scene("yellow", (CIRCLE,)))
    assert not found.right
    for name in ("background", "count", "colours", "shapes", "places"):
        value = getattr(found, name)
        assert (all(value) if isinstance(value, tuple) else value) is (name != wrong)


NIGHT_CATS = Scene("night", tuple(Piece("cat", "gray", "small", "", x, 0.5, 0.15) for x in (0.26, 0.74)))


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        (replace(NIGHT_CATS, background="day"), "background"),
        (replace(NIGHT_CATS, style="neon"), "style"),
        (replace(NIGHT_CATS, style="watercolour"), "style"),
        (replace(NIGHT_CATS, pieces=(*NIGHT_CATS.pieces, replace(NIGHT_CATS.pieces[0], x=0.5, y=0.15, radius=0.12))), "count"),
        (replace(NIGHT_CATS, pieces=tuple(replace(cat, shape="flower") for cat in NIGHT_CATS.pieces)), "shapes"),
        (replace(NIGHT_CATS, pieces=tuple(replace(cat, colour="pink") for cat in NIGHT_CATS.pieces)), "colours"),
    ],
)
def test_one_wrong_thing_of_the_large_world_is_found_and_nothing_else(shown: Scene, wrong: str) -> None:
    assert verdict(NIGHT_CATS, NIGHT_CATS).right
    found = verdict(shown, NIGHT_CATS)
    for name in ("background", "count", "colours", "shapes", "places", "style"):
        value = getattr(found, name)
        assert (not any(value) if name == wrong else all(value)) if isinstance(value, tuple) else value is (name != wrong), name


def test_a_solid_object_on_a_neon_ground_is_not_neon() -> None:
    """The style has to show in the objects as well."""
    solid = render(Scene("white", (CIRCLE,)))
    mask = coverage(CIRCLE)[..., None]
    forged = ground("blue", "neon") * (1 - mask) + solid * mask
    assert not judge(forged.astype(np.float32), "blue", [Thing("circle", "red")], "neon").style


@pytest.mark.parametrize("style", [PLAIN, *LARGE.styles])
def test_a_silhouette_is_all_objects_together(style: str) -> None:
    scene = Scene("day", (replace(CIRCLE, x=0.26, radius=0.17), replace(STAR, shape="house")), style)
    truth = np.maximum.reduce([coverage(piece) for piece in scene.pieces]) > 0.5
    found = silhouette(to_floats(painted(scene)))
    assert (found & truth).sum() > 0.95 * (found | truth).sum()


def test_one_of_two_in_another_colour_is_wrong() -> None:
    mixed = replace(NIGHT_CATS, pieces=(NIGHT_CATS.pieces[0], replace(NIGHT_CATS.pieces[1], colour="orange")))
    assert sorted(verdict(mixed, NIGHT_CATS).colours) == [False, True]


def test_swapped_colours_of_two_objects_are_wrong() -> None:
    pair = Scene("white", (replace(CIRCLE, x=0.26, radius=0.17), STAR))
    swapped = Scene("white", (replace(pair.pieces[0], colour="blue"), replace(STAR, colour="red")))
    assert verdict(pair, pair).right
    assert not verdict(swapped, pair).right


def test_swapped_places_of_two_objects_are_wrong() -> None:
    pair = Scene("white", (replace(CIRCLE, x=0.26, radius=0.17), STAR))
    wished = Scene("white", (replace(pair.pieces[0], place="right"), replace(STAR, place="left")))
    assert not verdict(pair, wished).right


def test_a_missing_object_is_wrong() -> None:
    found = verdict(Scene("white", (replace(CIRCLE, x=0.26, radius=0.17),)), Scene("white", (CIRCLE, STAR)))
    assert not found.count
    assert not all(found.shapes)


def test_what_was_not_said_is_free() -> None:
    picture = to_floats(painted(Scene("white", (CIRCLE,))))
    assert judge(picture, None, [Thing("circle")]).right


@pytest.mark.parametrize("colour", [(0, 0, 0), (127, 127, 127), (255, 255, 255)])
def test_an_empty_picture_is_wrong(colour: tuple[int, int, int]) -> None:
    found = judge(to_floats(Image.new("RGB", (128, 128), colour)), "white", [Thing("circle", "red")])
    assert not found.right


def test_noise_is_wrong() -> None:
    noise = np.random.default_rng(0).random((128, 128, 3)).astype(np.float32)
    assert not judge(noise, "white", [Thing("circle", "red")]).right


def test_a_dented_outline_has_more_wobble() -> None:
    smooth = painted(Scene("white", (CIRCLE,)))
    pixels = np.asarray(smooth).copy()
    rng = np.random.default_rng(2)
    for _ in range(14):
        angle = rng.uniform(0, 2 * np.pi)
        y, x = int(64 + 29 * np.sin(angle)), int(0.27 * 128 + 29 * np.cos(angle))
        pixels[y - 2 : y + 3, max(x - 2, 0) : x + 3] = (230, 42, 42)
    dented = Image.fromarray(pixels).filter(ImageFilter.BoxBlur(0.5))
    wished = [Thing("circle", "red")]
    assert judge(to_floats(dented), "white", wished).wobble > 3 * judge(to_floats(smooth), "white", wished).wobble + 0.1

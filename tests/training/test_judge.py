"""The judge accepts rendered truth and rejects every single thing that is wrong with a picture."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.nano_world import COLOURS, SHAPES, Thing
from training.judge import Verdict, judge, look, to_floats
from training.scenes import Piece, Scene, render, sample_scene

CIRCLE = Piece("circle", "red", "medium", "left", 0.27, 0.5, 0.23)
STAR = Piece("star", "blue", "medium", "right", 0.74, 0.5, 0.17)


def painted(scene: Scene) -> Image.Image:
    return Image.fromarray((render(scene).clip(0, 1) * 255).round().astype(np.uint8))


def asked(scene: Scene) -> list[Thing]:
    return [Thing(piece.shape, piece.colour, piece.size, piece.place) for piece in scene.pieces]


def verdict(shown: Scene, wished: Scene) -> Verdict:
    return judge(to_floats(painted(shown)), wished.background, asked(wished))


@pytest.mark.parametrize("count", [40, pytest.param(300, marks=pytest.mark.long)])
def test_truth_is_judged_right(count: int) -> None:
    rng = Random(41)
    scenes = [sample_scene(rng) for _ in range(count)]
    verdicts = [verdict(scene, scene) for scene in scenes]
    assert sum(one.right for one in verdicts) >= 0.98 * count
    assert np.nanmean([one.wobble for one in verdicts]) < 0.08


def test_every_shape_colour_and_place_is_told_apart() -> None:
    for index, shape in enumerate(SHAPES):
        scene = Scene(COLOURS[index], (replace(CIRCLE, shape=shape, colour=COLOURS[index + 1]),))
        (found,) = look(to_floats(painted(scene))).objects
        assert (found.shape, found.colour, found.place) == (shape, COLOURS[index + 1], "left")


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

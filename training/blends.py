"""Scenes that share some things with others: near misses for an image encoder, and what a picture prompt reads.

All of it is ours; the articles have no rendered world. Scenes of one object whose triple is held out are never made here.
"""

from dataclasses import dataclass, replace
from random import Random

from engine.nano_world import COLOURS, SHAPES
from training.captions import LANGUAGES, Caption, write_caption
from training.scenes import Scene, held_out, sample_scene

_TRIES = 60
_EVEN = 0.15  # a mix whose weights are this near to one half shows something of both
_FAINT = 0.2  # a picture that weighs less leaves nothing


@dataclass(frozen=True)
class Lesson:
    """A scene to draw, the words that are said, and the pictures that are shown beside them, each with its weight."""

    target: Scene
    words: str
    shown: tuple[tuple[Scene, float], ...]


def allowed(scene: Scene) -> bool:
    """Whether a scene may stand in training: its things are seen, and told apart, and it is not held out."""
    if any(piece.colour == scene.background for piece in scene.pieces):
        return False
    pieces = scene.pieces
    if len(pieces) == 1:
        return not held_out(scene.background, pieces[0].colour, pieces[0].shape)
    return len({(piece.colour, piece.shape) for piece in pieces}) == len(pieces)


def near_miss(scene: Scene, rng: Random) -> Scene:
    """The same but for one thing: its background, or the colour or shape of an object, or two objects' colours exchanged."""
    for _ in range(_TRIES):
        index, pieces = rng.randrange(len(scene.pieces)), list(scene.pieces)
        kind = rng.choices(("background", "colour", "shape", "exchange"), weights=(1, 1, 4, 2))[0]  # shapes are learned last
        changed = scene
        if kind == "background":
            changed = replace(scene, background=rng.choice(COLOURS))
        elif kind == "colour":
            pieces[index] = replace(pieces[index], colour=rng.choice(COLOURS))
        elif kind == "shape":
            pieces[index] = replace(pieces[index], shape=rng.choice(SHAPES))
        else:
            colours = [piece.colour for piece in reversed(pieces)]
            pieces = [replace(piece, colour=colour) for piece, colour in zip(pieces, colours, strict=True)]
        if kind != "background":
            changed = replace(scene, pieces=tuple(pieces))
        if changed != scene and allowed(changed):
            return changed
    return sample_scene(rng)


def same(rng: Random, silent: bool) -> Lesson:
    """The article's: the picture itself is shown, beside its caption or beside nothing."""
    target = sample_scene(rng)
    words = "" if silent else write_caption(target, rng.choice(LANGUAGES), rng).text
    return Lesson(target, words, ((target, 1.0),))


def told(rng: Random, unseen: bool = False) -> Lesson:
    """Words and a picture of something else: what the words say counts, and what they leave out is as in the picture.

    unseen: of one object whose triple is held out.
    """
    target = sample_scene(rng, objects=1 if unseen else None, unseen=unseen)
    free = rng.choice((("colour",), ("background",), ("colour", "background")))
    caption = write_caption(target, rng.choice(LANGUAGES), rng)
    for _ in range(_TRIES):
        if _leaves_free(caption, free):
            break
        caption = write_caption(target, rng.choice(LANGUAGES), rng)
    return Lesson(target, caption.text, ((_other(target, caption, rng), 1.0),))


def _leaves_free(caption: Caption, free: tuple[str, ...]) -> bool:
    colours = all(thing.colour is None for thing in caption.things)
    return colours is ("colour" in free) and (caption.background is None) is ("background" in free)


def _other(target: Scene, caption: Caption, rng: Random) -> Scene:
    """The target with everything changed that its caption says; the target itself if the two cannot be matched."""
    if len(caption.things) != len(target.pieces):
        return target
    for _ in range(_TRIES):
        background = target.background if caption.background is None else _another(COLOURS, target.background, rng)
        pieces = tuple(
            replace(
                piece,
                shape=_another(SHAPES, piece.shape, rng),
                colour=piece.colour if thing.colour is None else _another(COLOURS, piece.colour, rng),
            )
            for piece, thing in zip(target.pieces, caption.things, strict=True)
        )
        if allowed(other := replace(target, background=background, pieces=pieces)):
            return other
    return target


def _another(words: tuple[str, ...], than: str, rng: Random) -> str:
    return rng.choice([word for word in words if word != than])


def mixed(rng: Random) -> Lesson:
    """Two pictures of one object each: the more one weighs, the more of background, colour, shape and place comes from it."""
    for _ in range(_TRIES):
        first, second = sample_scene(rng, objects=1), sample_scene(rng, objects=1)
        weight = 0.5 if rng.random() < 0.4 else rng.uniform(0.05, 0.95)
        target = blend(first, second, weight, rng)
        if allowed(target):
            return Lesson(target, "", ((first, weight), (second, 1 - weight)))
    return same(rng, silent=True)


def blend(first: Scene, second: Scene, weight: float, rng: Random) -> Scene:
    """One object that takes after two; weight: of the first one."""
    share = min(max((weight - _FAINT) / (1 - 2 * _FAINT), 0.0), 1.0)
    both = abs(weight - 0.5) <= _EVEN
    while True:
        background, colour, shape, place = (rng.random() < share for _ in range(4))
        if not both or len({background, colour, shape}) == 2:
            break
    one, other = first.pieces[0], second.pieces[0]
    piece = replace(one if place else other, colour=(one if colour else other).colour, shape=(one if shape else other).shape)
    return Scene((first if background else second).background, (piece,))

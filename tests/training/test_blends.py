"""Near misses differ in one thing; lessons say what they mean; nothing that is held out stands alone in them."""

from dataclasses import replace
from random import Random

from engine.nano_world import parse
from training.blends import allowed, blend, mixed, near_miss, same, told
from training.scenes import Scene, held_out, sample_scene


def things(scene: Scene) -> list[str]:
    return [scene.background, *(piece.colour for piece in scene.pieces), *(piece.shape for piece in scene.pieces)]


def test_a_near_miss_differs_in_one_thing_or_in_two_colours_exchanged() -> None:
    exchanged = 0
    for seed in range(200):
        rng = Random(seed)
        scene = sample_scene(rng)
        near = near_miss(scene, rng)
        apart = [(a, b) for a, b in zip(things(scene), things(near), strict=True) if a != b]
        assert 1 <= len(apart) <= 2
        if len(apart) == 2:
            assert apart[0] == apart[1][::-1]
            exchanged += 1
        assert [(p.x, p.y, p.radius) for p in near.pieces] == [(p.x, p.y, p.radius) for p in scene.pieces]
        assert allowed(near)
    assert 5 < exchanged < 100


def test_nothing_held_out_is_shown_or_asked_for() -> None:
    alone = 0
    for seed in range(300):
        rng = Random(seed)
        lesson = (same(rng, silent=False), told(rng), mixed(rng))[seed % 3]
        for scene in (lesson.target, *(shown for shown, _ in lesson.shown)):
            if len(scene.pieces) == 1:
                assert not held_out(scene.background, scene.pieces[0].colour, scene.pieces[0].shape)
                alone += 1
    assert alone > 200


def test_what_words_leave_out_is_as_in_the_picture_and_what_they_say_is_not() -> None:
    free = 0
    for seed in range(150):
        lesson = told(Random(seed), unseen=seed % 2 == 1)
        said, target, shown = parse(lesson.words), lesson.target, lesson.shown[0][0]
        if shown == target:
            continue
        assert [piece.shape for piece in target.pieces] == [thing.shape for thing in said.things]
        assert all(a.shape != b.shape for a, b in zip(target.pieces, shown.pieces, strict=True))
        if said.background is None:
            assert shown.background == target.background
            free += 1
        else:
            assert said.background == target.background != shown.background
        for thing, piece, other in zip(said.things, target.pieces, shown.pieces, strict=True):
            assert (other.colour == piece.colour) is (thing.colour is None)
            free += thing.colour is None
    assert free > 100


def test_a_blend_takes_after_both_or_after_the_one_that_weighs_all() -> None:
    first, second = (Scene(each.background, each.pieces) for each in (sample_scene(Random(s), objects=1) for s in (1, 4)))
    second = replace(second, background="pink", pieces=(replace(second.pieces[0], colour="gray", shape="heart"),))
    assert not set(things(first)) & set(things(second))
    for seed in range(50):
        even = blend(first, second, 0.5, Random(seed))
        assert set(things(even)) <= set(things(first)) | set(things(second))
        assert set(things(even)) & set(things(first))
        assert set(things(even)) & set(things(second))
        assert things(blend(first, second, 0.85, Random(seed))) == things(first)
        assert things(blend(first, second, 0.1, Random(seed))) == things(second)


def test_weights_of_a_mix_are_shares() -> None:
    lessons = [mixed(Random(seed)) for seed in range(60)]
    pairs = [lesson for lesson in lessons if len(lesson.shown) == 2]
    assert len(pairs) > 50
    assert all(abs(sum(weight for _, weight in lesson.shown) - 1) < 1e-9 and not lesson.words for lesson in pairs)
    assert sum(lesson.shown[0][1] == 0.5 for lesson in pairs) > 10

"""Nano understands prompts as people write them, and never passes over a word it does not know."""

import subprocess
import sys

import pytest

from engine.nano_world import (
    COLOURS,
    EXAMPLES,
    LARGE,
    MAX_OBJECTS,
    PACKAGED,
    PLACES,
    SIZES,
    SMALL,
    Thing,
    World,
    parse,
    suggest,
    words,
)

BOTH = pytest.mark.parametrize("world", [SMALL, LARGE], ids=lambda world: world.name)
RED_CIRCLE = Thing("circle", "red")

OUT_OF_WORLD = [
    "Кот в очках за компьютером",
    "Lego figure at the waterfall",
    "A cat in glasses at a computer",
    "An old lighthouse in a storm, oil painting",
    "a red apple on a wooden table",
    "a green dragon",
    "портрет девушки с жемчужной серёжкой",
    "красная машина на белом фоне",
    "закат над морем",
    "собака",
    "a photo of a blue car",
    "many stars on a blue background",
    "пять звёзд",
    "5 stars",
    "zero stars",
    "a crimson circle",
    "a golden star on a black background",
    "a cyan square",
    "голубой квадрат",
    "коричневый круг",
    "a red hexagon",
    "пятиугольник",
    "ромб на белом фоне",
    "a smiling heart",
    "a circle wearing a hat",
    "a star in the sky",
    "звезда в небе",
    "сердце из цветов",
    "a heart made of roses",
    "a square house",
    "красный круг в стиле Малевича",
    "a triangle in oil",
    "a red circle, 4k, highly detailed",
    "a spinning star",
    "прозрачный крест",
    "a dark red circle",
    "светло-зелёный квадрат",
    "a red-hot circle",
    "a striped square",
    "квадрат в горошек",
    "a circle inside a square",
    "круг внутри квадрата",
    "many circles",
    "no circles",
    "a star without a background",
    "звёзды",
    "круги и квадраты",
    "hello",
    "привет, как дела?",
    "un cercle rouge sur fond bleu",
    "ein roter Kreis",
    "a circle 🐱",
    "asdfghjkl",
]


ONLY_IN_THE_LARGE_WORLD = [
    "two red circles",
    "3 stars on a blue background",
    "три звезды",
    "a triangle in watercolor style",
    "неоновый круг",
    "a red circle at night",
    "кошка",
    "a house",
]


@BOTH
@pytest.mark.parametrize("prompt", OUT_OF_WORLD)
def test_words_outside_the_world_are_caught(prompt: str, world: World) -> None:
    assert parse(prompt, world).unknown


@pytest.mark.parametrize("prompt", ONLY_IN_THE_LARGE_WORLD)
def test_the_small_world_does_not_pretend_to_be_the_large_one(prompt: str) -> None:
    assert parse(prompt, SMALL).unknown
    assert parse(prompt, LARGE).unknown == ()
    assert parse(prompt, LARGE).shapes


def test_the_list_is_long_enough() -> None:
    assert len(set(OUT_OF_WORLD)) >= 50


def test_unknown_words_come_as_typed_and_in_order() -> None:
    assert parse("Lego figure at the waterfall").unknown == ("Lego", "figure", "waterfall")
    assert parse("Кот в очках за компьютером, Кот", SMALL).unknown == ("Кот", "очках", "за", "компьютером")
    assert parse("Кот в очках за компьютером, очках", LARGE).unknown == ("очках", "за", "компьютером")


@pytest.mark.parametrize("language", ["en", "ru"])
def test_examples_are_understood(language: str) -> None:
    assert len(EXAMPLES[language]) == 4
    for prompt in EXAMPLES[language]:
        understood = parse(prompt)
        assert not understood.unknown
        assert 1 <= len(understood.shapes) <= MAX_OBJECTS
        assert understood.background


@pytest.mark.parametrize(
    ("prompt", "things", "background"),
    [
        ("a big red circle on a blue background", [Thing("circle", "red", "big")], "blue"),
        ("большой красный круг на синем фоне", [Thing("circle", "red", "big")], "blue"),
        ("красный круг", [RED_CIRCLE], None),
        ("red circle", [RED_CIRCLE], None),
        ("КРАСНЫЙ КРУГ!!!", [RED_CIRCLE], None),
        ("<b>Red</b> *circle*", [RED_CIRCLE], None),
        ("«красный» — круг", [RED_CIRCLE], None),
        ("нарисуй мне красную звёздочку, пожалуйста", [Thing("star", "red")], None),
        ("желтая звезда", [Thing("star", "yellow")], None),
        ("жёлтая звезда", [Thing("star", "yellow")], None),
        ("круг красный на синем", [RED_CIRCLE], "blue"),
        ("круг красного цвета на фоне синего цвета", [RED_CIRCLE], "blue"),
        ("синий фон, красный круг", [RED_CIRCLE], "blue"),
        ("red circle on blue", [RED_CIRCLE], "blue"),
        ("красный круг слева", [Thing("circle", "red", None, "left")], None),
        ("маленький красный круг в центре", [Thing("circle", "red", "small", "center")], None),
        ("красный круг среднего размера", [Thing("circle", "red", "medium")], None),
        ("a red circle and a blue star on a white background", [RED_CIRCLE, Thing("star", "blue")], "white"),
        ("красный круг и синяя звезда", [RED_CIRCLE, Thing("star", "blue")], None),
        (
            "слева красный круг, справа синяя звезда, фон белый",
            [Thing("circle", "red", None, "left"), Thing("star", "blue", None, "right")],
            "white",
        ),
        (
            "a red circle above a blue star",
            [Thing("circle", "red", None, "top"), Thing("star", "blue", None, "bottom")],
            None,
        ),
        (
            "красный круг под синей звездой",
            [Thing("circle", "red", None, "bottom"), Thing("star", "blue", None, "top")],
            None,
        ),
        (
            "a red circle to the left of a blue star",
            [Thing("circle", "red", None, "left"), Thing("star", "blue", None, "right")],
            None,
        ),
    ],
)
@BOTH
def test_a_prompt_is_understood(prompt: str, things: list[Thing], background: str | None, world: World) -> None:
    understood = parse(prompt, world)
    assert understood.unknown == ()
    assert understood.things == tuple(things)
    assert understood.background == background


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("a red circle on a red background", "red"),
        ("a red blue circle", "red"),
        ("a circle at the top left", "left"),
        ("a circle on the left and a star on the left", "left"),
        ("a circle in the center and a star on the left", "left"),
    ],
)
@BOTH
def test_what_has_no_room_in_a_scene_is_not_passed_over(prompt: str, word: str, world: World) -> None:
    assert parse(prompt, world).unknown == (word,)


CAT = Thing("cat", "gray")


@pytest.mark.parametrize(
    ("prompt", "things", "background", "style"),
    [
        ("three red stars", [Thing("star", "red", count=3)], None, None),
        ("три красные звезды на синем фоне", [Thing("star", "red", count=3)], "blue", None),
        ("две красных звезды", [Thing("star", "red", count=2)], None, None),
        ("четыре зелёных дерева", [Thing("tree", "green", count=4)], None, None),
        ("нарисуй двух серых котов", [Thing("cat", "gray", count=2)], None, None),
        ("нарисуй две серые кошки", [Thing("cat", "gray", count=2)], None, None),
        ("картинка с тремя большими синими рыбами", [Thing("fish", "blue", "big", count=3)], None, None),
        ("4 boats by day", [Thing("boat", count=4)], "day", None),
        ("two fish", [Thing("fish", count=2)], None, None),
        ("one red star", [Thing("star", "red")], None, None),
        ("a red house & a blue boat", [Thing("house", "red"), Thing("boat", "blue")], None, None),
        ("red circle star", [Thing("circle", "red"), Thing("star")], None, None),
        ("there are two yellow flowers on a black background", [Thing("flower", "yellow", count=2)], "black", None),
        ("a gray cat at night", [CAT], "night", None),
        ("серый кот ночью", [CAT], "night", None),
        ("серая кошка на фоне ночного неба", [CAT], "night", None),
        ("a gray cat in the night sky, neon", [CAT], "night", "neon"),
        ("акварель: красная лодка днём", [Thing("boat", "red")], "day", "watercolour"),
        ("красная лодка на белом фоне, акварелью", [Thing("boat", "red")], "white", "watercolour"),
        ("розовый цветок в неоновом стиле", [Thing("flower", "pink")], None, "neon"),
        ("a watercolour painting of a moon", [Thing("moon")], None, "watercolour"),
        (
            "a gray cat to the right of an orange house at night, watercolour",
            [Thing("cat", "gray", None, "right"), Thing("house", "orange", None, "left")],
            "night",
            "watercolour",
        ),
        ("солнышко над домиком", [Thing("sun", None, None, "top"), Thing("house", None, None, "bottom")], None, None),
    ],
)
def test_a_prompt_of_the_large_world_is_understood(
    prompt: str, things: list[Thing], background: str | None, style: str | None
) -> None:
    understood = parse(prompt, LARGE)
    assert understood.unknown == ()
    assert understood.things == tuple(things)
    assert (understood.background, understood.style) == (background, style)


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("two red stars and a blue circle", "two"),
        ("a blue circle and two red stars", "two"),
        ("three stars on the left", "left"),
        ("stars on a blue background", "stars"),
        ("one stars", "stars"),
        ("a house boat", "boat"),
        ("a red circle on a blue background at night", "night"),
        ("a red circle by day at night", "night"),
        ("a neon black cat", "neon"),
        ("a cat in neon, watercolour", "watercolour"),
        ("a star in the sky", "sky"),
        ("круг на синем ночном небе", "синем"),
        ("круг и две", "две"),
    ],
)
def test_what_has_no_room_in_the_large_world_is_not_passed_over(prompt: str, word: str) -> None:
    assert parse(prompt, LARGE).unknown == (word,)


@pytest.mark.parametrize("prompt", ["", "   ", "...", "red", "на синем фоне", "a big one"])
def test_a_prompt_without_a_shape_names_none(prompt: str) -> None:
    assert parse(prompt).shapes == ()


def test_three_objects_are_three_shapes() -> None:
    assert parse("a circle, a star and a heart").shapes == ("circle", "star", "heart")


def test_the_nearest_known_word_is_suggested_first() -> None:
    assert suggest("cirle", "en")[0] == "circle"
    assert suggest("sqare", "en")[0] == "square"
    assert suggest("stars", "en", world=SMALL)[0] == "star"
    assert suggest("hous", "en", world=LARGE)[0] == "house"
    assert suggest("кошак", "ru", world=LARGE)[0] == "кошка"
    assert suggest("watercolr", "en", world=LARGE)[0] == "watercolour"
    assert suggest("круги", "ru")[0] == "круг"
    assert suggest("жолтый", "ru")[0] == "жёлтый"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_suggestions_are_known_words_and_as_many_as_asked(language: str) -> None:
    for world, n in ((SMALL, 1), (SMALL, 4), (SMALL, 6), (LARGE, 6)):
        suggestions = suggest("waterfall", language, n, world)
        assert len(set(suggestions)) == n
        assert all(word in words(language, world) for word in suggestions)


@pytest.mark.parametrize("language", ["en", "ru"])
@BOTH
def test_words_to_show_are_understood(language: str, world: World) -> None:
    shown = words(language, world)
    shapes = len(world.shapes)
    assert len(shown) == shapes + len(COLOURS) + len(SIZES) + len(PLACES) + len(world.times) + len(world.styles)
    assert len(set(shown)) == len(shown)
    circle = "circle" if language == "en" else "круг"
    for word in shown[:shapes]:
        assert parse(word, world).unknown == ()
        assert len(parse(word, world).shapes) == 1
    for word in shown[shapes:]:
        assert parse(f"{circle} {word}", world).unknown == ()


def test_what_is_asked_without_naming_a_world_is_asked_of_the_packaged_one() -> None:
    for prompt in ("two red circles", "a red circle"):
        assert parse(prompt) == parse(prompt, PACKAGED)


def test_the_module_loads_neither_torch_nor_anything_installed() -> None:
    code = "import sys, engine.nano_world; print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"

"""Prompts that nano draws well, to show and to tap."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "a big red circle on a blue background",
        "a small yellow star at the top on a purple background",
        "a green triangle and a white heart on a black background",
        "an orange square on a gray background",
    ),
    "ru": (
        "большой красный круг на синем фоне",
        "маленькая жёлтая звезда вверху на чёрном фоне",
        "белое сердце и зелёный крест на фиолетовом фоне",
        "синий треугольник на розовом фоне",
    ),
}

MORE_EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "a big pink heart on a black background",
        "a white cross on a red background",
        "a small blue square on the left on a yellow background",
        "a purple star on a white background",
        "a big yellow triangle on a green background",
        "a red heart and a blue star on a white background",
    ),
    "ru": (
        "большое розовое сердце на чёрном фоне",
        "белый крест на красном фоне",
        "маленький синий квадрат слева на жёлтом фоне",
        "фиолетовая звезда на белом фоне",
        "большой жёлтый треугольник на зелёном фоне",
        "красное сердце и синяя звезда на белом фоне",
    ),
}
"""Others, so that nobody is told the same again and again."""

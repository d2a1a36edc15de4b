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

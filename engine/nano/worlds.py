"""What nano's worlds hold: the small one with six figures, and the large one with things, counts, day and night, and styles."""

from dataclasses import dataclass

MAX_OBJECTS = 2  # different ones on one picture
FIGURES = ("circle", "square", "triangle", "star", "heart", "cross")
THINGS = ("house", "tree", "cat", "sun", "moon", "flower", "fish", "boat")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "gray", "white")
SIZES = ("small", "medium", "big")
PLACES = ("left", "right", "top", "bottom", "center")
TIMES = ("day", "night")
STYLES = ("watercolour", "neon")
PLAIN = "plain"  # the style of a picture for which none is asked
CASES = ("nom", "gen", "acc", "ins", "prep")

NATURAL_COLOURS = {
    "house": "orange", "tree": "green", "cat": "gray", "sun": "yellow", "moon": "white", "flower": "pink", "fish": "blue",
    "boat": "red",
}  # fmt: skip
"""Thing -> the colour that it has where a caption leaves the colour out."""


@dataclass(frozen=True)
class World:
    """What one set of weights knows. most: of the same object on a picture; times: skies that it can have for a background."""

    name: str
    shapes: tuple[str, ...]
    times: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    most: int = 1

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """Colours and skies."""
        return COLOURS + self.times


SMALL = World("small", FIGURES)
LARGE = World("large", FIGURES + THINGS, TIMES, STYLES, most=4)
WORLDS = {world.name: world for world in (SMALL, LARGE)}

PACKAGED = SMALL
"""The world of the weights in `engine/data/kandinsky-nano`: what a prompt may ask for."""
SHAPES = PACKAGED.shapes

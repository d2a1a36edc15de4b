"""What kandinsky-nano repaints: objects named for a mask, large and small, and pictures drawn on beyond their sides.

`python -m benchmarks.nano_repaints [--n 100] [--out DIR] [--only inpaint]`; the cases are held out as those of
`benchmarks.nano_edits` are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

import numpy as np
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from benchmarks.nano_edits import Case, Group, Marks, Settings, options_of, picture_of, run
from engine.nano_world import COLOURS, SHAPES, Thing
from engine.requests import Inpaint, Outpaint
from training.captions import LANGUAGES, name_piece
from training.figures import Floats
from training.judge import judge, look, to_floats
from training.pieces import Piece
from training.scenes import SIDE, Scene, sample_scene

LARGE = 4 * SIDE  # pixels a side of a picture whose mask is small
SMALL_SHARES = (0.02, 0.08)
SEAM = 6.0  # CIEDE2000 between neighbours on both sides of where the picture ended
Box = tuple[int, int, int, int]


def replaced(rng: Random, index: int, settings: Settings) -> Case:
    """The box around a scene's only object, with room; another object in another colour is named."""
    scene = sample_scene(rng, objects=1, unseen=True)
    piece, wanted = scene.pieces[0], other(scene, rng)
    reach, thing = 1.2 * piece.radius, Thing(wanted.shape, wanted.colour)
    box = clipped([SIDE * value for value in (piece.x - reach, piece.y - reach, piece.x + reach, piece.y + reach)], SIDE)

    def marks(drawn: Floats) -> Marks:
        verdict = judge(drawn, scene.background, [thing])
        inside = any(within(SIDE * found.x, SIDE * found.y, box) for found in look(drawn).objects)
        return {
            "background": verdict.background,
            "colour": all(verdict.colours),
            "shape": all(verdict.shapes),
            "the named object, inside the mask": verdict.right and inside,
        }

    return repaint(picture_of(scene), box, words(wanted, index, rng), index, settings, marks)


def added(rng: Random, index: int, settings: Settings) -> Case:
    """A mask of 2 to 8 % of a large picture, on bare ground; what is drawn is judged from nearby."""
    picture, scene, box = bare_ground(rng)
    wanted = other(scene, rng)
    thing = Thing(wanted.shape, wanted.colour)
    room = (box[2] - box[0]) // 4
    near = clipped([box[0] - room, box[1] - room, box[2] + room, box[3] + room], LARGE)

    def marks(drawn: Floats) -> Marks:
        whole = Image.fromarray((drawn * 255).round().astype(np.uint8))
        verdict = judge(to_floats(whole.crop(near).resize((SIDE, SIDE), Image.Resampling.LANCZOS)), scene.background, [thing])
        return {
            "colour": all(verdict.colours),
            "shape": all(verdict.shapes),
            "the named object, small mask": verdict.count and all(verdict.colours) and all(verdict.shapes),
        }

    return repaint(picture, box, words(wanted, index, rng), index, settings, marks)


def extended(rng: Random, index: int, settings: Settings) -> Case:
    """Half of a picture's side more, to each side in turn, without words."""
    scene = sample_scene(rng, objects=1, unseen=True)
    side = ("left", "top", "right", "bottom")[index % 4]
    request = settings.request(Outpaint, index, image="a", **{side: SIDE // 2})

    def marks(drawn: Floats) -> Marks:
        apart = seam(drawn, side)
        return {"seam, delta E": apart, f"seam below {SEAM:g}": apart < SEAM}

    return Case(request, {"a": picture_of(scene)}, marks, f"beyond the {side}")


def other(scene: Scene, rng: Random) -> Piece:
    """An object that is not in the scene, in a colour that is not, either."""
    piece = scene.pieces[0]
    shape = rng.choice([each for each in SHAPES if each != piece.shape])
    colour = rng.choice([each for each in COLOURS if each not in (scene.background, piece.colour)])
    return replace(piece, shape=shape, colour=colour)


def words(piece: Piece, index: int, rng: Random) -> str:
    """Colour and shape; every other time in Russian."""
    return name_piece(piece, LANGUAGES[index % 2], rng)


def bare_ground(rng: Random) -> tuple[Image.Image, Scene, Box]:
    """A large picture with one object, and a square of it where there is nothing."""
    while True:
        scene = sample_scene(rng, objects=1, unseen=True)
        piece = scene.pieces[0]
        side = round(LARGE * rng.uniform(*SMALL_SHARES) ** 0.5)
        for _ in range(20):
            left, top = (rng.randrange(side // 4, LARGE - side - side // 4) for _ in range(2))
            box = (left, top, left + side, top + side)
            apart = max(abs((left + side / 2) - piece.x * LARGE), abs((top + side / 2) - piece.y * LARGE))
            if apart > 1.3 * piece.radius * LARGE + 0.75 * side:
                large = picture_of(scene).resize((LARGE, LARGE), Image.Resampling.BICUBIC)
                return large, scene, box


def repaint(
    picture: Image.Image, box: Box, prompt: str, index: int, settings: Settings, marks: Callable[[Floats], Marks]
) -> Case:
    """A case that repaints a box."""
    mask = Image.new("L", picture.size)
    mask.paste(255, box)
    request = settings.request(Inpaint, index, image="a", mask_image="m", prompt=prompt)
    return Case(request, {"a": picture, "m": mask.convert("RGB")}, marks, prompt)


def seam(drawn: Floats, side: str) -> float:
    """Mean difference between the rows or columns of pixels on both sides of where the picture ended."""
    lab = rgb2lab(drawn)
    lab = lab if side in ("left", "right") else lab.swapaxes(0, 1)
    at = SIDE // 2 if side in ("left", "top") else SIDE
    return float(deltaE_ciede2000(lab[:, at - 1], lab[:, at]).mean())  # type: ignore[no-untyped-call]


def clipped(box: Sequence[float], side: int) -> Box:
    """Whole pixels inside of a square picture."""
    left, top, right, bottom = (min(max(round(value), 0), side) for value in box)
    return left, top, right, bottom


def within(x: float, y: float, box: Box) -> bool:
    """Whether a point, in pixels, lies in a box."""
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


GROUPS: Mapping[str, Group] = {
    "inpaint": Group(replaced, {"the named object, inside the mask": 0.9}),
    "inpaint-small": Group(added, {"the named object, small mask": 0.85}),
    "outpaint": Group(extended, {f"seam below {SEAM:g}": 0.9}),
}


def main(arguments: list[str] | None = None) -> None:
    run(GROUPS, options_of("python -m benchmarks.nano_repaints", __doc__ or "", GROUPS, arguments))


if __name__ == "__main__":
    main()

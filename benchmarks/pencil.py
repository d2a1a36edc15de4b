"""How well drawings with Telegram's pencil become masks: intersection over union of what was drawn and what was found.

`python -m benchmarks.pencil [--n 200]`. Drawing number i is the same every time, none picked: on a held-out nano picture or
one of scikit-image's photographs, at 512 or 1024 pixels, with one of six pens or a colour of the picture itself, thin to thick;
it comes back with 1280 pixels as a JPEG of quality 70 (the editor's own scaling and Telegram's first compression before that).
Where more than 5 % of a stroke differs by less than 15 Lab units from what lies under it, it counts as hidden, apart.
"""

import argparse
import time
from collections import defaultdict
from random import Random

from PIL import Image

from benchmarks.drawings import KINDS, PENS, Drawing, draw, nano_picture, overlap, photograph
from benchmarks.nano import wilson
from bot.masks.pencil import pencil_mask
from storage.domain import Refused

BAR = 0.9
PHOTOGRAPHS = ("astronaut", "cat", "coffee", "rocket")
SIZES, THICKNESSES = (512, 1024), (0.004, 0.008, 0.016, 0.03)
HIDDEN = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200)
    arguments = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    told: dict[str, int] = defaultdict(int)
    seconds = 0.0
    for number in range(arguments.n):
        picture, kind, drawing = drawn(number)
        group = "hidden" if drawing.visible < 1 - HIDDEN else f"{'photograph' if number % 2 else 'nano'}, {kind}"
        start = time.perf_counter()
        try:
            found[group].append(overlap(pencil_mask(picture, drawing.returned).mask, drawing.truth))
        except Refused:
            found[group].append(0.0)
            told[group] += 1
        seconds += time.perf_counter() - start
    print(f"{'drawing':>24} {'n':>4} {'mean IoU':>9} {'least':>6}  IoU >= {BAR} (95 %)      told")
    for group, values in sorted(found.items()):
        right = sum(value >= BAR for value in values)
        low, high = wilson(right, len(values))
        mean = sum(values) / len(values)
        share = f"{right:>3} ({low:.0%} to {high:.0%})"
        print(f"{group:>24} {len(values):>4} {mean:>9.3f} {min(values):>6.3f}  {share} {told[group]:>8}")
    print(f"{seconds / arguments.n:.2f} s each")


def drawn(number: int) -> tuple[Image.Image, str, Drawing]:
    """Picture, kind and drawing of a case."""
    rng = Random(number)
    size = rng.choice(SIZES)
    picture = photograph(rng.choice(PHOTOGRAPHS), size) if number % 2 else nano_picture(number, size)
    kind = KINDS[number // 2 % len(KINDS)]
    own = picture.getpixel((rng.randrange(picture.width), rng.randrange(picture.height)))
    pen = rng.choice([*PENS.values(), own])
    return picture, kind, draw(picture, kind, pen, rng, thickness=rng.choice(THICKNESSES))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()

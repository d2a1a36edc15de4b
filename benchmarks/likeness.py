"""How well the bot knows its own pictures again: false matches, missed matches and the time of a search.

`python -m benchmarks.likeness [--n 200] [--known 10000]`. Known are `n` held-out pictures of the nano world. Each comes back
rescaled, recompressed, on a screenshot and trimmed; as many that were never seen come, too. Trimmed pictures are found by looking
closer (`bot.recognition`), every fifth of them is. The search is timed among `known` looks.
"""

import argparse
import time
from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image

from benchmarks.drawings import as_telegram, nano_picture
from benchmarks.nano import wilson
from bot.likeness import find, look, looks
from bot.recognition import recognise

STRANGERS = 500_000  # seeds of pictures that are not known
Change = Callable[[Image.Image, Random], Image.Image]


def rescaled(picture: Image.Image, rng: Random) -> Image.Image:
    """To a size of Telegram's, at its qualities."""
    return as_telegram(picture, rng.choice((320, 800, 1280)), rng.choice((70, 80, 87)))


def twice(picture: Image.Image, rng: Random) -> Image.Image:
    """Sent on by two people."""
    return rescaled(rescaled(picture, rng), rng)


def trimmed(picture: Image.Image, rng: Random) -> Image.Image:
    """With up to 5 % missing on each of two sides."""
    width, height = picture.size
    sides = [rng.uniform(0, 0.05) for _ in range(4)]
    for side in rng.sample(range(4), 2):
        sides[side] = 0
    box = (round(sides[0] * width), round(sides[1] * height), round((1 - sides[2]) * width), round((1 - sides[3]) * height))
    return rescaled(picture.crop(box), rng)


def screenshot(picture: Image.Image, rng: Random) -> Image.Image:
    """On a phone's black or white screen."""
    width = 1080
    high = round(picture.height * width / picture.width)
    screen = Image.new("RGB", (width, max(2340, high)), rng.choice(("black", "white", "#17212b")))
    screen.paste(picture.resize((width, high), Image.Resampling.BICUBIC), (0, (screen.height - high) // 2))
    return rescaled(screen, rng)


CHANGES: dict[str, Change] = {"rescaled": rescaled, "twice": twice, "screenshot": screenshot, "trimmed": trimmed}
CLOSER = 5  # every so-manieth is looked at closer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--known", type=int, default=10_000)
    arguments = parser.parse_args()
    count = arguments.n
    pictures = [nano_picture(seed, 512) for seed in range(count)]
    known = [look(picture) for picture in pictures]
    for name, change in CHANGES.items():
        first = others = 0
        for index, picture in enumerate(pictures):
            matches = find(looks(change(picture, Random(index))), known)
            first += bool(matches) and matches[0].index == index
            others += any(match.index != index for match in matches)
        print(f"{name:>12}: found {_share(first, count)}, another matched, too {_share(others, count)}")
    wrong = 0
    for seed in range(count):
        stranger = nano_picture(STRANGERS + seed, 512)
        wrong += bool(find(looks(rescaled(stranger, Random(seed))), known))
    print(f"{'strangers':>12}: matched {_share(wrong, count)}, each against {count} pictures")
    looked = range(0, count, CLOSER)
    kept = [recognise(trimmed(pictures[index], Random(index)), known, pictures.__getitem__) for index in looked]
    right = sum(found is not None and found.index == index for found, index in zip(kept, looked, strict=True))
    print(f"{'trimmed':>12}: found by looking closer {_share(right, len(kept))}")
    strange = [recognise(nano_picture(STRANGERS + seed, 512), known, pictures.__getitem__) for seed in looked]
    print(f"{'strangers':>12}: taken for one by looking closer {_share(sum(map(bool, strange)), len(strange))}")
    rng = np.random.default_rng(0)
    many = known + [bytes(rng.integers(0, 256, len(known[0]), np.uint8)) for _ in range(arguments.known - count)]
    wanted = looks(rescaled(pictures[0], Random(0)))
    times = []
    for _ in range(20):
        start = time.perf_counter()
        found = find(wanted, many)
        times.append(time.perf_counter() - start)
    print(f"{'search':>12}: {1000 * sorted(times)[len(times) // 2]:.0f} ms among {len(many)}, found: {found[0].index == 0}")


def _share(hits: int, count: int) -> str:
    low, high = wilson(hits, count)
    return f"{hits}/{count} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main()

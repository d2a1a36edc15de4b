"""How far super-resolution is above bicubic: held-out scenes, clean and damaged, and photographs; and how long it takes.

`python -m benchmarks.super_resolution [--n 200] [--scale 4] [--out DIR] [--large]`. Scene number i is the same every time, seed 0
for all, none picked. Photographs are scikit-image's sample pictures, of which no training step has seen any: each is shrunk by
Pillow's bicubic filter and enlarged again. `--cache DIR --recipe NAME` measures a run's averaged weights instead of the family's.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine import catalog
from engine.engine import CPU_THREADS
from engine.models.super_resolution import SuperResolutionUNet
from engine.pipelines.upscaling import FOLDERS
from engine.weights import Folder, settings
from training.damage import Damage
from training.enlarging import Pair, bicubic, enlarged, gains, held_out, shrunk_plainly
from training.loop import load_average
from training.progress import tiled
from training.super_resolution import DOUBLING, FLASH, PRESETS, PRESETS_X2, build

FAMILY = "kandinsky-nano"
SCENE = 128  # pixels of a large scene
PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "cat", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "immunohistochemistry",
    "moon", "retina", "rocket",
)  # fmt: skip
BARS = {"clean scenes": 2.0, "damaged scenes": 3.0}


def photographs(scale: int) -> dict[str, Pair]:
    """Scikit-image's sample pictures that are on this machine, small and large, cut to multiples of `scale`."""
    from skimage import data

    found = {}
    for name in PHOTOGRAPHS:
        try:
            pixels = getattr(data, name)()
        except (OSError, ModuleNotFoundError, ConnectionError) as error:  # some are fetched, which may be impossible
            print(f"  {name} is not here: {str(error).splitlines()[0]:.100}")
            continue
        picture = Image.fromarray(pixels).convert("RGB")
        picture = picture.crop((0, 0, picture.width // scale * scale, picture.height // scale * scale))
        found[name] = (shrunk_plainly(picture, scale), picture)
    return found


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the borders of its 95 % interval (normal)."""
    mean = float(np.mean(values))
    reach = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return mean, mean - reach, mean + reach


def print_gains(title: str, measured: Sequence[tuple[float, float]]) -> None:
    """One line: how far above bicubic on the average, how surely, and how often below."""
    mean, low, high = mean_interval([own - plain for own, plain in measured])
    below = sum(own < plain for own, plain in measured)
    own, plain = (float(np.mean(column)) for column in zip(*measured, strict=True))
    bar = f"  bar {BARS[title]:+.1f}" if title in BARS else ""
    text = f"{mean:+.2f} dB [{low:+.2f}, {high:+.2f}] over bicubic: {own:.2f}, {plain:.2f}; {below} of {len(measured)} below"
    print(f"  {title:16} {text}{bar}")


def network_of(options: argparse.Namespace) -> SuperResolutionUNet:
    """The family's network, or a run's."""
    if options.cache:
        preset = (PRESETS if options.scale == 4 else PRESETS_X2)["nano"]
        network = build(preset.unet)
        print(f"{options.recipe} after {load_average(options.cache, options.recipe, network)} steps")
        return network.eval().requires_grad_(False)
    folder = Folder(catalog.family(FAMILY), options.weights or catalog.weights_folder(FAMILY))

    def made(config: dict[str, object]) -> SuperResolutionUNet:
        return SuperResolutionUNet(**settings(SuperResolutionUNet, config))

    found: SuperResolutionUNet = folder.module(FOLDERS[options.scale, options.flash], made, torch.float32, torch.device("cpu"))
    return found


def timed(network: SuperResolutionUNet, side: int, scale: int, flash: bool) -> float:
    """Seconds for a picture of so many pixels."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8), "RGB")
    started = time.monotonic()
    enlarged(network, small, scale, flash)
    return time.monotonic() - started


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    network = network_of(options)
    network.settle()
    scale, flash = options.scale, options.flash
    print(f"x{scale}{' Flash' if flash else ''}, {sum(each.numel() for each in network.parameters()) / 1e6:.2f} M weights")
    rows = []
    for kind in ("clean", "damaged"):
        pairs = held_out(kind, options.n, SCENE, scale, Damage())
        print_gains(f"{kind} scenes", gains(network, pairs, scale, flash))
        rows += pairs[:4]
    try:
        found = photographs(scale)
    except ImportError:
        sys.exit("Photographs need scikit-image: pip install 'kandinsky-bot[dev]'.")
    measured = {name: gains(network, [pair], scale, flash)[0] for name, pair in found.items()}
    print_gains("photographs", list(measured.values()))
    for name, (own, plain) in measured.items():
        print(f"    {name:22} {own - plain:+.2f} dB: {own:.2f}, {plain:.2f}")
    for side in (128, 1024) if options.large else (128,):
        print(f"  {side} to {side * scale} pixels: {timed(network, side, scale, flash):.1f} s, {options.threads} threads")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        cells = [[bicubic(small, scale), enlarged(network, small, scale, flash), large] for small, large in rows]
        tiled(cells).save(options.out / f"scenes-x{scale}.png")
        for name, (small, large) in found.items():
            tiled([[bicubic(small, scale), enlarged(network, small, scale, flash), large]]).save(
                options.out / f"{name}-x{scale}.png"
            )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.super_resolution", description=__doc__)
    parser.add_argument("--n", type=int, default=200, help="scenes of each kind (%(default)s)")
    parser.add_argument("--scale", type=int, default=4, choices=(2, 4))
    parser.add_argument("--flash", action="store_true", help="the four-step network, x2 only")
    parser.add_argument("--out", type=Path, help="folder for sheets: bicubic, the network, the truth")
    parser.add_argument("--large", action="store_true", help="time a picture of 1024 pixels too: minutes")
    parser.add_argument("--threads", type=int, default=CPU_THREADS, help="as the engine has (%(default)s)")
    parser.add_argument("--weights", type=Path, help="the family's folder, instead of the packaged one")
    parser.add_argument("--cache", type=Path, help="folder of a run's checkpoints")
    parser.add_argument("--recipe", help="whose run it is; that of the scale if not given")
    options = parser.parse_args(arguments)
    if options.flash and options.scale == 4:
        parser.error("--flash goes with --scale 2")
    options.recipe = options.recipe or {4: "super-resolution-damaged", 2: FLASH if options.flash else DOUBLING}[options.scale]
    return options


if __name__ == "__main__":
    main()

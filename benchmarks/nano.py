"""How well kandinsky-nano follows its prompts: the judge's table over unseen prompts, and the README prompts as a sheet.

`python -m benchmarks.nano [--n 200] [--world NAME] [--out DIR]`. In the small world seven prompts in ten name one object whose
triple of background, colour and shape never stood alone in training, three in ten name two objects. In the large one it is four
in ten, three in ten name two, three in ten name two to four of the same; every third prompt asks for a style. Half are Russian.
Prompt number i is drawn with seed i, once.
"""

import argparse
import contextlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine import catalog
from engine.engine import Engine, load
from engine.nano_world import PACKAGED, PLAIN, WORLDS, Thing, World
from engine.outcomes import Drawn
from training.captions import LANGUAGES, Caption, write_caption
from training.enlarging import to_picture
from training.judge import Verdict, judge, to_floats
from training.scenes import Scene, render, sample_scene

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

FAMILY = "kandinsky-nano"
PROMPT_SEED = 20_000
README_SEED = 1
BARS = {
    "small": {"background": 0.99, "colour": 0.99, "shape": 0.97, "place": 0.98, "both objects right": 0.93},
    "large": {
        "background": 0.98, "colour": 0.95, "shape": 0.95, "place": 0.95, "both objects right": 0.9, "count": 0.9, "style": 0.9,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """A prompt and what its picture must show; `unsaid` sizes are not judged."""

    prompt: str
    language: str
    background: str
    things: tuple[Thing, ...]
    style: str = PLAIN

    @property
    def count(self) -> int:
        return sum(thing.count for thing in self.things)


def unseen_scenes(count: int, seed: int = PROMPT_SEED, world: World = PACKAGED) -> list[tuple[Scene, Caption, str]]:
    """Scenes that no recipe has seen, with captions that say all but some sizes, and the captions' languages."""
    rng = Random(seed)
    found = []
    for index in range(count):
        language = LANGUAGES[(index + index // 10) % 2]
        turn = index % 10
        if world.most == 1:
            alone = turn < 7
            scene = sample_scene(rng, objects=1 if alone else 2, unseen=alone, world=world)
        else:
            style = world.styles[index // 3 % len(world.styles)] if index % 3 == 0 else PLAIN
            several = 2 + index // 10 % (world.most - 1) if turn >= 7 else 0
            pair = 4 <= turn < 7
            scene = sample_scene(rng, objects=1 + pair, unseen=turn < 4, world=world, group=several, style=style)
        found.append((scene, write_caption(scene, language, rng, full=True), language))
    return found


def unseen_wishes(count: int, seed: int = PROMPT_SEED, world: World = PACKAGED) -> list[Wish]:
    """The captions of unseen scenes, as wishes."""
    return [
        Wish(caption.text, language, scene.background, caption.things, scene.style)
        for scene, caption, language in unseen_scenes(count, seed, world)
    ]


def draw(engine: Engine, prompt: str, seed: int, *, flash: bool, **overrides: float) -> Image.Image:
    """One picture through the engine, with the family's defaults."""
    request = catalog.text_to_image(FAMILY, prompt, seed, flash=flash, num_images_per_prompt=1, **overrides)
    (outcome,) = engine.run([request])
    if not isinstance(outcome, Drawn):
        raise TypeError(f"{prompt!r} was not drawn: {outcome}")
    return outcome.images[0]


def judge_all(images: Iterable[Image.Image], wishes: Sequence[Wish]) -> list[Verdict]:
    """The judge's word on every picture."""
    pairs = zip(images, wishes, strict=True)
    return [judge(to_floats(image), wish.background, wish.things, wish.style) for image, wish in pairs]


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson score)."""
    if total == 0:
        return 0.0, 1.0
    share = right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def table(verdicts: Sequence[Verdict], wishes: Sequence[Wish]) -> dict[str, tuple[int, int]]:
    """(right, total) per question: background per picture, colour and shape per object, place per object that has one."""
    both = list(zip(verdicts, wishes, strict=True))
    alone = [verdict for verdict, wish in both if wish.count == 1]
    pairs = [verdict for verdict, wish in both if len(wish.things) == 2]
    groups = [verdict for verdict, wish in both if wish.things[0].count > 1]
    placed = [verdict for verdict, wish in both if wish.things[0].place]
    styled = [verdict for verdict, wish in both if wish.style != PLAIN]
    return {
        "background": (sum(v.background for v in verdicts), len(verdicts)),
        "colour": (sum(sum(v.colours) for v in verdicts), sum(len(v.colours) for v in verdicts)),
        "shape": (sum(sum(v.shapes) for v in verdicts), sum(len(v.shapes) for v in verdicts)),
        "place": (sum(sum(v.places) for v in placed), sum(len(v.places) for v in placed)),
        "one object, all right": (sum(v.right for v in alone), len(alone)),
        "both objects right": (sum(v.right for v in pairs), len(pairs)),
        "count": (sum(v.count for v in groups), len(groups)),
        "count, all right": (sum(v.right for v in groups), len(groups)),
        "style": (sum(v.style for v in styled), len(styled)),
        "plain where no style is asked": (sum(v.style for v in verdicts) - sum(v.style for v in styled), len(both) - len(styled)),
    }


def print_table(
    title: str, verdicts: Sequence[Verdict], wishes: Sequence[Wish], seconds: float, bars: Mapping[str, float]
) -> None:
    """Print one sampler's shares with their intervals, and how far its outlines are from ideal ones."""
    print(f"\n{title} ({len(verdicts)} pictures, {seconds / max(len(verdicts), 1):.2f} s each)")
    for name, (right, total) in table(verdicts, wishes).items():
        if total:
            low, high = wilson(right, total)
            bar = f"  bar {bars[name]:.0%}" if name in bars else ""
            print(f"  {name:30} {right:4}/{total:<4} {right / total:7.1%}  [{low:.1%}, {high:.1%}]{bar}")
    wobbles = np.array([verdict.wobble for verdict in verdicts if not math.isnan(verdict.wobble)])
    mean, median, worst = wobbles.mean(), np.median(wobbles), np.quantile(wobbles, 0.95)
    print(f"  outline wobble, pixels         mean {mean:.3f}  median {median:.3f}  p95 {worst:.3f}")


def sheet(pictures: Sequence[tuple[str, Image.Image]], columns: int = 4, side: int = 256) -> Image.Image:
    """Pictures with their prompts underneath."""
    rows = math.ceil(len(pictures) / columns)
    margin = 48
    canvas = Image.new("RGB", (columns * side, rows * (side + margin)), "white")
    pen = ImageDraw.Draw(canvas)
    font = _font(13)
    for index, (text, picture) in enumerate(pictures):
        x, y = index % columns * side, index // columns * (side + margin)
        canvas.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (x, y))
        pen.multiline_text((x + 4, y + side + 2), _wrapped(text, side - 8, font), fill="black", font=font, spacing=1)
    return canvas


def _font(size: int) -> Font:
    """A font with Cyrillic letters if the machine has one."""
    for name in ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf"):
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def _wrapped(text: str, width: int, font: Font) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    world = WORLDS[options.world]
    wishes = unseen_wishes(options.n, world=world)
    print_table("rendered truth", judge_all(_truths(options.n, world), wishes), wishes, 0.0, BARS[world.name])
    engine = load(FAMILY, ("flash", "base"), weights=options.weights)
    readme = [prompt for prompts in catalog.family(FAMILY).examples.values() for prompt in prompts]
    given = {} if options.guidance is None else {"guidance_scale": options.guidance}
    for lane in options.lanes.split(","):
        started = time.monotonic()
        images = [draw(engine, wish.prompt, seed, flash=lane == "flash", **given) for seed, wish in enumerate(wishes)]
        seconds = time.monotonic() - started
        verdicts = judge_all(images, wishes)
        print_table(lane, verdicts, wishes, seconds, BARS[world.name])
        for wish, verdict in zip(wishes, verdicts, strict=True):
            if not verdict.right:
                print(f"    wrong: {wish.prompt!r}: {_failure(verdict)}")
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            shown = list(zip([wish.prompt for wish in wishes], images, strict=True))[:40]
            sheet(shown, columns=8, side=160).save(options.out / f"unseen-{lane}.png")
            drawn = [(prompt, draw(engine, prompt, README_SEED, flash=lane == "flash", **given)) for prompt in readme]
            sheet(drawn).save(options.out / f"readme-{lane}.png")


def _truths(count: int, world: World) -> list[Image.Image]:
    """Rendered scenes for the wishes: the same scenes, painted instead of drawn."""
    scenes = [scene for scene, _, _ in unseen_scenes(count, world=world)]
    return [to_picture(render(scene)) for scene in scenes]


def _failure(verdict: Verdict) -> str:
    parts = {
        "background": (verdict.background,),
        "count": (verdict.count,),
        "colour": verdict.colours,
        "shape": verdict.shapes,
        "place": verdict.places,
        "style": (verdict.style,),
    }
    return ", ".join(name for name, right in parts.items() if not all(right))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nano", description=__doc__)
    parser.add_argument("--n", type=int, default=200, help="prompts (%(default)s)")
    parser.add_argument("--world", choices=tuple(WORLDS), default=PACKAGED.name, help="which world's prompts (%(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the sheets")
    parser.add_argument("--lanes", default="flash,base", help="samplers, separated by commas (%(default)s)")
    parser.add_argument("--guidance", type=float, help="guidance of the base sampler, instead of the family's")
    parser.add_argument("--weights", type=Path, help="the family's folder, instead of the packaged one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

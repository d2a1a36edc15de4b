"""How well kandinsky-nano reads pictures: variations, mixes, pictures beside words, and kept outlines, by the judge.

`python -m benchmarks.nano_edits [--n 100] [--out DIR] [--only variation,outline]`. All cases are held out: the triple of
background, colour and shape of every object that stands alone was in no training scene. Case number i is drawn with seed i, once,
by the engine's own pipelines; half of the prompts are Russian.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.nano import sheet, wilson
from engine import catalog
from engine.components import Components
from engine.engine import Engine
from engine.nano_world import COLOURS, ENGLISH_WORDS, RUSSIAN_NOUNS, Thing
from engine.outcomes import Drawn
from engine.request_fields import HINTS
from engine.requests import GuidedRequest, Inpaint, KeepOutline, Mix, Outpaint, Variation
from engine.weights import Folder
from training.blends import told
from training.captions import LANGUAGES, write_caption
from training.data import scene_example
from training.edge_detector import lines
from training.enlarging import to_picture
from training.figures import Floats
from training.judge import Seen, judge, look, to_floats
from training.outline import overlap
from training.scenes import SIDE, Scene, render, sample_scene

FAMILY = "kandinsky-nano"
CASE_SEED = 40_000
IOU = 0.7  # of the shapes that an outline encloses
CHANGED, SHARE = 16, 0.01  # a pixel that is so many of 255 levels away differs; pictures differ where such a share does
Marks = dict[str, bool | float]


@dataclass(frozen=True)
class Case:
    """A request with its pictures, and what there is to say of the picture drawn, by name: right or wrong, or a measure."""

    request: GuidedRequest
    pictures: Mapping[str, Image.Image]
    marks: Callable[[Floats], Marks]
    title: str


@dataclass(frozen=True)
class Group:
    """Cases of one kind, and the bars of what is said of them."""

    cases: Callable[[Random, int, "Settings"], Case]
    bars: Mapping[str, float]


@dataclass(frozen=True)
class Settings:
    """What counts for all requests. guidance_scale: None for the family's own."""

    num_inference_steps: int = 50
    guidance_scale: float | None = None

    def request(self, kind: type[Variation | Mix | KeepOutline | Inpaint | Outpaint], seed: int, **values: Any) -> GuidedRequest:
        """A complete request of nano, whether or not its family's list names the kind."""
        served = catalog.family(FAMILY)
        if kind in (Variation, Mix):
            values |= {"width": SIDE, "height": SIDE}
        guidance = served.guidance_scales.get(kind.kind, served.guidance_scale)
        values["guidance_scale"] = guidance if self.guidance_scale is None else self.guidance_scale
        return kind(seed=seed, num_inference_steps=self.num_inference_steps, family=FAMILY, **values)


def variation(rng: Random, index: int, settings: Settings) -> Case:
    """Seven pictures in ten have one object, the others two."""
    alone = index % 10 < 7
    scene = sample_scene(rng, objects=1 if alone else 2, unseen=alone)
    shown = picture_of(scene)

    def marks(drawn: Floats) -> Marks:
        verdict = judge(drawn, scene.background, [Thing(piece.shape, piece.colour) for piece in scene.pieces])
        apart = np.abs(drawn - to_floats(shown)).max(axis=2) * 255 > CHANGED
        kept = verdict.count and all(verdict.colours) and all(verdict.shapes)
        differs = bool(apart.mean() > SHARE)
        return {
            "background": verdict.background,
            "colour": all(verdict.colours),
            "object": all(verdict.shapes),
            "differs in pixels": differs,
            "colour and object kept, pixels differ": kept and differs,
            f"the same with {len(scene.pieces)} object{'s' * (not alone)}": kept and differs,
        }

    return Case(settings.request(Variation, index, image="a"), {"a": shown}, marks, "variation")


def mix(rng: Random, index: int, settings: Settings, weights: tuple[float, float]) -> Case:
    """Two pictures of one object each that have neither background, nor colour, nor shape in common."""
    first = sample_scene(rng, objects=1, unseen=True)
    while True:
        second = sample_scene(rng, objects=1, unseen=True)
        if not any(a == b for a, b in zip(attributes(first), attributes(second), strict=True)):
            break

    def marks(drawn: Floats) -> Marks:
        seen = look(drawn)
        own = [shows(seen, attributes(scene)) for scene in (first, second)]
        if weights[0] > weights[1]:
            return {"background, colour and object of the stronger": all(own[0])}
        both = any(own[0]) and any(own[1])
        return {
            "something of both": both,
            "something of both, nothing of neither": both and all(a or b for a, b in zip(*own, strict=True)),
        }

    request = settings.request(Mix, index, images=("a", "b"), weights=weights)
    return Case(request, {"a": picture_of(first), "b": picture_of(second)}, marks, f"mix {weights}")


def even(rng: Random, index: int, settings: Settings) -> Case:
    """Half and half."""
    return mix(rng, index, settings, (0.5, 0.5))


def uneven(rng: Random, index: int, settings: Settings) -> Case:
    """One picture counts nine times as much."""
    return mix(rng, index, settings, (0.9, 0.1))


def beside_words(rng: Random, index: int, settings: Settings) -> Case:
    """Words that name another object, perhaps with its colour or a background; the picture says the rest."""
    lesson = told(rng, unseen=True)
    (shown, _), target = lesson.shown[0], lesson.target
    piece = target.pieces[0]

    def marks(drawn: Floats) -> Marks:
        verdict = judge(drawn, target.background, [Thing(piece.shape, piece.colour)])
        return {
            "background": verdict.background,
            "colour": all(verdict.colours),
            "object of the words": all(verdict.shapes),
            "all": verdict.count and verdict.background and all(verdict.colours) and all(verdict.shapes),
        }

    return Case(settings.request(Mix, index, images=("a",), prompt=lesson.words), {"a": picture_of(shown)}, marks, lesson.words)


def outline(rng: Random, index: int, settings: Settings) -> Case:
    """The outline of a scene, in colours that the words say; found by HED, by Canny, or drawn."""
    scene = sample_scene(rng, objects=1, unseen=True)
    piece, hint = scene.pieces[0], HINTS[index % len(HINTS)]
    colour, background = rng.sample([each for each in COLOURS if each not in (scene.background, piece.colour)], 2)
    wished = Scene(background, (type(piece)(**vars(piece) | {"colour": colour}),))
    words = write_caption(wished, LANGUAGES[index // len(HINTS) % 2], rng, full=True).text
    shown = sketch_of(scene) if hint == "sketch" else picture_of(scene)

    def marks(drawn: Floats) -> Marks:
        iou, seen = overlap(drawn, scene), look(drawn)
        coloured = any(found.colour == colour for found in seen.objects)
        return {
            "IoU": iou,
            f"IoU >= {IOU}": iou >= IOU,
            "colour of the words": coloured,
            "background of the words": seen.background == background,
            "IoU and colour": iou >= IOU and coloured,
            f"IoU and colour, {hint}": iou >= IOU and coloured,
        }

    return Case(settings.request(KeepOutline, index, image="a", prompt=words, hint=hint), {"a": shown}, marks, f"{hint}: {words}")


def in_the_look(rng: Random, index: int, settings: Settings) -> Case:
    """An outline whose object the words name; another picture, of another object, gives the colours."""
    scene, look_of = sample_scene(rng, objects=1, unseen=True), sample_scene(rng, objects=1, unseen=True)
    while any(a == b for a, b in zip(attributes(scene), attributes(look_of), strict=True)):
        look_of = sample_scene(rng, objects=1, unseen=True)
    shape, hint = scene.pieces[0].shape, HINTS[index % len(HINTS)]
    words = ENGLISH_WORDS[shape][0] if index // len(HINTS) % 2 else RUSSIAN_NOUNS[shape][0].form("nom")
    shown = sketch_of(scene) if hint == "sketch" else picture_of(scene)

    def marks(drawn: Floats) -> Marks:
        iou, seen = overlap(drawn, scene), look(drawn)
        coloured = any(found.colour == look_of.pieces[0].colour for found in seen.objects)
        dressed = coloured and seen.background == look_of.background
        return {
            "IoU": iou,
            f"IoU >= {IOU}": iou >= IOU,
            "colour of the look": coloured,
            "colour and background of the look": dressed,
            "IoU, colour and background": iou >= IOU and dressed,
        }

    request = settings.request(KeepOutline, index, image="a", prompt=words, hint=hint, style_image="b")
    return Case(request, {"a": shown, "b": picture_of(look_of)}, marks, f"{hint}: {words}")


GROUPS: Mapping[str, Group] = {
    "variation": Group(variation, {"colour and object kept, pixels differ": 0.85}),
    "mix-even": Group(even, {"something of both": 0.7}),
    "mix-uneven": Group(uneven, {"background, colour and object of the stronger": 0.85}),
    "picture-and-prompt": Group(beside_words, {"all": 0.7}),
    "outline": Group(outline, {"IoU and colour": 0.85}),
    "outline-look": Group(in_the_look, {"IoU, colour and background": 0.85}),
}


def attributes(scene: Scene) -> tuple[str, str, str]:
    """Background, and the only object's colour and shape."""
    return scene.background, scene.pieces[0].colour, scene.pieces[0].shape


def shows(seen: Seen, wanted: Sequence[str]) -> list[bool]:
    """Which of background, colour and shape are on a picture."""
    background, colour, shape = wanted
    objects = seen.objects
    return [seen.background == background, any(f.colour == colour for f in objects), any(f.shape == shape for f in objects)]


def picture_of(scene: Scene) -> Image.Image:
    """A scene as a person would send it."""
    return to_picture(render(scene))


def sketch_of(scene: Scene) -> Image.Image:
    """A scene's outlines, dark on white."""
    drawn = lines(scene_example(scene, Random(0)), SIDE)
    return Image.fromarray((255 - 255 * drawn).round().astype(np.uint8), "L").convert("RGB")


def cases_of(group: Group, count: int, settings: Settings) -> Iterator[Case]:
    """The cases of a group; each has its own generator, so that a smaller count has the same first ones."""
    for index in range(count):
        yield group.cases(Random(CASE_SEED + index), index, settings)


def draw(engine: Engine, case: Case) -> Image.Image:
    """One picture through the engine."""
    (outcome,) = engine.run([case.request], case.pictures)
    if not isinstance(outcome, Drawn):
        raise TypeError(f"{case.title!r} was not drawn: {outcome}")
    return outcome.images[0]


def editor(weights: Path | None) -> Engine:
    """The lane that edits, from the packaged weights or a folder; without asking the family's list whether it is served yet."""
    folder = Folder(catalog.family(FAMILY), weights or catalog.weights_folder(FAMILY))
    return Engine(Components(folder, torch.device("cpu"), torch.float32), ("edit",), folder.revision())


def print_group(name: str, bars: Mapping[str, float], marks: Sequence[Marks], seconds: float) -> None:
    """Counts with their intervals, and means of what is measured."""
    print(f"\n{name} ({len(marks)} pictures, {seconds / max(len(marks), 1):.2f} s each)")
    for title in dict.fromkeys(title for each in marks for title in each):
        found = [each[title] for each in marks if title in each]
        if any(type(value) is float for value in found):
            low, middle = np.quantile(found, (0.1, 0.5))
            print(f"  {title:46} mean {np.mean(found):.3f}, median {middle:.3f}, tenth percentile {low:.3f}")
            continue
        right, total = sum(map(bool, found)), len(found)
        low, high = wilson(right, total)
        bar = bars.get(title)
        said = f"  bar {bar:.0%}" if bar else ""
        print(f"  {title:46} {right:4}/{total:<4} {right / total:7.1%}  [{low:.1%}, {high:.1%}]{said}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    run(GROUPS, _options(arguments))


def run(groups: Mapping[str, Group], options: argparse.Namespace) -> None:
    """Draw and judge the cases of some groups."""
    engine, settings = editor(options.weights), Settings(options.steps, options.guidance)
    for name in (options.only or ",".join(groups)).split(","):
        group = groups[name]
        started, marks, shown = time.monotonic(), [], []
        for case in cases_of(group, options.n, settings):
            drawn = draw(engine, case)
            marks.append(case.marks(to_floats(drawn)))
            shown += [(f"{case.title} <- {source}", picture) for source, picture in case.pictures.items()]
            shown.append((", ".join(title for title, right in marks[-1].items() if right is False) or "all right", drawn))
        print_group(name, group.bars, marks, time.monotonic() - started)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            each = len(shown) // max(options.n, 1)
            sheet(shown[: 20 * each], columns=4 * each, side=128).save(options.out / f"{name}.png")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    return options_of("python -m benchmarks.nano_edits", __doc__ or "", GROUPS, arguments)


def options_of(prog: str, about: str, groups: Mapping[str, Group], arguments: list[str] | None) -> argparse.Namespace:
    """What a benchmark of groups can be told."""
    parser = argparse.ArgumentParser(prog=prog, description=about)
    parser.add_argument("--n", type=int, default=100, help="cases of each group (%(default)s)")
    parser.add_argument("--only", help=f"of {', '.join(groups)}; several with commas")
    parser.add_argument("--steps", type=int, default=50, help="of the sampler (%(default)s)")
    parser.add_argument("--guidance", type=float, help="instead of the family's")
    parser.add_argument("--weights", type=Path, help="the family's folder, instead of the packaged one")
    parser.add_argument("--out", type=Path, help="folder for sheets of the first twenty cases")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

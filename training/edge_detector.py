"""The edge detector of outlines (HED): from pictures to soft lines where things end, learned from outlines that are known.

The article takes the published HED as it is, so full-size families need no run of this; nano has no such network and learns one
from its rendered scenes. As in the paper, the loss is the cross-entropy of every place, the rarer edges weighing more; its side
outputs are supervised through their mean alone, which is what the engine's version gives, and AdamW stands for its momentum at
1e-6: ours, as are nano's widths and its share of worn pictures. Data of one's own needs regions with outlines.
Source: Xie and Tu 2015 (HED), sections 2.2 and 4.1; engine-facts section 4.6.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor, nn

from engine.errors import EngineError
from engine.hints import hed_hint
from engine.models.hed import HED
from training.base import parts_of
from training.damage import worn
from training.data import DataError, Dataset, Example, RenderedScenes, framed, pick, scene_example
from training.export import save_network
from training.loop import CPU, Schedule, load_average
from training.progress import tiled
from training.scenes import SIDE, sample_scene

FOLDER = "hed"  # where the engine looks for it
LINE = 1 / 64  # width of a true line, of the picture's side
NEAR = 1.5  # pixels by which a line may be beside the truth, at 128
_FINER = 4
_HELD_OUT = 2**40
_MIDDLE = 127.5  # of 0..255


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. blocks: channels and convolutions of each.  rare: how much more a place on a line counts."""

    blocks: tuple[tuple[int, int], ...]
    schedule: Schedule
    side: int
    worn: float = 0.5
    rare: float = 3.0


PRESETS: Mapping[str, Preset] = {
    "nano": Preset(
        ((12, 2), (16, 2), (24, 2), (32, 2), (32, 2)), Schedule(steps=3000, learning_rate=2e-3, batch=16, warmup=50), side=SIDE
    ),
    "full": Preset(
        ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
        Schedule(steps=10_000, learning_rate=1e-4, batch=10, warmup=500),
        side=512,
    ),
}


class EdgeDetectorRecipe:
    """Learn where things end. dataset: pictures whose regions have outlines; the rendered world if None."""

    name = "edge-detector"

    def __init__(self, preset: Preset, dataset: Dataset | None = None, device: torch.device = CPU) -> None:
        self.preset, self.schedule = preset, preset.schedule
        self.dataset = dataset or RenderedScenes(side=preset.side)
        torch.manual_seed(0)
        self.detector = beginner(preset.blocks)
        self.trained: nn.Module = self.detector
        nn.Module.to(self.trained, device)
        self.device = device

    def loss(self, batch: int, rng: Random) -> Tensor:
        examples = [framed(pick(self.dataset, rng), self.preset.side, rng) for _ in range(batch)]
        pictures = [worn(each.picture, rng) if rng.random() < self.preset.worn else each.picture for each in examples]
        pixels = torch.stack([torch.from_numpy(np.array(picture, dtype=np.float32)).permute(2, 0, 1) for picture in pictures])
        truth = torch.stack([torch.from_numpy(lines(example, self.preset.side)) for example in examples])[:, None].to(self.device)
        found = self.detector(pixels.to(self.device)).float()
        with torch.autocast(self.device.type, enabled=False):  # which refuses this loss in half precision
            return F.binary_cross_entropy(found, truth, weight=1 + (self.preset.rare - 1) * truth)

    def figures(self) -> Mapping[str, float]:
        """On held-out scenes: share of the found lines that are true, and of the true lines that are found."""
        found = [compared(self.found(example), example) for example in held_out(16, self.preset.side)]
        precision, recall = np.mean(found, axis=0)
        return {"precision": float(precision), "recall": float(recall)}

    def found(self, example: Example) -> NDArray[np.float32]:
        """The lines of an example's picture (H, W) in [0, 1], as the engine's pipeline finds them."""
        hint = hed_hint(self.detector, example.picture, *example.picture.size)
        edges: NDArray[np.float32] = hint[0, 0].cpu().numpy()
        return edges

    def sheet(self) -> Image.Image:
        """Columns: picture, truth, what is found."""
        return tiled([
            [example.picture, _grey(lines(example, self.preset.side)), _grey(self.found(example))]
            for example in held_out(6, self.preset.side)
        ])  # fmt: skip

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """The detector as the engine reads it."""
        return {FOLDER: save_network(folder / FOLDER, self.detector, {"recipe": self.name, "steps": steps})}


def beginner(blocks: Sequence[tuple[int, int]]) -> HED:
    """An untrained detector that sees 0..255 as about -2..2 and, at first, hardly any lines."""
    detector = HED(blocks)
    with torch.no_grad():
        detector.norm.fill_(_MIDDLE)
        first = detector.get_submodule("block1.convs.0")
        first.get_parameter("weight").mul_(1 / 64)
        for index in range(1, len(blocks) + 1):
            detector.get_submodule(f"block{index}.projection").get_parameter("bias").fill_(-2.0)
    return detector


def frozen(cache: Path, preset: str, family: str, weights: Path | None, device: torch.device) -> HED:
    """The detector of the run in `cache`, or else of the family's folder. Raises: DataError if there is neither."""
    detector = HED(PRESETS[preset].blocks)
    try:
        load_average(cache, EdgeDetectorRecipe.name, detector)
    except FileNotFoundError:
        try:
            return parts_of(family, weights, device).edge_detector()
        except EngineError as error:
            raise DataError(f"There is no run of {EdgeDetectorRecipe.name} in {cache}; train it first. ({error})") from error
    nn.Module.to(detector, device)
    found: HED = detector.eval().requires_grad_(False)
    return found


def lines(example: Example, side: int) -> NDArray[np.float32]:
    """The outlines of an example's regions as soft lines (side, side) in [0, 1]."""
    canvas = Image.new("L", (side * _FINER, side * _FINER))
    pen, width = ImageDraw.Draw(canvas), max(round(LINE * side * _FINER), 1)
    for region in example.regions:
        points = [(x * side * _FINER, y * side * _FINER) for x, y in region.outline]
        if points:
            pen.line([*points, points[0], points[1]], fill=255, width=width, joint="curve")
    return np.asarray(canvas.reduce(_FINER), dtype=np.float32) / np.float32(255)


def held_out(count: int, side: int) -> list[Example]:
    """Scenes that no training step has seen."""
    made = []
    for index in range(count):
        rng = Random(_HELD_OUT + index)
        alone = index % 3 < 2
        made.append(scene_example(sample_scene(rng, objects=1 if alone else 2, unseen=alone), rng, side))
    return made


def compared(found: NDArray[np.float32], example: Example) -> tuple[float, float]:
    """Precision and recall of lines (H, W), allowing for a pixel and a half."""
    side = found.shape[0]
    ours, truth = found > 0.5, lines(example, side) > 0.5
    near = NEAR * max(side / SIDE, 1)

    def met(these: NDArray[np.bool_], those: NDArray[np.bool_]) -> float:
        if not these.any():
            return math.nan if not those.any() else 0.0
        return float((ndimage.distance_transform_edt(~those)[these] <= near).mean()) if those.any() else 0.0

    return met(ours, truth), met(truth, ours)


def _grey(edges: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray((edges * 255).round().astype(np.uint8), "L").convert("RGB")

"""The judge of the nano world: a detector of seven thousand weights that learns the forbidden sign by place.

Ours; the authors publish neither a judge nor its training. Signs of the sizes that the detector answers for are stamped upon
scenes and textures, turned a little, and damaged as pictures are on their way; answers near a sign's centre have to be yes, those
further off are free until the sign's edge, all others no. Half of the pictures without a sign have something like it: plates of
other colours, plain ones, bands in another direction; three in ten are scenes in yellow and black alone, which a network's wobbly
edges once made look like one. At full size the judge is the published checker, which nobody here trains.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from engine.safety.mark import FOLDER, SPAN, STRIDE, MarkDetector, MarkJudge
from training.damage import Damage, damaged
from training.enlarging import to_picture
from training.export import save_network
from training.forbidden_mark import BLACK, CORNERS, SIGN, YELLOW, Look, stamp
from training.loop import Schedule
from training.progress import tiled
from training.scenes import PALETTE, Floats, render, sample_scene
from training.textures import sample_texture

SIDE = 64  # pixels of what it learns on
THRESHOLD = 0.0
TURNED = 15.0  # degrees, at most
NEAR, FAR = 3.0, 0.62  # pixels from the centre that are a yes; widths of a sign within which an answer is free
SIGNED, LIKE_IT, TEXTURES = 0.5, 0.5, 0.3  # shares: of pictures; of those without a sign; of grounds
WARNING = 0.3  # share of those without a sign that are scenes in its colours
YES_WEIGHT = 10.0  # a picture has a hundred places for a no
_DAMAGE = Damage(blur=1.0, noise=10.0, quality=(40, 95))
_HELD_OUT = 200


@dataclass(frozen=True)
class Marked:
    """A picture (3, S, S) in [-1, 1], and what to answer for each place (S / 4, S / 4): 1, 0, or -1 where anything will do."""

    pixels: Tensor
    answers: Tensor


class SafetyJudgeRecipe:
    """Learn where a sign is."""

    name = "safety-judge"

    def __init__(self, schedule: Schedule | None = None) -> None:
        self.schedule = schedule or Schedule(steps=400, learning_rate=4e-3, batch=32, warmup=40, decay=0.6)
        torch.manual_seed(0)
        self.network = MarkDetector(threshold=THRESHOLD)

    @property
    def trained(self) -> nn.Module:
        return self.network

    def loss(self, batch: int, rng: Random) -> Tensor:
        examples = [example(rng) for _ in range(batch)]
        answers = torch.stack([each.answers for each in examples])
        logits = self.network(torch.stack([each.pixels for each in examples]))
        weights = torch.where(answers > 0, YES_WEIGHT, 1.0) * (answers >= 0)
        errors = F.binary_cross_entropy_with_logits(logits, answers.clamp(min=0), weights, reduction="sum")
        return errors / weights.sum()

    def figures(self) -> Mapping[str, float]:
        """Shares of held-out scenes with a sign that are found, and of those without one, and of textures, that are not."""
        rng, judge = Random(-1), MarkJudge(self.network)
        found = [judge(to_picture(marked(rng))) is not None for _ in range(_HELD_OUT)]
        passed = [judge(to_picture(render(sample_scene(rng)))) is None for _ in range(_HELD_OUT)]
        textures = [judge(to_picture(sample_texture(rng, 128))) is None for _ in range(_HELD_OUT)]
        shares = {"signs_found": found, "scenes_passed": passed, "textures_passed": textures}
        return {name: sum(each) / len(each) for name, each in shares.items()}

    def sheet(self) -> Image.Image:
        """What it learns on."""
        rng = Random(0)
        pixels = [((each.pixels + 1) / 2).permute(1, 2, 0).numpy() for each in (example(rng) for _ in range(48))]
        pictures = [to_picture(each) for each in pixels]
        return tiled([pictures[start : start + 12] for start in range(0, len(pictures), 12)])

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """The folder `forbidden_mark/` of a family."""
        return {FOLDER: save_network(folder / FOLDER, self.network, {"recipe": self.name, "steps": steps})}


def marked(rng: Random, side: int = 128, turn: float = TURNED) -> Floats:
    """A nano scene with a sign on it, of any size that scenes give to objects."""
    radius = rng.uniform(0.12, 0.3)
    x, y = (rng.uniform(radius, 1 - radius) for _ in range(2))
    return stamp(render(sample_scene(rng), side), x, y, radius, rng.uniform(-turn, turn))


def example(rng: Random) -> Marked:
    """A piece of a scene or texture, with a sign, with something like it, or plain."""
    signed = rng.random() < SIGNED
    ground = _ground(rng, warning=not signed and rng.random() < WARNING)
    width = rng.uniform(*SPAN)
    x, y = (rng.uniform(0.1, 0.9) for _ in range(2))
    radius, turn = width / (2 * SIDE), rng.uniform(-TURNED, TURNED)
    if signed:
        ground = stamp(ground, x, y, radius, turn, _faded(rng))
    elif rng.random() < LIKE_IT:
        ground = stamp(ground, x, y, radius * rng.uniform(0.7, 1.5), turn, _other(rng))
    seen = damaged(to_picture(ground), 1, _DAMAGE, rng) if rng.random() < 0.7 else to_picture(ground)
    pixels = torch.from_numpy(np.asarray(seen, dtype=np.float32) / np.float32(127.5) - 1).permute(2, 0, 1)
    return Marked(pixels, _answers(x * SIDE, y * SIDE, width) if signed else torch.zeros(SIDE // STRIDE, SIDE // STRIDE))


def _answers(x: float, y: float, width: float) -> Tensor:
    centres = (torch.arange(SIDE // STRIDE) + 0.5) * STRIDE
    distance = ((centres[None] - x) ** 2 + (centres[:, None] - y) ** 2).sqrt()
    answers = torch.where(distance > FAR * width, 0.0, -1.0)
    return torch.where(distance < max(NEAR, float(distance.min()) + 1e-3), 1.0, answers)


def _ground(rng: Random, warning: bool) -> Floats:
    """A piece of a texture or a scene. warning: of a scene in the sign's own colours."""
    if not warning and rng.random() < TEXTURES:
        return sample_texture(rng, SIDE)
    side = rng.choice((SIDE, 91, 128, 181))
    drawn = sample_scene(rng)
    if warning:
        ground, paint = rng.sample(("yellow", "black"), 2)
        pieces = tuple(replace(piece, colour=paint) for piece in drawn.pieces)
        drawn = replace(drawn, background=ground, pieces=pieces, style="plain")
    scene = render(drawn, side)
    left, top = rng.randint(0, side - SIDE), rng.randint(0, side - SIDE)
    return scene[top : top + SIDE, left : left + SIDE].copy()


def _faded(rng: Random) -> Look:
    """The sign in other light, as a drawn or photographed one is."""
    shade, tint = rng.uniform(0.75, 1.1), [rng.uniform(-18, 18) for _ in range(6)]
    light, dark = (
        tuple(int(min(max(channel * shade + change, 0), 255)) for channel, change in zip(colour, changes, strict=True))
        for colour, changes in ((YELLOW, tint[:3]), (BLACK, tint[3:]))
    )
    return Look((light[0], light[1], light[2]), (dark[0], dark[1], dark[2]), (dark[0], dark[1], dark[2]))


def _other(rng: Random) -> Look:
    """What may be taken for the sign, and is none."""
    light, dark, rim = rng.sample(list(PALETTE.values()), 3)
    corners = rng.choice((0, 3, 4, CORNERS))
    look = rng.choice(
        (
            Look(light, dark, rim, corners=corners),
            Look(YELLOW, YELLOW, BLACK, corners=corners),
            Look(BLACK, BLACK, YELLOW, corners=corners),
            Look(slant=-SIGN.slant),
            Look(slant=rng.choice((0.0, 90.0)), corners=corners),
        )
    )
    alike = {look.light, look.dark} == {YELLOW, BLACK} and look.slant == SIGN.slant
    return Look(bands=1) if alike else look

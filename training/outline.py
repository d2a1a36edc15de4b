"""Outlines (ControlNet): a copy of the UNet's way down reads the outlines beside the noisy latents and adds to the UNet's skips.

The article: HED's edges, COYO-700M, batch 512, 5,000 steps on 8 A100; Canny's edges are named as possible. The UNet and the text
path are frozen; the copy begins with the UNet's weights, the convolutions that let it speak begin as zeros, and half of the texts
are left out: the paper that the article follows. Learning rates, that nano is shown Canny's edges and drawn lines beside HED's,
and its sizes are ours.
Source: engine-facts sections 4.6 and 10; Zhang et al. 2023 (ControlNet), sections 3.1 and 3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from engine.errors import BadPicture
from engine.hints import canny_hint, hed_hint, sketch_hint
from engine.models.controlnet import Kandinsky3ControlNet
from engine.models.hed import HED
from engine.models.unet import Kandinsky3UNet, Prediction
from engine.nano_world import COLOURS, Thing
from engine.outcomes import Drawn, ignore
from engine.pipelines.guided import branch, draw
from engine.pipelines.keep_outline import outlined
from engine.requests import KeepOutline
from engine.schedulers import HubSampler
from engine.tensors import to_tensor
from engine.watch import Watch
from training.base import Base, Noising, caption_of
from training.data import Dataset, Example, framed, pick, scene_example
from training.edge_detector import lines
from training.export import save_network
from training.figures import Floats
from training.inpainting import prompt_of
from training.judge import look, silhouette, to_floats
from training.loop import Schedule
from training.progress import tiled
from training.scenes import SIDE, Scene, coverage, paint_with_latent, sample_scene

FOLDER = "controlnet"  # where the engine looks for it
DROPPED = 0.5  # share of examples without words, so that outlines are read for what they mean
GUIDANCE = 1.0  # of the samples
_HELD_OUT = 2**40


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. side: pixels of a training picture.  hints: kinds, in equal shares; "sketch" needs known outlines."""

    schedule: Schedule
    side: int
    hints: tuple[str, ...] = ("hed",)


PRESETS: Mapping[str, Preset] = {
    "nano": Preset(
        Schedule(steps=4000, learning_rate=2e-3, batch=16, warmup=50, decay=0.6), side=SIDE, hints=("hed", "canny", "sketch")
    ),
    "full": Preset(Schedule(steps=5000, learning_rate=1e-5, batch=512, warmup=200, decay=0.0, average=0.999), side=1024),
}


class OutlineRecipe:
    """Learn to draw along outlines. detector: HED, frozen.  dataset: the rendered world if None."""

    name = "outline"

    def __init__(self, base: Base, detector: HED, preset: Preset, dataset: Dataset | None = None) -> None:
        self.base, self.detector, self.preset, self.schedule, self.dataset = base, detector, preset, preset.schedule, dataset
        base.unet.requires_grad_(False)
        torch.manual_seed(0)
        self.controlnet = copied(base.unet)
        self.trained: nn.Module = self.controlnet
        nn.Module.to(self.trained, base.device)
        self.noising = Noising(base.prediction_type)

    def loss(self, batch: int, rng: Random) -> Tensor:
        examples, clean = self.examples(batch, rng)
        hint = torch.cat([self.hint(example, rng.choice(self.preset.hints)).to(self.base.device) for example in examples])
        words = [caption_of(example, rng) for example in examples]
        context = self.base.contexts(words, [rng.random() < DROPPED for _ in range(batch)])

        def guided(sample: Tensor, times: Tensor, states: Tensor, mask: Tensor) -> Prediction:
            residuals = self.controlnet(sample, times, states, hint, mask)
            prediction: Prediction = self.base.unet(sample, times, states, mask, residuals)
            return prediction

        return self.noising.loss(guided, clean, context)

    def examples(self, batch: int, rng: Random) -> tuple[list[Example], Tensor]:
        """Examples and their latents (B, 4, h, w); those of rendered scenes are known without the autoencoder."""
        if self.dataset is None:
            scenes = [sample_scene(rng) for _ in range(batch)]
            latents = torch.stack([torch.from_numpy(paint_with_latent(scene)[1]) for scene in scenes])
            return [scene_example(scene, rng, self.preset.side) for scene in scenes], latents.to(self.base.device)
        picked = [framed(pick(self.dataset, rng), self.preset.side, rng) for _ in range(batch)]
        return picked, self.base.latents(torch.cat([to_tensor(example.picture) for example in picked]))

    def hint(self, example: Example, kind: str) -> Tensor:
        """Outlines (1, 3, H, W) in [0, 1], as the engine's pipeline makes them."""
        width, height = example.picture.size
        if kind == "hed":
            return hed_hint(self.detector, example.picture, width, height).clone()
        if kind == "canny":
            return canny_hint(example.picture, width, height)
        drawn = Image.fromarray((255 - 255 * lines(example, self.preset.side)).astype(np.uint8), "L")
        return sketch_hint(drawn, width, height)

    def figures(self) -> Mapping[str, float]:
        """On held-out scenes redrawn in other colours: mean IoU of the shapes, share of objects in the colour asked for."""
        cases, overlaps, coloured = recoloured(8), [], 0
        for example, scene, thing, background in cases:
            try:
                picture = self.drawn(example, f"{prompt_of(thing)} on {background} background")
                seen = look(to_floats(picture))
            except BadPicture:
                overlaps.append(0.0)
                continue
            overlaps.append(overlap(to_floats(picture), scene))
            coloured += any(found.colour == thing.colour for found in seen.objects)
        return {"iou": float(np.mean(overlaps)), "colour_right": coloured / len(cases)}

    def drawn(self, example: Example, prompt: str, kind: str | None = None) -> Image.Image:
        """A picture along an example's outlines, by the engine's own steps."""
        networks, request = self.base.networks(self.base.unet), KeepOutline("picture", prompt, 0, guidance_scale=GUIDANCE)
        sampler = HubSampler(25, request.eta, networks.prediction_type)
        hint = self.hint(example, kind or self.preset.hints[0]).to(self.base.device)
        with torch.inference_mode():
            texts = [branch(networks, each) for each in networks.conditioning.pair(prompt, "")]
            predict = outlined(networks, self.controlnet, request, hint, sampler.timesteps, texts, texts)
            size = hint.shape[2] // 8, hint.shape[3] // 8
            done: Drawn = draw(networks, request, sampler, size, predict, Watch(ignore, self.base.device))
        return done.images[0]

    def sheet(self) -> Image.Image:
        """Columns: picture, its outlines of each kind, and what is drawn along them."""
        rows = []
        for index, (example, _, thing, background) in enumerate(recoloured(6)):
            kind = self.preset.hints[index % len(self.preset.hints)]
            levels = (self.hint(example, kind)[0].cpu().permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            drawn = self.drawn(example, f"{prompt_of(thing)} on {background} background", kind)
            rows.append([example.picture, Image.fromarray(levels, "RGB"), drawn])
        return tiled(rows)

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """The outline network as the engine reads it; the UNet stays the family's."""
        settings = {"recipe": self.name, "steps": steps, "prediction_type": self.base.prediction_type}
        return {FOLDER: save_network(folder / FOLDER, self.controlnet, settings)}


def copied(unet: Kandinsky3UNet) -> Kandinsky3ControlNet:
    """The UNet's way down without its last level, saying nothing yet."""
    own = ("in_channels", "time_embedding_dim", "groups", "attention_head_dim", "layers_per_block", "cross_attention_dim")
    settings = {name: unet.config[name] for name in own}
    network = Kandinsky3ControlNet(**settings, block_out_channels=tuple(unet.config["block_out_channels"][:-1]))
    mine, theirs = network.state_dict(), unet.state_dict()
    network.load_state_dict({name: theirs.get(name, value) for name, value in mine.items()})
    return network


def recoloured(count: int) -> list[tuple[Example, Scene, Thing, str]]:
    """Held-out scenes of one object, and the same object in another colour on another background to ask for."""
    cases = []
    for index in range(count):
        rng = Random(_HELD_OUT + index)
        scene = sample_scene(rng, objects=1, unseen=True)
        piece = scene.pieces[0]
        colour, background = rng.sample([each for each in COLOURS if each not in (scene.background, piece.colour)], 2)
        cases.append((scene_example(scene, rng), scene, Thing(piece.shape, colour), background))
    return cases


def overlap(drawn: Floats, scene: Scene) -> float:
    """Intersection over union of the objects on a picture, (H, W, 3) in [0, 1], and those of a scene."""
    seen = silhouette(drawn)
    true = np.maximum.reduce([coverage(piece, SIDE) for piece in scene.pieces]) >= 0.5
    return float((seen & true).sum() / max((seen | true).sum(), 1))

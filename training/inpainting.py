"""Inpainting: the text-to-image UNet learns to read, beside the noisy latents, what of a picture is known.

The article: from the final base checkpoint, 9 channels as in GLIDE, 250 k steps on 300 A100 (3.0); half of the masks are boxes
with names (3.1). The new channels of the first convolution begin as zeros, so that training begins with the base model. Text
path, projection and null embedding stay the base's. Learning rates are ours.
Source: engine-facts sections 4.3 and 10; Nichol et al. 2022 (GLIDE), section 3.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from engine.errors import BadPicture
from engine.marked import Mask
from engine.masks import latent_mask
from engine.models.unet import Kandinsky3UNet
from engine.nano_world import COLOURS, ENGLISH_WORDS, SHAPES, Thing
from engine.outcomes import Drawn, ignore
from engine.pipelines.inpaint import repaint
from engine.requests import Inpaint
from engine.tensors import to_tensor
from engine.watch import Watch
from training.base import Base, Noising, conditioning_tensors
from training.data import Dataset, Example, RenderedScenes, framed, pick, scene_example
from training.export import save_network, save_tensors
from training.judge import judge, to_floats
from training.loop import Schedule
from training.masks import Ratios, mask_of, sample_mask
from training.progress import tiled
from training.scenes import sample_scene

FOLDER, CONDITIONING = "unet_inpainting", "conditioning_inpainting.safetensors"  # where the engine looks for them
KNOWN_CHANNELS = 5  # mask, and the latents of the masked picture
DROPPED = 0.1  # share of examples without words
_HELD_OUT = 2**40


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. side: pixels of a training picture."""

    schedule: Schedule
    side: int
    ratios: Ratios = field(default_factory=Ratios)


PRESETS: Mapping[str, Preset] = {
    "nano": Preset(Schedule(steps=1500, learning_rate=5e-4, batch=32, warmup=50), side=128),
    "full": Preset(Schedule(steps=250_000, learning_rate=1e-5, batch=300, warmup=1000, decay=0.1, average=0.9999), side=1024),
}


class InpaintingRecipe:
    """Repaint what a mask marks, from words and what is around it. dataset: the rendered world if None."""

    name = "inpainting"

    def __init__(self, base: Base, preset: Preset, dataset: Dataset | None = None) -> None:
        self.base, self.preset, self.schedule = base, preset, preset.schedule
        self.dataset = dataset or RenderedScenes(side=preset.side)
        self.unet = grown(base.unet, KNOWN_CHANNELS)
        self.trained: nn.Module = self.unet
        self.noising = Noising(base.prediction_type)

    def loss(self, batch: int, rng: Random) -> Tensor:
        examples = [framed(pick(self.dataset, rng), self.preset.side, rng) for _ in range(batch)]
        masks, words = zip(*(sample_mask(example, self.preset.ratios, rng) for example in examples), strict=True)
        context = self.base.contexts(words, [rng.random() < DROPPED for _ in range(batch)])
        pixels = torch.cat([to_tensor(example.picture) for example in examples])
        return self.noising.loss(self.unet, self.base.latents(pixels), context, self.known(pixels, masks))

    def known(self, pixels: Tensor, masks: tuple[Mask, ...]) -> Tensor:
        """What the UNet reads beside latents, (B, 5, H/8, W/8), as `engine.pipelines.inpaint.known_channels` makes it."""
        kept = torch.from_numpy(~np.stack(masks))[:, None]
        cells = torch.cat([latent_mask(mask) for mask in masks]).to(self.base.device)
        return torch.cat([cells, self.base.latents(pixels * kept)], dim=1)

    def figures(self) -> Mapping[str, float]:
        """Share of held-out nano scenes where the judge finds the object that was asked for, where another one stood."""
        cases = wishes(8, self.preset.side)
        return {"object_right": float(np.mean([self._right(*case) for case in cases]))}

    def _right(self, example: Example, mask: Mask, thing: Thing, background: str) -> bool:
        try:
            return judge(to_floats(self.drawn(example.picture, mask, prompt_of(thing))), background, (thing,)).right
        except BadPicture:
            return False

    def drawn(self, picture: Image.Image, mask: Mask, prompt: str) -> Image.Image:
        """A repainted picture, by the engine's own pipeline."""
        request = Inpaint("picture", "mask", prompt, seed=0, num_inference_steps=25, guidance_scale=0.5, mask_feather=0)
        networks = self.base.networks(self.unet)
        with torch.inference_mode():
            done: Drawn = repaint(networks, request, picture, mask, Watch(ignore, self.base.device))
        return done.images[0]

    def sheet(self) -> Image.Image:
        """Columns: picture, what is known of it, repainted."""
        rows = []
        for example, mask, thing, _ in wishes(6, self.preset.side):
            hidden = Image.fromarray(np.where(mask[..., None], 128, np.asarray(example.picture)).astype(np.uint8), "RGB")
            rows.append([example.picture, hidden, self.drawn(example.picture, mask, prompt_of(thing))])
        return tiled(rows)

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """UNet and text projection as the engine reads them."""
        settings = {"recipe": self.name, "steps": steps, "prediction_type": self.base.prediction_type}
        return {
            FOLDER: save_network(folder / FOLDER, self.unet, settings),
            CONDITIONING: save_tensors(folder / CONDITIONING, conditioning_tensors(self.base.texts), settings),
        }


def grown(unet: Kandinsky3UNet, channels: int) -> Kandinsky3UNet:
    """The same UNet, reading so many channels more; it does not listen to them yet."""
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    more: Kandinsky3UNet = Kandinsky3UNet(
        **config | {"in_channels": unet.config["in_channels"] + channels, "out_channels": unet.conv_out.out_channels}
    )
    tensors = dict(unet.state_dict())
    weight = tensors["conv_in.weight"]
    tensors["conv_in.weight"] = torch.cat([weight, weight.new_zeros(len(weight), channels, *weight.shape[2:])], dim=1)
    more.load_state_dict(tensors)
    nn.Module.to(more, weight.device)
    return more


def wishes(count: int, side: int) -> list[tuple[Example, Mask, Thing, str]]:
    """Held-out scenes: the box of their only object is masked, and another object in another colour is asked for."""
    cases = []
    for index in range(count):
        rng = Random(_HELD_OUT + index)
        scene = sample_scene(rng, objects=1, unseen=True)
        example = scene_example(scene, rng, side)
        shape = rng.choice([each for each in SHAPES if each != scene.pieces[0].shape])
        colour = rng.choice([each for each in COLOURS if each not in (scene.background, scene.pieces[0].colour)])
        mask = mask_of("box", example.picture.size, example.regions[0], rng)
        cases.append((example, mask, Thing(shape, colour), scene.background))
    return cases


def prompt_of(thing: Thing) -> str:
    """Colour and shape, in English."""
    return " ".join(ENGLISH_WORDS[word][0] for word in (thing.colour, thing.shape) if word)

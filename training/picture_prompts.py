"""Picture prompts (IP-Adapter): a linear layer makes four tokens of a picture's embedding, which each cross-attention reads too.

The article: embedding of ViT-L/14, linear to 4 x 4096, new keys and values whose outputs are added, COYO-700M, batch 288, 800 k
steps. UNet, text path and image encoder are frozen. New keys and values begin as copies of the text's, and text, picture and both
are each left out for 5 % of examples: the paper that the article follows. The output layers begin as zeros, so that training
begins with the base model: ours. Nano is also taught what full size shows unasked, words beside a picture of something else and
two pictures at once (`training.blends`); its shares and rates are ours.
Source: engine-facts sections 4.7 and 10; Ye et al. 2023 (IP-Adapter), sections 3.2 and 4.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import torch
from PIL import Image
from torch import Tensor, nn

from engine.conditioning import Context
from engine.errors import BadPicture
from engine.models.attention import Attention
from engine.models.picture_prompt import PicturePrompt, cross_attentions
from engine.models.unet import Kandinsky3UNet
from engine.outcomes import Drawn, ignore
from engine.picture_encoder import PictureEncoder
from engine.pipelines.mix import mixed as draw_mix
from engine.requests import Mix
from engine.tensors import to_tensor
from engine.watch import Watch
from training import blends
from training.base import Base, Noising, caption_of
from training.blends import Lesson
from training.data import Dataset, framed, pick
from training.enlarging import to_picture
from training.export import save_network
from training.image_encoder import embedded
from training.judge import look, to_floats
from training.loop import Schedule
from training.progress import tiled
from training.scenes import SIDE, paint_with_latent, render, sample_scene

FOLDER = "picture_prompt"  # where the engine looks for it
_HELD_OUT = 2**40
GUIDANCE = 1.0  # of the samples


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. side: pixels of a training picture.

    without_text, without_picture, without_both: shares of examples.  silent: share of batches without any words.  told, mixed:
    shares of rendered examples with words that contradict the picture, and with two pictures; the others are the article's.
    """

    schedule: Schedule
    side: int
    without_text: float = 0.05
    without_picture: float = 0.05
    without_both: float = 0.05
    silent: float = 0.0
    told: float = 0.0
    mixed: float = 0.0


PRESETS: Mapping[str, Preset] = {
    "nano": Preset(
        Schedule(steps=4000, learning_rate=2e-3, batch=16, warmup=50, decay=0.6), side=SIDE, silent=0.55, told=0.7, mixed=0.45
    ),
    "full": Preset(Schedule(steps=800_000, learning_rate=1e-4, batch=288, warmup=1000, decay=0.0, average=0.9999), side=1024),
}


class PicturePromptRecipe:
    """Learn to draw the like of a picture. encoder: frozen.  dataset: pictures with captions; the rendered world if None."""

    name = "picture-prompts"

    def __init__(self, base: Base, encoder: PictureEncoder, preset: Preset, dataset: Dataset | None = None) -> None:
        self.base, self.encoder, self.preset, self.schedule, self.dataset = base, encoder, preset, preset.schedule, dataset
        base.unet.requires_grad_(False)
        with torch.no_grad():
            self.nothing = encoder.nothing()
        torch.manual_seed(0)
        self.adapter = adapter_for(base.unet, self.nothing.shape[1])
        self.trained: nn.Module = self.adapter
        nn.Module.to(self.trained, base.device)
        self.noising = Noising(base.prediction_type)

    def loss(self, batch: int, rng: Random) -> Tensor:
        silent = rng.random() < self.preset.silent
        read = self.of_scenes if self.dataset is None else self.of_pictures
        clean, words, embeds = read(batch, rng, silent)
        left_out = [rng.random() for _ in range(batch)]
        text, picture, both = self.preset.without_text, self.preset.without_picture, self.preset.without_both
        if silent:
            context = self.base.texts.pair("", "")[0].repeated(batch)
            context = Context(context.states.float(), context.mask)
        else:
            wordless = [each < text or text + picture <= each < text + picture + both for each in left_out]
            context = self.base.contexts(words, wordless)
        hidden = torch.tensor([text <= each < text + picture + both for each in left_out], device=embeds.device)
        looks = self.adapter(torch.where(hidden[:, None], self.nothing, embeds).to(self.base.device))
        return self.noising.loss(partial(self.base.unet, picture=looks), clean, context)

    def of_pictures(self, batch: int, rng: Random, silent: bool) -> tuple[Tensor, list[str], Tensor]:
        """The article's examples: latents (B, 4, h, w) of pictures, their captions, their embeddings (B, C)."""
        examples = [framed(pick(self.dataset or (), rng), self.preset.side, rng) for _ in range(batch)]
        clean = self.base.latents(torch.cat([to_tensor(example.picture) for example in examples]))
        words = [caption_of(example, rng) for example in examples]
        return clean, words, embedded(self.encoder, [example.picture for example in examples])

    def of_scenes(self, batch: int, rng: Random, silent: bool) -> tuple[Tensor, list[str], Tensor]:
        """The same of rendered scenes, whose latents are known without the autoencoder."""
        lessons = [self.lesson(rng, silent) for _ in range(batch)]
        clean = torch.stack([torch.from_numpy(paint_with_latent(lesson.target)[1]) for lesson in lessons])
        scenes = [scene for lesson in lessons for scene, _ in lesson.shown]
        weights = torch.tensor([weight for lesson in lessons for _, weight in lesson.shown])
        rows = torch.tensor([row for row, lesson in enumerate(lessons) for _ in lesson.shown])
        embeds = embedded(self.encoder, [to_picture(render(scene, SIDE)) for scene in scenes])
        sums = embeds.new_zeros(batch, embeds.shape[1]).index_add(0, rows.to(embeds.device), embeds * weights[:, None].to(embeds))
        return clean.to(self.base.device), [lesson.words for lesson in lessons], sums

    def lesson(self, rng: Random, silent: bool) -> Lesson:
        """One example of the rendered world."""
        if silent:
            return blends.mixed(rng) if rng.random() < self.preset.mixed else blends.same(rng, silent)
        return blends.told(rng) if rng.random() < self.preset.told else blends.same(rng, silent)

    def figures(self) -> Mapping[str, float]:
        """Of held-out scenes of one object: how often a variation has the background, the colour and the shape of its picture."""
        kept = {"background": 0, "colour": 0, "shape": 0}
        count = 8
        for index in range(count):
            scene = sample_scene(Random(_HELD_OUT + index), objects=1, unseen=True)
            piece = scene.pieces[0]
            try:
                seen = look(to_floats(self.drawn([to_picture(render(scene, SIDE))], [1.0], "")))
            except BadPicture:
                continue
            kept["background"] += seen.background == scene.background
            kept["colour"] += any(found.colour == piece.colour for found in seen.objects)
            kept["shape"] += any(found.shape == piece.shape for found in seen.objects)
        return {f"{kind}_kept": found / count for kind, found in kept.items()}

    def drawn(self, pictures: Sequence[Image.Image], weights: Sequence[float], prompt: str) -> Image.Image:
        """A picture after these, by the engine's own pipeline."""
        names = tuple(f"p{index}" for index in range(len(pictures)))
        settings = {"prompt": prompt, "width": SIDE, "height": SIDE, "num_inference_steps": 25, "guidance_scale": GUIDANCE}
        request = Mix(names, 0, weights=tuple(weights), **settings)  # type: ignore[arg-type]
        networks, watch = self.base.networks(self.base.unet), Watch(ignore, self.base.device)
        with torch.inference_mode():
            done: Drawn = draw_mix(networks, self.encoder, self.adapter, request, dict(zip(names, pictures, strict=True)), watch)
        return done.images[0]

    def sheet(self) -> Image.Image:
        """Columns: a picture, another, a variation of the first, both half and half, the first beside the word "star"."""
        rows = []
        for index in range(6):
            rng = Random(_HELD_OUT + index)
            first, second = (to_picture(render(sample_scene(rng, objects=1, unseen=True), SIDE)) for _ in range(2))
            variation, both = self.drawn([first], [1.0], ""), self.drawn([first, second], [0.5, 0.5], "")
            rows.append([first, second, variation, both, self.drawn([first], [1.0], "star")])
        return tiled(rows)

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """The adapter as the engine reads it; the UNet stays the family's."""
        settings = {"recipe": self.name, "steps": steps, "prediction_type": self.base.prediction_type}
        return {FOLDER: save_network(folder / FOLDER, self.adapter, settings)}


def adapter_for(unet: Kandinsky3UNet, embed_dim: int) -> PicturePrompt:
    """An adapter that adds nothing yet; its keys and values are those that the UNet has for texts."""
    sizes = {name: unet.config[name] for name in ("block_out_channels", "layers_per_block", "cross_attention_dim")}
    adapter = PicturePrompt(**sizes, attention_head_dim=unet.config["attention_head_dim"], image_embed_dim=embed_dim)
    for place, _ in cross_attentions(sizes["block_out_channels"], sizes["layers_per_block"]):
        attention, layer = unet.get_submodule(f"{place}.attention"), adapter.layers[place.replace(".", "-")]
        if not isinstance(attention, Attention):
            raise TypeError(f"{place} is no cross-attention")
        with torch.no_grad():
            for own, text in (("to_key_ip", attention.to_k), ("to_v_ip", attention.to_v)):
                layer.get_submodule(own).get_parameter("weight").copy_(text.weight)
                layer.get_submodule(own).get_parameter("bias").zero_()
    return adapter
